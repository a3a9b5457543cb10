"""The whole method from one command: render the sign set, train every stage, evaluate, recognise, report.

    python demo.py [--out runs/demo] [--seed 321]

Ctrl-C stops it; the same command continues where it stopped. Its results are <out>/summary.json and
<out>/report.html.
"""

import statistics
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.schema import IsolatedConfig
from demo_parts import (
    CONFIGS,
    Stopwatch,
    machine,
    refuse_other_seed,
    stage_config,
    start,
    train_and_evaluate,
)
from report.runs import evaluation_path
from utils.errors import run_entry_point
from utils.files import read_json, write_json

if TYPE_CHECKING:
    from dataset.synthetic.sign_set import SignSetConfig
    from report.demo_page import Clip

CONFIGURED_OUT = Path("runs/demo")  # where the configurations of the demo keep everything
STAGES = {
    "keypoint8": "Keypoints, 8 frames",
    "keypoint16": "Keypoints, 16 frames",
    "rgb16": "RGB, 16 frames",
    "rgb8": "RGB, 8 frames",
    "two_stream16": "Two streams, 16 frames",
    "two_stream8": "Two streams, 8 frames",
    "nla_slr": "NLA-SLR",
}
BEFORE, FINAL = "two_stream16", "nla_slr"  # compared on the look-alike pairs
SETTINGS = {"1_crop": "origin", "3_crop": "3x_pad"}  # name in the summary -> evaluation setting
WRONG_SHOWN, CORRECT_SHOWN = 12, 4  # filmstrips in the report


def main() -> int:
    return start(__doc__, CONFIGURED_OUT, run)


def run(
    out: Path, seed: int, sign_set: "SignSetConfig | None" = None, overrides: "list[str] | None" = None
) -> bool:
    """The whole demo; False if it was interrupted.

    Args:
        out: folder for everything the demo writes; what is already there is not made again.
        seed: of the sign set and of every training.
        sign_set: what to render; default: the full set.
        overrides: `key.path=value` for every stage, on top of configs/demo.

    Raises:
        UserError: `out` holds a demo with another seed or configuration.
    """
    from dataset.synthetic.sign_set import MANIFEST, SignSetConfig, make_sign_set

    sign_set = sign_set or SignSetConfig(seed=seed)
    configs = {
        name: stage_config(
            IsolatedConfig, CONFIGS / "demo" / f"{name}.yaml", CONFIGURED_OUT, out, seed, overrides or []
        )
        for name in STAGES
    }
    refuse_other_seed(out / "data" / MANIFEST, seed)
    watch = Stopwatch(out / "seconds.json")
    with watch.measure("rendering"):
        make_sign_set(out / "data", sign_set)
    for number, (name, config) in enumerate(configs.items(), start=1):
        print(f"\n[{number}/{len(STAGES)}] {STAGES[name]}", flush=True)
        if not train_and_evaluate(config, list(SETTINGS.values())):
            return False
    recognised = recognise_file(configs[FINAL], out)
    summary = summarise(configs, watch, seed, recognised)
    write_json(out / "summary.json", summary)
    write_page(configs, summary, out / "report.html")
    print(f"\n{table(summary)}")
    return True


def recognise_file(config: IsolatedConfig, out: Path) -> dict[str, Any]:
    """Take the first test clip out of the zip and name its sign, as `prediction.py --video` does."""
    from dataset.annotations import read_annotations
    from inference.sign_recognizer import SignRecognizer

    assert config.data.videos is not None
    clip = read_annotations(config.data).split("test")[0]
    video = out / Path(clip.video).name
    with zipfile.ZipFile(config.data.videos) as archive:
        video.write_bytes(archive.read(clip.video))
    command = f"python prediction.py --config {Path(config.run) / 'config.yaml'} --video {video}"
    print(f"\n{command}")
    started = time.perf_counter()
    guesses = SignRecognizer.load(config.run).predict(video)
    return {
        "video": video.name,
        "gloss": clip.gloss,
        "top_5": [guess._asdict() for guess in guesses],
        "seconds": time.perf_counter() - started,
        "command": command,
    }


def summarise(
    configs: dict[str, IsolatedConfig], watch: Stopwatch, seed: int, recognised: dict[str, Any]
) -> dict[str, Any]:
    """Everything measured, as plain values; shares are in [0, 1]."""
    from dataset.annotations import SPLITS, read_annotations

    annotations = read_annotations(configs[FINAL].data)
    clips = {split: len(annotations.split(split)) for split in SPLITS}
    signers = {split: len({clip.signer for clip in annotations.split(split)}) for split in SPLITS}
    stages = {name: summarise_stage(config, clips["test"]) for name, config in configs.items()}
    return {
        "seed": seed,
        "glosses": len(annotations.vocabulary),
        "chance": 1 / len(annotations.vocabulary),
        "clips": clips,
        "signers": signers,
        "stages": stages,
        "final": {"stage": FINAL, **stages[FINAL]},
        "recognised": recognised,
        "rendering_seconds": watch.seconds["rendering"],
        "total_seconds": watch.seconds["rendering"]
        + recognised["seconds"]
        + sum(stage["training_seconds"] + stage["evaluation_seconds"] for stage in stages.values()),
        **machine(),
    }


