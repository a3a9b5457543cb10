"""CSL-Daily as its owners ship it: sentences in a pickle, the division into splits as text, and a folder of images for
each sentence.

The reader follows the published layout; it was tried on a small copy of it, not on the set itself.
"""

from pathlib import Path

from dataset.annotations import split_cell
from dataset.pickles import load_data_pickle
from dataset.prepare.image_folders import ImageFolders, usable
from dataset.prepare.recordings import Note, Recording, SentencePlan
from dataset.prepare.tables import find_table, read_bars
from utils.errors import UserError

TABLES = "sentence_label"
IMAGES = ("sentence/frames_512x512/", "sentence_frames-512x512/frames_512x512/", "frames_512x512/")


def plan_csl_daily(annotations: Path, folders: ImageFolders) -> SentencePlan:
    """The sentences of `csl2020ct_v2.pkl` that `split_1.txt` divides; their images lie in `<name>`.

    Raises:
        UserError: a file is missing or in another layout, or no folder of images is there.
    """
    path = find_table(annotations, TABLES, "csl2020ct_v2.pkl")
    rows = read_bars(find_table(annotations, TABLES, "split_1.txt"), ("name", "split"))
    splits = {row["name"]: split_cell(where, row["split"]) for where, row in rows}
    content = load_data_pickle(path)
    recordings, left_out = [], []
    try:
        for entry in content["info"]:
            name, glosses, text = entry["name"], " ".join(entry["label_gloss"]), "".join(entry["label_char"])
            signer, frames = str(entry["signer"]), int(entry["length"])
            if name in splits:
                recordings.append(Recording(name, glosses, splits[name], name, signer, end=frames, text=text))
            else:
                left_out.append(name)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: not in the layout of CSL-Daily ({type(error).__name__}: {error})") from None
    if not recordings:
        raise UserError(f"{path}: none of its {len(left_out)} sentences is in split_1.txt")
    kept, notes = usable(recordings, folders)
    if left_out:
        notes.append(Note(f"in {path.name} but not in split_1.txt, left out", left_out))
    if unknown := sorted(set(splits) - {r.name for r in recordings}):
        notes.append(Note(f"in split_1.txt but not in {path.name}", unknown))
    reading = {"frame_size": [320, 320], "keypoints_frame_size": [512, 512]}
    return SentencePlan("CSL-Daily", kept, notes, lower_case=True, reading=reading)
