"""What each part of the two methods brings, on the embedded set in its harder form: every row with several seeds.

    python -m benchmarks.ablation                       # all that is not in benchmarks/ablation.json yet: hours
    python -m benchmarks.ablation --papers isolated --seeds 1    # some of it, such as one seed on each core

Single signs: 64 glosses, 48 of them in pairs that differ in one cue, signed by people who differ half as much again as
in the demo, with keypoints that miss and exchange hands twice as often; one crop. Sentences: those of the demo, by such
people and with such keypoints. Stages are the demos', rows those of configs/ablations. Every figure is kept as it
comes, and stands in the table of docs/reproduction.md; the same command goes on where it was stopped.
"""

import argparse
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

import demo
import demo_sentences
from configs.schema import ContinuousConfig, IsolatedConfig, RecognitionConfig
from dataset.synthetic.more_signs import ALL_LOOK_ALIKES, LEXICON
from dataset.synthetic.sentence_set import SentenceSetConfig
from dataset.synthetic.sign_set import SignSetConfig, make_sign_set
from demo_parts import CONFIGS, stage_config, train_and_evaluate
from report.runs import evaluation_path
from training import INTERRUPTED
from utils.errors import run_entry_point
from utils.files import read_json, write_json

RESULTS = Path(__file__).with_name("ablation.json")
PAGE = Path(__file__).parents[1] / "docs" / "reproduction.md"
OUT = Path("runs/ablation")
HARDER: dict[str, Any] = {"variety": 1.5, "estimator_errors": 1.0}

Figures = dict[str, float]  # in per cent


class Row(NamedTuple):
    """A row of the table: its title, the configuration it is one of, and what is changed."""

    title: str
    file: str
    changes: tuple[str, ...] = ()


ISOLATED = {
    "keypoint8": Row("keypoints, 8 frames", "demo/keypoint8.yaml"),
    "keypoint16": Row("keypoints, 16 frames", "demo/keypoint16.yaml"),
    "rgb16": Row("RGB, 16 frames", "demo/rgb16.yaml"),
    "rgb8": Row("RGB, 8 frames", "demo/rgb8.yaml"),
    "no_laterals16": Row(
        "two streams, 16 frames, no laterals", "demo/two_stream16.yaml", ("model.lateral_connections=false",)
    ),
    "two_stream16": Row("two streams, 16 frames", "demo/two_stream16.yaml"),
    "two_stream8": Row("two streams, 8 frames", "demo/two_stream8.yaml"),
    "vknet": Row("VKNet: both lengths", "ablations/demo/vknet.yaml"),
    "smoothing": Row("+ language-aware smoothing", "ablations/demo/smoothing.yaml"),
    "mixups": Row("VKNet + both mixups", "ablations/demo/mixups.yaml"),
    "smoothing_intra": Row("smoothing + intra-modality mixup", "ablations/demo/smoothing_intra.yaml"),
    "smoothing_inter": Row("smoothing + inter-modality mixup", "ablations/demo/smoothing_inter.yaml"),
    "auxiliary": Row("both; auxiliary classifier alone", "ablations/demo/auxiliary.yaml"),
    "integration": Row("+ integration", "ablations/demo/integration.yaml"),
    "nla_slr": Row("+ decay: NLA-SLR", "demo/nla_slr.yaml"),
}
CONTINUOUS = {
    "signs": Row("", "demo_sentences/signs.yaml"),
    "strings": Row("", "demo_sentences/strings.yaml"),
    "keypoint": Row("keypoints", "demo_sentences/keypoint.yaml"),
    "rgb": Row("RGB", "demo_sentences/rgb.yaml"),
    "no_laterals": Row("two streams, no laterals", "ablations/demo_sentences/no_laterals.yaml"),
    "no_pyramid": Row("two streams, no pyramids", "ablations/demo_sentences/no_pyramid.yaml"),
    "no_distillation": Row("two streams, no distillation", "ablations/demo_sentences/no_distillation.yaml"),
    "no_joint_head": Row("two streams, no joint head", "ablations/demo_sentences/no_joint_head.yaml"),
    "two_stream": Row("Two-Stream network", "demo_sentences/two_stream.yaml"),
}


class Paper(NamedTuple):
    """What is trained for the table of one paper."""

    rows: dict[str, Row]
    kind: type[RecognitionConfig]
    configured_out: Path
    render: Callable[[Path, int], None]
    setting: str
    figures: Callable[[dict[str, Any]], Figures]  # from what an evaluation wrote
    columns: dict[str, str]  # figure -> heading


def render_signs(data: Path, seed: int) -> None:
    config = SignSetConfig(seed=seed, glosses=64, train_clips=10, dev_clips=2, test_clips=5, **HARDER)
    make_sign_set(data, config)


