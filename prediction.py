"""Evaluate a trained model on a split, or recognise one video: a sign, many signs, a sentence, or also its text.

    python prediction.py --config configs/nla_slr_wlasl_2000.yaml --eval_setting 3x_pad [--split test] [--analyse]
    python prediction.py --config configs/nla_slr_wlasl_2000.yaml --video clip.mp4 [--overlay clip_signs.mp4]
    python prediction.py --config configs/nla_slr_wlasl_2000.yaml --video talk.mp4 --window --out talk.json
    python prediction.py --config configs/demo_sentences/two_stream.yaml [--eval_setting beam_5] [--split test]
    python prediction.py --config configs/demo_sentences/two_stream.yaml --video sentence.mp4 [--out sentence.json]
    python prediction.py --config configs/demo_sentences/translation/joint.yaml [--ensemble RUN] [--video sentence.mp4]

The configuration says which task it is. The model is the best checkpoint of its run folder, or `--checkpoint` (a run,
an export, a checkpoint of ours or a published one). An evaluation prints a table and writes
prediction/<split>_<setting>.json in the folder of the run that was evaluated.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.schema import Config, ContinuousConfig, IsolatedConfig, TranslationConfig, load_experiment
from report.analysis import (
    Analysis,
    LookAlikes,
    add_look_alike_options,
    look_alike_definition,
    read_evaluation,
)
from report.runs import evaluation_path
from utils.command_line import entry_point_parser
from utils.errors import UserError, run_entry_point
from utils.files import write_json

if TYPE_CHECKING:
    from inference.evaluation import Evaluator

OF_ANALYSIS = {"baseline", "min_share", "min_clips", "min_similarity", "look_alikes_from"}
OF_EVALUATION = {"split", "analyse", "allow_missing"} | OF_ANALYSIS
OF_WINDOW = {"out", "min_probability"}
OF_VIDEO = {"keypoints", "top_k", "json", "overlay", "window"} | OF_WINDOW
OF_ISOLATED = {"analyse", "top_k", "window", "min_probability"} | OF_ANALYSIS
WHAT_IT_READS = 0  # --window without a length


def main() -> int:
    parser = options()
    arguments = parser.parse_intermixed_args()
    config = load_experiment(arguments.config, arguments.overrides)
    given = {name for name, value in vars(arguments).items() if value != parser.get_default(name)}
    check(config, arguments, given)
    if arguments.allow_missing:
        config = replace(config, evaluation=replace(config.evaluation, allow_missing=True))
    arguments.eval_setting = evaluation_setting(config, arguments.eval_setting)
    if arguments.video is not None:
        from inference.one_video import recognise

        return recognise(config, arguments.checkpoint or Path(config.run), arguments)
    if arguments.analyse:
        check_baseline(config, arguments)
    return evaluate(config, arguments)


def options() -> argparse.ArgumentParser:
    parser = entry_point_parser(__doc__, "evaluation.batch_size=2")
    parser.add_argument("--config", type=Path, required=True, help="YAML file of the experiment")
    parser.add_argument(
        "--checkpoint", type=Path, help="file, run folder or export; default: the configuration's run"
    )
    parser.add_argument(
        "--eval_setting",
        help="of isolated recognition: origin, one central crop in time, or 3x_pad, three; of continuous recognition: "
        "beam_N with the configured decoding.beam, or beam_1; of translation: beam_N with the configured "
        "generation.beam or validation_beam; default: the first",
    )
    parser.add_argument(
        "--ensemble",
        type=Path,
        action="append",
        default=[],
        metavar="RUN",
        help="of translation: another model, which translates together with this one; may be repeated",
    )
    group = parser.add_argument_group("evaluation")
    group.add_argument("--split", choices=["train", "dev", "test"], default="test")
    group.add_argument(
        "--allow_missing",
        action="store_true",
        help="leave out clips that cannot be read, and say so beside every figure; else the first one ends it",
    )
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
        "--out",
        type=Path,
        help="glosses with times, and the text: JSON file to write, and beside it WebVTT subtitles (.vtt)",
    )
    group.add_argument(
        "--min_probability",
        type=float,
        default=0.15,
        help="with --window: a sign is named from this probability on; default: %(default)s",
    )
    return parser


def check(config: Config, arguments: argparse.Namespace, given: set[str]) -> None:
    """Raise a `UserError` if the options that were given do not go together, or mean nothing for the task."""
    sentences = isinstance(config, ContinuousConfig | TranslationConfig)
    if sentences and (wrong := given & OF_ISOLATED):
        raise UserError(
            f"--{min(wrong)}: is for isolated recognition; {arguments.config} is of {config.kind}"
        )
    if arguments.ensemble and not isinstance(config, TranslationConfig):
        raise UserError(f"--ensemble: is for translation; {arguments.config} is of {config.kind}")
    if arguments.video is not None and (wrong := given & OF_EVALUATION):
        raise UserError(f"--{min(wrong)}: is for the evaluation of a split, not for --video")
    if arguments.video is None and (wrong := given & OF_VIDEO):
        raise UserError(f"--{min(wrong)}: is for one video; name it with --video")
    if not sentences and arguments.window is None and (wrong := given & OF_WINDOW):
        raise UserError(f"--{min(wrong)}: is for the signs of a long video; ask for them with --window")
    if arguments.window is not None and (wrong := given & {"top_k", "eval_setting"}):
        raise UserError(f"--{min(wrong)}: is for a video of a single sign, not for --window")
    if arguments.out is not None and arguments.out.suffix not in (".json", ".vtt"):
        raise UserError(f"--out: {arguments.out} must end in .json or .vtt; both are written")
    look_alike_definition(arguments)
    if arguments.top_k < 1:
        raise UserError("--top_k: must be at least 1")
    if not arguments.analyse and (wrong := given & OF_ANALYSIS):
        raise UserError(f"--{min(wrong)}: is for the analysis of an evaluation; ask for it with --analyse")
    if not 0 <= arguments.min_probability < 1:
        raise UserError("--min_probability: must be at least 0 and below 1")


def evaluation_setting(config: Config, name: str | None) -> str:
    """The setting of this name, or the default one of the task.

    Raises:
        UserError: the task has no such setting.
    """
    settings, hint = ["origin", "3x_pad"], ""
    if isinstance(config, ContinuousConfig):
        settings, hint = [f"beam_{config.decoding.beam}", "beam_1"], "; decoding.beam=N sets the larger beam"
    if isinstance(config, TranslationConfig):
        generation = config.generation
        settings = [f"beam_{beam}" for beam in dict.fromkeys([generation.beam, generation.validation_beam])]
        hint = "; generation.beam=N sets the first"
    if name is not None and name not in settings:
        raise UserError(
            f"--eval_setting: {name!r} is none of {config.kind}, which has {' and '.join(settings)}{hint}"
        )
    return name or settings[0]


def frames(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"--window: {text!r} is not a number of frames")
    return int(text)


def evaluated_run(config: Config, checkpoint: Path | None) -> Path:
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


def evaluate(config: Config, arguments: argparse.Namespace) -> int:
    """Predict a split, print the results, write them."""
    from inference.trained_model import TranslationModel, load_model
    from report.tensorboard import Board
    from tasks import build_task
    from tasks.translation import Translation
    from utils.distributed import start_processes, stop_processes
    from utils.seeding import compute_repeatably

    if config.runtime.deterministic:
        compute_repeatably()
    split, setting = arguments.split, arguments.eval_setting
    run, source = evaluated_run(config, arguments.checkpoint), arguments.checkpoint or Path(config.run)
    processes = start_processes(config.runtime.device)
    model = load_model(source, config)
    task = build_task(replace(config, model=model.config.model), processes)  # type: ignore[call-arg]
    if task.vocabulary != model.vocabulary:
        raise UserError(
            f"{source}: the checkpoint knows {len(model.vocabulary)} glosses which are not the "
            f"{len(task.vocabulary)} of the data; evaluate it on the data it was trained for"
        )
    evaluator: Evaluator[Any, Any]
    if arguments.ensemble:
        assert isinstance(task, Translation) and isinstance(model, TranslationModel)
        _, *others = model.together_with(load_model(path, task.config) for path in arguments.ensemble)
        evaluator, written = task.evaluator(split, [setting], others), f"{setting}_ensemble"
    else:
        evaluator, written = task.evaluator(split, [setting]), setting
    found = evaluator.run(model.recognizer.to(processes.device))
    assert found is not None
    if processes.is_main:
        results = found[setting]
        print(evaluator.network, file=sys.stderr)
        print(f"{split}, {setting}, {len(evaluator.dataset)} clips, {task.precision()}\n{results.table()}")
        path = evaluation_path(run, split, written)
        results.write(path)
        Board(run).evaluation(f"{split}_{written}", results.scalars(), results.pictures(), 0)
        print(f"written to {path}")
        if arguments.analyse:
            analyse(config, arguments)
    stop_processes()
    return 0


def check_baseline(config: Config, arguments: argparse.Namespace) -> None:
    """Raise a `UserError` if an evaluation that the analysis compares with is missing: before hours of predicting."""
    run = evaluated_run(config, arguments.checkpoint)
    baseline = arguments.baseline or run
    for split in {arguments.split, arguments.look_alikes_from or arguments.split}:
        if (baseline, split) != (run, arguments.split):
            read_evaluation(baseline, split, arguments.eval_setting)


def analyse(config: Config, arguments: argparse.Namespace) -> None:
    """Print which glosses are hard and which are taken for one another, and write it beside the evaluation."""
    from configs.build import gloss_similarity

    assert isinstance(config, IsolatedConfig)
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


if __name__ == "__main__":
    run_entry_point(main)
