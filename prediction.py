"""Evaluate a trained model on a split, recognise the sign in one video, or find the signs of a long one.

    python prediction.py --config configs/nla_slr_wlasl_2000.yaml --eval_setting 3x_pad [--split test] [--analyse]
    python prediction.py --config configs/nla_slr_wlasl_2000.yaml --video clip.mp4 [--overlay clip_signs.mp4]
    python prediction.py --config configs/nla_slr_wlasl_2000.yaml --video talk.mp4 --window --out talk.json

The model is the best checkpoint of the configuration's run folder, or `--checkpoint` (a run, an export, a checkpoint
of ours or a published one). An evaluation prints a table and writes prediction/<split>_<setting>.json in the folder of
the run that was evaluated.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.schema import IsolatedConfig
from report.analysis import (
    Analysis,
    LookAlikes,
    add_look_alike_options,
    look_alike_definition,
    read_evaluation,
)
from report.runs import evaluation_path
from utils.command_line import entry_point_parser
from utils.config import load_config
from utils.errors import UserError, run_entry_point
from utils.files import write_json

if TYPE_CHECKING:
    from inference.sign_recognizer import Guess, SignRecognizer, Video
    from inference.timeline import Segment

OF_ANALYSIS = {"baseline", "min_share", "min_clips", "min_similarity", "look_alikes_from"}
OF_EVALUATION = {"split", "analyse"} | OF_ANALYSIS
OF_WINDOW = {"out", "min_probability"}
OF_VIDEO = {"keypoints", "top_k", "json", "overlay", "window"} | OF_WINDOW
WHAT_IT_READS = 0  # --window without a length


def main() -> int:
    arguments = parse()
    config = load_config(IsolatedConfig, arguments.config, arguments.overrides)
    if arguments.video is not None:
        return recognise(config, arguments)
    if arguments.analyse:
        check_baseline(config, arguments)
    return evaluate(config, arguments)


def parse() -> argparse.Namespace:
    parser = entry_point_parser(__doc__, "evaluation.batch_size=2")
    parser.add_argument("--config", type=Path, required=True, help="YAML file of the experiment")
    parser.add_argument(
        "--checkpoint", type=Path, help="file, run folder or export; default: the configuration's run"
    )
    parser.add_argument(
        "--eval_setting",
        choices=["origin", "3x_pad"],
        default="origin",
        help="one central crop in time, or three",
    )
    group = parser.add_argument_group("evaluation")
    group.add_argument("--split", choices=["train", "dev", "test"], default="test")
    group.add_argument(
        "--analyse", action="store_true", help="also: accuracy by gloss, confused pairs, look-alike signs"
    )
    group.add_argument(
        "--baseline", type=Path, help="run whose confusions say which signs look alike; default: this run"
    )
    add_look_alike_options(parser)
    group = parser.add_argument_group("one video")
    group.add_argument("--video", type=Path, help="recognise this file instead of evaluating")
    group.add_argument(
        "--keypoints",
        type=Path,
        help="its keypoints, from gen_pose.py --video; default: those of the data set if this is one of its clips, "
        "else found by the configured estimator",
    )
    group.add_argument("--top_k", type=int, default=5, help="how many glosses to name; default: %(default)s")
    group.add_argument("--json", action="store_true", help="print JSON")
    group.add_argument(
        "--overlay", type=Path, help="mp4 to write: the video with keypoints and glosses drawn in"
    )
    group.add_argument(
        "--window",
        type=frames,
        nargs="?",
        const=WHAT_IT_READS,
        metavar="FRAMES",
        help="the video is long: slide a window over it and list its signs; default length: what the network reads",
    )
    group.add_argument(
        "--out", type=Path, help="with --window: JSON file to write, and beside it WebVTT subtitles (.vtt)"
    )
    group.add_argument(
        "--min_probability",
        type=float,
        default=0.15,
        help="with --window: a sign is named from this probability on; default: %(default)s",
    )
    arguments = parser.parse_intermixed_args()
    given = {name for name, value in vars(arguments).items() if value != parser.get_default(name)}
    if arguments.video is not None and (wrong := given & OF_EVALUATION):
        raise UserError(f"--{min(wrong)}: is for the evaluation of a split, not for --video")
    if arguments.video is None and (wrong := given & OF_VIDEO):
        raise UserError(f"--{min(wrong)}: is for one video; name it with --video")
    if arguments.window is None and (wrong := given & OF_WINDOW):
        raise UserError(f"--{min(wrong)}: is for the signs of a long video; ask for them with --window")
    if arguments.window is not None and (wrong := given & {"top_k", "eval_setting"}):
        raise UserError(f"--{min(wrong)}: is for a video of a single sign, not for --window")
    look_alike_definition(arguments)
    if arguments.top_k < 1:
        raise UserError("--top_k: must be at least 1")
    if not arguments.analyse and (wrong := given & OF_ANALYSIS):
        raise UserError(f"--{min(wrong)}: is for the analysis of an evaluation; ask for it with --analyse")
    if not 0 <= arguments.min_probability < 1:
        raise UserError("--min_probability: must be at least 0 and below 1")
    return arguments


def frames(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"--window: {text!r} is not a number of frames")
    return int(text)


def evaluated_run(config: IsolatedConfig, checkpoint: Path | None) -> Path:
    """The folder that an evaluation belongs to: that of the run or export that was evaluated.

    For a file that lies in no run, such as a published one, it is the configuration's.

    Raises:
        UserError: which has a trained model of its own.
    """
    run = Path(config.run)
    if checkpoint is None:
        return run
    if checkpoint.is_dir():
        return checkpoint
    if (checkpoint.parent / "config.yaml").is_file():
        return checkpoint.parent
    if (run / "best.pt").is_file():
        raise UserError(
            f"{run}: holds another model; name a folder for the evaluation of {checkpoint} as run=..."
        )
    return run


def evaluate(config: IsolatedConfig, arguments: argparse.Namespace) -> int:
    """Predict a split, print the results, write them."""
    from inference.trained_model import load_model
    from modeling.engine import encoder_precision
    from report.tensorboard import Board
    from tasks import build_task
    from utils.distributed import start_processes, stop_processes

    split, setting = arguments.split, arguments.eval_setting
    run, source = evaluated_run(config, arguments.checkpoint), arguments.checkpoint or Path(config.run)
    processes = start_processes(config.runtime.device)
    model = load_model(source, config)
    task = build_task(replace(config, model=model.recognizer.config), processes)
    if task.vocabulary != model.vocabulary:
        raise UserError(
            f"{source}: the checkpoint knows {len(model.vocabulary)} glosses which are not the "
            f"{len(task.vocabulary)} of the data; evaluate it on the data it was trained for"
        )
    evaluator = task.evaluator(split, [setting])
    found = evaluator.run(model.recognizer.to(processes.device))
    assert found is not None
    if processes.is_main:
        results = found[setting]
        print(evaluator.network, file=sys.stderr)
        precision = encoder_precision(config.runtime, processes.device)
        print(f"{split}, {setting}, {len(evaluator.dataset)} clips, {precision} encoders\n{results.table()}")
        path = evaluation_path(run, split, setting)
        results.write(path)
        Board(run).evaluation(f"{split}_{setting}", results.scalars(), results.pictures(), 0)
        print(f"written to {path}")
        if arguments.analyse:
            analyse(config, arguments)
    stop_processes()
    return 0


def check_baseline(config: IsolatedConfig, arguments: argparse.Namespace) -> None:
    """Raise a `UserError` if an evaluation that the analysis compares with is missing: before hours of predicting."""
    run = evaluated_run(config, arguments.checkpoint)
    baseline = arguments.baseline or run
    for split in {arguments.split, arguments.look_alikes_from or arguments.split}:
        if (baseline, split) != (run, arguments.split):
            read_evaluation(baseline, split, arguments.eval_setting)


def analyse(config: IsolatedConfig, arguments: argparse.Namespace) -> None:
    """Print which glosses are hard and which are taken for one another, and write it beside the evaluation."""
    from configs.build import gloss_similarity

    split, setting = arguments.split, arguments.eval_setting
    run = evaluated_run(config, arguments.checkpoint)
    baseline = arguments.baseline or run
    evaluation = read_evaluation(run, split, setting)
    similarity = gloss_similarity(config, evaluation.vocabulary)
    look_alikes = LookAlikes.find(
        read_evaluation(baseline, arguments.look_alikes_from or split, setting),
        similarity,
        look_alike_definition(arguments),
    )
    runs = {str(run): read_evaluation(run, split, setting) for run in (baseline, run)}
    analysis = Analysis(evaluation, similarity, look_alikes, runs)
    print(f"\n{analysis.text()}")
    path = evaluation.path.with_name(f"{evaluation.path.stem}_analysis.json")
    write_json(path, analysis.content())
    print(f"\nwritten to {path}")


def recognise(config: IsolatedConfig, arguments: argparse.Namespace) -> int:
    """Name the sign of one video, or the signs of a long one."""
    from dataset.video import VideoFrames, count_frames
    from inference.sign_recognizer import SignRecognizer
    from inference.trained_model import load_model
    from report.overlay import Caption, check_overlay, write_overlay
    from utils.progress import progress_bar

    path, overlay = arguments.video, arguments.overlay
    if not path.is_file():
        raise UserError(f"{path}: no such video")
    if overlay is not None:
        check_overlay(overlay, path)
    source = arguments.checkpoint or Path(config.run)
    recognizer = SignRecognizer(load_model(source, config), config, config.runtime.device)
    with progress_bar(count_frames(path.read_bytes()), 0, "frame", shown=True, delay=1) as progress:
        video = recognizer.read(path, arguments.keypoints, progress.update)
    if video.source:
        print(f"keypoints: {video.source}", file=sys.stderr)
    if arguments.window is None:
        guesses = recognizer.best(recognizer.probabilities(video, arguments.eval_setting), arguments.top_k)
        print_guesses(guesses, arguments.json)
        captions = [Caption(0, video.frames, guesses)]
    else:
        segments = find_signs(recognizer, video, arguments)
        captions = [Caption(s.start, s.end, [(s.gloss, s.probability)]) for s in segments]
    if overlay is not None:
        write_overlay(overlay, VideoFrames(video.content), video.keypoints, video.rate, captions)
        print(f"{overlay}: the video with what was recognised", file=sys.stderr)
    return 0


def find_signs(
    recognizer: "SignRecognizer", video: "Video", arguments: argparse.Namespace
) -> "list[Segment]":
    """The signs of a long video, printed and, with --out, written."""
    from inference.timeline import webvtt
    from utils.progress import progress_bar

    with progress_bar(video.frames, 0, "frame", shown=True, delay=1) as progress:
        segments = recognizer.timeline(
            video, arguments.window or None, arguments.min_probability, progress.update
        )
    timeline: list[dict[str, Any]] = [
        {
            "start": round(segment.start / video.rate, 3),
            "end": round(segment.end / video.rate, 3),
            "gloss": segment.gloss,
            "probability": segment.probability,
        }
        for segment in segments
    ]
    if arguments.json:
        print(json.dumps(timeline, ensure_ascii=False))
    else:
        if not timeline:
            print(
                f"no sign found that is at least {100 * arguments.min_probability:g} % likely",
                file=sys.stderr,
            )
        for sign in timeline:
            print(
                f"{sign['start']:8.2f} s {sign['end']:8.2f} s {100 * sign['probability']:6.1f} %  {sign['gloss']}"
            )
    if arguments.out is not None:
        write_json(arguments.out, timeline)
        subtitles = arguments.out.with_suffix(".vtt")
        subtitles.write_text(webvtt(segments, video.rate), encoding="utf-8")
        print(f"written to {arguments.out} and {subtitles}", file=sys.stderr)
    return segments


def print_guesses(guesses: "list[Guess]", as_json: bool) -> None:
    if as_json:
        print(json.dumps([guess._asdict() for guess in guesses], ensure_ascii=False))
    else:
        for gloss, probability in guesses:
            print(f"{100 * probability:6.2f} %  {gloss}")


if __name__ == "__main__":
    run_entry_point(main)
