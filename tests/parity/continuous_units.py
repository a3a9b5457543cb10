"""Continuous recognition: each part of the method alone."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np

from configs.schema import ContinuousConfig, load_experiment
from dataset.gloss_cleanup import Cleanup, clean_glosses
from dataset.keypoints import keypoint_indices
from dataset.sentence_sampling import evaluation_frames, training_frames
from modeling.continuous.augment import SentenceDraw, central_draw, on_grid, prepare_sentences
from modeling.continuous.decoding import beam_search
from modeling.heatmaps import Box, written_out
from modeling.optimizer import learning_rate
from tests.parity.golden import Comparison, GoldenFile, GoldenSet, statistics
from tests.parity.translation_units import text_scores, translation
from utils.word_errors import WordErrors, count_errors

EXPERIMENTS = Path(__file__).parents[2] / "configs" / "two_stream"
# Top, left, height and width of training crops, for files that do not say theirs.
CROPS = {
    "phoenix_train": (13, 7, 211, 180),
    "csl_train": (20, 31, 270, 251),
    "phoenix_keypoint_train": (9, 11, 230, 170),
}


def experiment(data_set: str, stage: str) -> ContinuousConfig:
    """A published one, as this project ships it."""
    return cast(ContinuousConfig, load_experiment(EXPERIMENTS / data_set / f"{stage}.yaml"))


def gloss_ids(padded: np.ndarray) -> list[list[int]]:
    """Without the padding of -1."""
    return [row[row >= 0].tolist() for row in padded]


def _preprocess(golden: GoldenSet, file: GoldenFile, out: Comparison) -> None:
    for tag in sorted({name.split("/")[0] for name in file.names() if name.endswith("/stats")}):
        config = experiment(
            "csl_daily" if tag.startswith("csl") else "phoenix2014t",
            "keypoint" if "keypoint" in tag else "two_stream",
        )
        model, frame, raw = config.model, config.data.frame_size, config.data.keypoints_frame_size
        video = None
        if "rgb" in model.modalities:
            recorded = golden.recipe.raw_video(tag, 1, 4, *frame, golden.salt)
            video = golden.tensor(recorded).permute(0, 1, 3, 4, 2)
        count = len(keypoint_indices(model.keypoint_parts))
        points = golden.recipe.keypoints(tag, 1, 4, count, *raw, golden.salt)
        keypoints = golden.tensor(points).to(file.dtype)
        for axis, side in ((0, 1), (1, 0)):
            keypoints[..., axis] *= model.heatmap_grid[side] / raw[side]
        draw = central_draw(model, frame)
        if tag.endswith("train"):
            box = _crop(golden, file, tag)
            if video is None:  # drawn on the grid
                draw = SentenceDraw(draw.frame_box, box)
            else:
                draw = SentenceDraw(box, on_grid(box, frame, model.heatmap_grid))
        inputs = prepare_sentences(video, keypoints, model, [draw], file.dtype)
        for stream, x in written_out(inputs).items():
            name, tolerance = f"{tag}/{stream}", file.tolerance(5e-5)
            out.equal(f"{name}/shape", list(x.shape), file[f"{name}/shape"].tolist())
            out.absolute(f"{name}/statistics", statistics(x), file[f"{name}/stats"], tolerance)
            out.absolute(f"{name}/sub", x[..., ::16, ::16], file[f"{name}/sub"], tolerance)


def _crop(golden: GoldenSet, file: GoldenFile, tag: str) -> Box:
    """What a training tag cuts out: as the file says under `<tag>/crop`, or the manifest; else as published."""
    of_manifest = golden.manifest.get(file.case, {})
    name = f"{tag}/crop"
    return Box(*map(int, file[name] if name in file else of_manifest.get(tag, CROPS[tag])))


def _ctc_decode(golden: GoldenSet, file: GoldenFile, out: Comparison) -> None:
    for name in file.names():
        tag, leaf = name.split("/")
        if leaf.startswith("beam"):
            logits, lengths = (
                golden.tensor(file[f"{tag}/logits"]),
                golden.tensor(file[f"{tag}/lengths"]),
            )
            found = beam_search(logits, lengths, int(leaf.removeprefix("beam")))
            out.equal(name, found, gloss_ids(file[name]))


def _word_errors(golden: GoldenSet, file: GoldenFile, out: Comparison) -> None:
    each = [count_errors(reference.split(), read.split()) for reference, read in file["pairs"]]
    ours = [
        {
            "num_cor": errors.words - errors.substitutions - errors.deletions,
            "num_del": errors.deletions,
            "num_ins": errors.insertions,
            "num_sub": errors.substitutions,
            "num_err": errors.errors,
            "num_ref": errors.words,
        }
        for errors in each
    ]
    out.equal(f"errors of each sentence ({len(ours)})", ours, file["each"])
    total = sum(each, WordErrors())
    summed = {
        "wer": total.rate,
        "del": total.deletions,
        "ins": total.insertions,
        "sub": total.substitutions,
        "ref_len": total.words,
        "error": total.errors,
    }
    out.equal("figures of the total", sorted(summed), sorted(file["total"]))
    for name, value in file["total"].items():
        out.absolute(f"total/{name}", summed[name], value, 1e-9)


def _gloss_cleanup(golden: GoldenSet, file: GoldenFile, out: Comparison) -> None:
    cases = file["cases"]
    data_sets: tuple[Cleanup, ...] = ("phoenix2014", "phoenix2014t")
    for data_set in data_sets:
        pairs = list(zip(cases, file[data_set], strict=True))
        read = [(case, cleaned) for case, cleaned in pairs if cleaned is not None]
        wrong = [(case, cleaned) for case, cleaned in read if clean_glosses(case, data_set) != cleaned]
        out.equal(f"{data_set} ({len(read)})", wrong, [])
        # Where the published code gives up, at an epenthesis that is left over, ours takes it out.
        given_up = [case for case, cleaned in pairs if cleaned is None]
        wrong = [case for case in given_up if "EPENTHESIS" in clean_glosses(case, data_set)]
        out.equal(f"{data_set}, where the published code gives up ({len(given_up)})", wrong, [])


def _sampling(golden: GoldenSet, file: GoldenFile, out: Comparison) -> None:
    for length, expected in file["test_valid_first_last_count"].items():
        valid, first, last, count = expected
        frames = evaluation_frames(int(length)).tolist()
        ours, recorded = (frames, len(frames), len(frames)), (list(range(first, last + 1)), valid, count)
        out.equal(f"evaluation, {length} frames", ours, recorded)
    for length, expected in file["train"].items():
        rng = np.random.default_rng(0)
        draws = [training_frames(int(length), rng) for _ in range(4000)]
        counts = [len(frames) for frames in draws]
        found = {
            "min": min(counts),
            "max": max(counts),
            "all_multiples_of_4": not any(count % 4 for count in counts),
            "sorted_and_inside": all(
                frames[0] >= 0 and frames[-1] < int(length) and (np.diff(frames) >= 0).all()
                for frames in draws
            ),
        }
        out.equal(f"training, {length} frames", found, expected)
    file.skip("note")


def _schedules(golden: GoldenSet, file: GoldenFile, out: Comparison) -> None:
    training = experiment("phoenix2014t", "two_stream").training
    rates = [learning_rate(training, epoch) for epoch in range(training.epochs)]
    out.absolute("learning rate", rates, file["s2g_lr"], 1e-15)


UNITS: dict[str, Callable[[GoldenSet, GoldenFile, Comparison], None]] = {
    "unit_preprocess": _preprocess,
    "unit_ctc_decode": _ctc_decode,
    "unit_wer": _word_errors,
    "unit_gloss_cleanup": _gloss_cleanup,
    "unit_sampling": _sampling,
    "unit_schedules": _schedules,
    "unit_translation": translation,
    "unit_bleu_rouge": text_scores,
}