def summarise_stage(config: IsolatedConfig, test_clips: int) -> dict[str, Any]:
    from report.runs import read_epochs

    seconds = Stopwatch.of(config).seconds
    accuracies = {}
    for name, setting in SETTINGS.items():
        content = read_json(evaluation_path(config.run, "test", setting), dict)
        found = content["accuracy"][content["reported"]]
        accuracies[name] = {
            kind: {"top_1": found[kind]["1"], "top_5": found[kind]["5"]}
            for kind in ("per_instance", "per_class")
        }
    return {
        "streams": config.model.streams,
        "epochs": config.training.epochs,
        "accuracy": accuracies,
        "training_seconds": seconds["training"],
        "evaluation_seconds": seconds["evaluation"],
        # Of training steps alone; the training seconds also hold loading, validation and saving.
        "training_clips_per_second": statistics.harmonic_mean(
            [entry["clips_per_second"] for entry in read_epochs(Path(config.run))]
        ),
        "evaluation_clips_per_second": test_clips / seconds["evaluation"],  # of three crops each
    }


def write_page(configs: dict[str, IsolatedConfig], summary: dict[str, Any], path: Path) -> None:
    """Collect what the report shows, and write it."""
    from dataset.annotations import read_annotations
    from dataset.synthetic.signs import LOOK_ALIKES
    from report.demo_page import Pair, Report, write_report
    from report.runs import read_epochs

    clips = {
        name: read_json(evaluation_path(configs[name].run, "test", "3x_pad"), dict)["clips"]
        for name in (BEFORE, FINAL)
    }
    outcomes = {
        name: [(clip["label"], clip["top_5"][0]["gloss"]) for clip in predicted]
        for name, predicted in clips.items()
    }
    vocabulary = read_annotations(configs[FINAL].data).vocabulary
    pairs = [Pair(*pair) for pair in LOOK_ALIKES if {pair.first, pair.second} <= set(vocabulary)]
    paired = [gloss for pair in pairs for gloss in (pair.first, pair.second)]
    is_correct = [label == best for label, best in outcomes[FINAL]]
    correct = [clip for clip, hit in zip(clips[FINAL], is_correct, strict=True) if hit]
    wrong = [clip for clip, hit in zip(clips[FINAL], is_correct, strict=True) if not hit]
    content = Report(
        summary=summary,
        titles=STAGES,
        curves={name: read_epochs(Path(config.run)) for name, config in configs.items()},
        # Look-alikes side by side, so that their confusions stand beside the diagonal.
        glosses=paired + [gloss for gloss in vocabulary if gloss not in paired],
        before=BEFORE,
        outcomes_before=outcomes[BEFORE],
        outcomes=outcomes[FINAL],
        pairs=pairs,
        correct=clips_as_read(
            configs[FINAL], correct[:: max(1, len(correct) // CORRECT_SHOWN)][:CORRECT_SHOWN]
        ),
        wrong=clips_as_read(configs[FINAL], wrong[:WRONG_SHOWN]),
        number_wrong=len(wrong),
    )
    write_report(path, content)


def clips_as_read(config: IsolatedConfig, predicted: list[dict[str, Any]]) -> "list[Clip]":
    """The clips of some predictions as the network reads them."""
    from report.demo_page import Clip
    from report.network_view import view_clips
    from report.sections import Example

    views = view_clips(config, "test", [prediction["name"] for prediction in predicted])
    return [
        Clip(
            Example(prediction["name"], *view),
            prediction["label"],
            [(guess["gloss"], guess["probability"]) for guess in prediction["top_5"]],
        )
        for prediction, view in zip(predicted, views, strict=True)
    ]


def table(summary: dict[str, Any]) -> str:
    """One line a stage, and what was recognised."""
    lines = [f"{'test, top-1':24}{'1 crop':>9}{'3 crops':>9}{'seconds':>9}"]
    for name, stage in summary["stages"].items():
        tops = [stage["accuracy"][setting]["per_instance"]["top_1"] for setting in SETTINGS]
        seconds = stage["training_seconds"] + stage["evaluation_seconds"]
        lines.append(f"{STAGES[name]:24}{tops[0]:9.4f}{tops[1]:9.4f}{seconds:9.1f}")
    recognised = summary["recognised"]
    best = recognised["top_5"][0]
    lines += [
        f"{'chance; in all':24}" + f"{summary['chance']:9.4f}" * 2 + f"{summary['total_seconds']:9.1f}",
        f"\n{recognised['video']} shows {recognised['gloss']!r}; "
        f"recognised: {best['gloss']!r} ({100 * best['probability']:.1f} %)",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    run_entry_point(main)
