"""Own recordings of sentences: videos, and a table of what is signed in them."""

from pathlib import Path

from dataset.prepare.folder import Clips, Division, by_signer, planned, table_entries, within_glosses
from dataset.prepare.recordings import Note, SentencePlan, SourceFiles
from utils.seeding import generator


def plan_sentences(files: SourceFiles, table: Path, seed: int, side: int) -> SentencePlan:
    """The sentences of a table.

    Args:
        table: CSV with the columns video,glosses and optionally text,signer,split,start_frame,end_frame; glosses are
            separated by spaces.
        seed: of the division into splits, for recordings that have none.
        side: of the square frames that a network reads, pixels.

    Raises:
        UserError: a table that does not say what it should.
    """
    entries = table_entries(table, files, "glosses")
    recordings, notes = planned(entries, files, lambda clips: divide_sentences(clips, seed))
    size = [side, side]
    return SentencePlan(
        "own sentences", recordings, notes, reading={"frame_size": size, "keypoints_frame_size": size}
    )


def divide_sentences(clips: Clips, seed: int) -> Division:
    """Whole signers go to test and dev where all are known, else single sentences, whatever glosses they have."""
    rng = generator(seed, "splits")
    anything: Clips = [("", signer) for _, signer in clips]
    if (division := by_signer(anything, rng)) is not None:
        return division
    return within_glosses(anything, rng), [
        Note("sentences divided at random: the same signers may be in all splits")
    ]
