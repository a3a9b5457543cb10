"""What TensorBoard is given: read back from its files."""

import io
from pathlib import Path

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from report.tensorboard import Board


def read(run: Path) -> EventAccumulator:
    return EventAccumulator(str(run / "tensorboard"), size_guidance={"images": 0}).Reload()


def test_pictures_and_figures_by_name(tmp_path: Path) -> None:
    picture = np.full((30, 20, 3), 200, np.uint8)
    board = Board(tmp_path)
    board.pictures({"clips": picture}, 3)
    board.evaluation("test", {"top1/rgb64": 0.5}, {"confusions": picture}, 7)
    board.close()
    found = read(tmp_path)
    assert [(x.value, x.step) for x in found.Scalars("test/top1/rgb64")] == [(0.5, 7)]
    assert set(found.Tags()["images"]) == {"clips", "test/confusions"}
    (image,) = found.Images("clips")
    shown = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)).convert("RGB"))
    assert image.step == 3 and np.array_equal(shown, picture)


def test_a_continued_run_hides_what_it_repeats(tmp_path: Path) -> None:
    board = Board(tmp_path, continue_after=0)
    for step in (1, 2, 3):
        board.scalars({"loss": float(step)}, step)
    board.close()
    board = Board(tmp_path, continue_after=1)
    board.scalars({"loss": 20.0}, 2)
    board.close()
    assert [event.value for event in read(tmp_path).Scalars("loss")] == [1, 20]


def test_hyper_parameters_leave_paths_out(tmp_path: Path) -> None:
    config = {
        "run": "somewhere",
        "seed": 3,
        "model": {"frames": [64, 32], "width": 1.0},
        "loss": {"label_smoothing": {"kind": "language"}},
        "augment": {},
        "training": {"epochs": 2},
    }
    board = Board(tmp_path)
    board.hyper_parameters(config, {"best/validation_score": 0.5, "none": None})
    board.close()
    found = read(tmp_path)
    assert found.Scalars("best/validation_score")[0].value == 0.5 and "none" not in found.Tags()["scalars"]
    start = found.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    assert b"loss.label_smoothing.kind" in start and b"[64, 32]" in start and b"somewhere" not in start