def render_sentences(data: Path, seed: int) -> None:
    signs = SignSetConfig(seed=seed, train_clips=demo_sentences.SIGN_CLIPS, **HARDER)
    demo_sentences.render(data, seed, signs, SentenceSetConfig(seed=seed, **HARDER))


def accuracies(found: dict[str, Any]) -> Figures:
    """Top-1 of all clips, and of the look-alike signs of similar and distinct meaning and the others."""
    paired = {gloss: pair.similar_meaning for pair in ALL_LOOK_ALIKES for gloss in pair[:2]}
    kinds = {
        "all": {sign.gloss for sign in LEXICON},
        "similar": {gloss for gloss, similar in paired.items() if similar},
        "distinct": {gloss for gloss, similar in paired.items() if not similar},
        "other": {sign.gloss for sign in LEXICON} - set(paired),
    }
    return {
        kind: 100 * statistics.mean(clip["rank"] == 0 for clip in found["clips"] if clip["label"] in glosses)
        for kind, glosses in kinds.items()
    }


def word_error_rate(found: dict[str, Any]) -> Figures:
    return {"wer": found["word_errors"][found["reported"]]["rate"]}


PAPERS = {
    "isolated": Paper(
        ISOLATED,
        IsolatedConfig,
        demo.CONFIGURED_OUT,
        render_signs,
        "origin",
        accuracies,
        {"all": "all signs", "similar": "similar meaning", "distinct": "distinct meaning", "other": "others"},
    ),
    "continuous": Paper(
        CONTINUOUS,
        ContinuousConfig,
        demo_sentences.CONFIGURED_OUT,
        render_sentences,
        "beam_5",
        word_error_rate,
        {"wer": "word error rate"},
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--papers", nargs="+", choices=[*PAPERS], default=[*PAPERS], help="default: both")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3], help="default: 1 2 3")
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        for name in arguments.papers:
            if not train(name, PAPERS[name], seed):
                return INTERRUPTED
    for name, paper in PAPERS.items():
        print("\n".join(table(paper, known(name))))
    return 0


def train(name: str, paper: Paper, seed: int) -> bool:
    """Every row of a paper with one seed that is not known yet; False if it was interrupted."""
    out = OUT / name / f"seed{seed}"
    configs = {
        row: stage_config(
            paper.kind, CONFIGS / file, paper.configured_out, out, seed, [f"run={out / row}", *changes]
        )
        for row, (_, file, changes) in paper.rows.items()
    }
    wanted = {row for row in configs if str(seed) not in known(name).get(row, {})}
    for row in reversed(configs):  # and those that these start from, which stand before them
        if row in wanted:
            init = configs[row].init
            wanted |= {Path(run).name for run in [*init.stages, *filter(None, [init.encoder])]}
    if wanted:
        paper.render(out / "data", seed)
    for row, config in configs.items():
        if row not in wanted:
            continue
        print(f"\n{name}, seed {seed}: {row}", flush=True)
        if not train_and_evaluate(config, [paper.setting]):
            return False
        found = read_json(evaluation_path(config.run, "test", paper.setting), dict)
        keep(name, paper, row, seed, paper.figures(found))
    return True


def known(name: str) -> dict[str, dict[str, Figures]]:
    """{row: {seed: figures}}"""
    return read_json(RESULTS, dict).get(name, {}) if RESULTS.is_file() else {}


def keep(name: str, paper: Paper, row: str, seed: int, figures: Figures) -> None:
    with FileLock(RESULTS.with_suffix(".lock")):
        results = read_json(RESULTS, dict) if RESULTS.is_file() else {}
        results.setdefault(name, {}).setdefault(row, {})[str(seed)] = figures
        write_json(RESULTS, results)
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
        before, _, rest = PAGE.read_text().partition(begin)
        after = rest.partition(end)[2]
        text = "\n".join(table(paper, results[name]))
        PAGE.write_text(f"{before}{begin}\n{text}\n\n{end}{after}")


def table(paper: Paper, results: dict[str, dict[str, Figures]]) -> Iterator[str]:
    """In Markdown: means, and deviations of the seeds where there are several."""
    yield "| | " + " | ".join(paper.columns.values()) + " | seeds |"
    yield "| --- |" + " --- |" * (len(paper.columns) + 1)
    for row, (title, *_) in paper.rows.items():
        if title and row in results:
            seeds = results[row].values()
            cells = [spread([figures[column] for figures in seeds]) for column in paper.columns]
            yield f"| {title} | " + " | ".join([*cells, str(len(seeds))]) + " |"


def spread(values: Sequence[float]) -> str:
    text = f"{statistics.mean(values):.1f}"
    return f"{text} ± {statistics.stdev(values):.1f}" if len(values) > 1 else text


if __name__ == "__main__":
    run_entry_point(main)
