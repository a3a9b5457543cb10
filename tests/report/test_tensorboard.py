"""What TensorBoard is given: read back from its files."""

import io
from pathlib import Path

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from inference.evaluation import Results
from report.tensorboard import Board

GLOSSES = ["cold", "winter", "table", "冬天"]


def read(run: Path) -> EventAccumulator:
    return EventAccumulator(str(run / "tensorboard"), size_guidance={"images": 0}).Reload()


def test_clips_with_what_they_show(tmp_path: Path) -> None:
    frames = np.full((6, 8, 20, 20, 3), 200, np.uint8)
    board = Board(tmp_path)
    for step, (shown, heatmaps) in enumerate(
        [(frames, np.ones((6, 8, 10, 10))), (None, np.ones((6, 8, 10, 10))), (frames, None)]
    ):
        board.clips(shown, heatmaps, ["cold"] * 6, step)
    board.close()
    images = read(tmp_path).Images("clips")
    # four clips, each a caption and rows of 128 pixels
    assert [(image.width, image.height) for image in images] == [
        (1024, 4 * (56 + 128 * rows)) for rows in (2, 1, 1)
    ]
    picture = np.asarray(Image.open(io.BytesIO(images[0].encoded_image_string)).convert("RGB"))
    assert (picture[80, 60] == 200).all() and picture[:56].min() < 100  # a frame; letters above it


def test_evaluations_give_figures_of_every_head_and_a_picture(tmp_path: Path) -> None:
    labels = np.array([0, 1, 2, 3])
    right, wrong = np.eye(4, dtype=np.float32), np.roll(np.eye(4, dtype=np.float32), 1, axis=1)
    probabilities = {"rgb64": right[:, None], "ensemble_all": wrong[:, None]}
    board = Board(tmp_path)
    board.evaluation(
        "test", Results(list("abcd"), labels, ["central"], probabilities, "ensemble_all"), GLOSSES, 7
    )
    board.close()
    found = read(tmp_path)
    values = {tag: found.Scalars(tag)[0].value for tag in found.Tags()["scalars"]}
    assert values["test/top1/rgb64"] == values["test/top1_per_class/rgb64"] == 1
    assert values["test/top1/ensemble_all"] == 0 and values["test/top5/ensemble_all"] == 1
    (image,) = found.Images("test/confusions")
    assert image.step == 7 and 4 * 44 < image.width < 500


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
    board.hyper_parameters(config, {"best/validation_top1": 0.5})
    board.close()
    found = read(tmp_path)
    assert found.Scalars("best/validation_top1")[0].value == 0.5
    start = found.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    assert b"loss.label_smoothing.kind" in start and b"[64, 32]" in start and b"somewhere" not in start
