"""One or several runs side by side: accuracies with intervals, learning curves, look-alike signs, confused pairs.

    python -m report runs/rgb_frame64 runs/two_frame64 runs/nla_slr_wlasl_2000 [--eval_setting 3x_pad]

Writes report.html, which holds everything, and the tables as report.md, into the folder of the last run or to --out.
Each run must have been evaluated by prediction.py on the same split and setting. The first run is the baseline whose
confusions say which signs look alike, unless --baseline names another.
"""

import argparse
from collections.abc import Sequence
from html import escape
from pathlib import Path

from configs.build import gloss_similarity
from configs.schema import Config
from dataset.annotations import Split
from report import sections
from report.analysis import (
    ConfusedPair,
    GlossSimilarity,
    LookAlikes,
    add_look_alike_options,
    confused_pairs,
    look_alike_definition,
    read_evaluation,
)
from report.network_view import view_clips
from report.page import interval, percent, write_page
from report.runs import RunRecord, read_runs
from report.sections import Example
from utils.config import from_dict
from utils.errors import UserError, run_entry_point
from utils.files import replacing

PAIRS, PAIRS_SHOWN = 12, 4  # in the table, and with clips


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder that training.py wrote")
    parser.add_argument("--split", choices=["train", "dev", "test"], default="test")
    parser.add_argument("--eval_setting", choices=["origin", "3x_pad"], default="origin")
    parser.add_argument(
        "--baseline", type=Path, help="run that says which signs look alike; default: the first"
    )
    parser.add_argument(
        "--out", type=Path, help="folder for report.html and report.md; default: the last run"
    )
    add_look_alike_options(parser)
    arguments = parser.parse_args()
    definition = look_alike_definition(arguments)
    split, setting = arguments.split, arguments.eval_setting
    runs = read_runs(arguments.runs, split, setting)
    baseline = read_evaluation(
        arguments.baseline or runs[0].folder, arguments.look_alikes_from or split, setting
    )
    similarity = read_similarity(runs)
    look_alikes = LookAlikes.find(baseline, similarity, definition)
    pairs = confused_pairs(runs[-1].evaluation, similarity)[:PAIRS]
    folder = arguments.out or runs[-1].folder
    folder.mkdir(parents=True, exist_ok=True)
    title = f"{', '.join(run.title for run in runs)}: {split}, {setting}"
    write_markdown(folder / "report.md", title, runs, look_alikes, pairs)
    write_html(folder / "report.html", title, runs, look_alikes, pairs, find_examples(runs[-1], split, pairs))
    print(sections.accuracy_table(runs).markdown())
    print(f"written to {folder / 'report.html'} and {folder / 'report.md'}")
    return 0


def configuration(run: RunRecord) -> Config:
    return from_dict(Config, run.config, str(run.folder / "config.yaml"))


def read_similarity(runs: Sequence[RunRecord]) -> GlossSimilarity | None:
    """By the word embeddings of the first run that has some."""
    for run in runs:
        found = gloss_similarity(configuration(run), run.evaluation.vocabulary)
        if found is not None:
            return found
    return None


def find_examples(
    run: RunRecord, split: Split, pairs: Sequence[ConfusedPair]
) -> dict[tuple[str, str], list[Example]]:
    """Of the first pairs a clip that was taken for the other sign, and one of that sign that was not."""
    evaluation = run.evaluation
    clips = list(zip(evaluation.names, evaluation.labels, evaluation.predicted, strict=True))
    chosen: dict[tuple[str, str], list[tuple[str, str]]] = {}  # pair -> clip names with captions
    for pair in pairs[:PAIRS_SHOWN]:
        both = {pair.first, pair.second}
        name, label, said = next(c for c in clips if c[1] != c[2] and {c[1], c[2]} == both)
        chosen[pair.first, pair.second] = [(name, f"{label}, taken for {said} ({name})")]
        for name, label, predicted in clips:
            if label == predicted == said:
                chosen[pair.first, pair.second].append((name, f"{said}, recognised ({name})"))
                break
    names = [name for shown in chosen.values() for name, _ in shown]
    try:
        views = dict(zip(names, view_clips(configuration(run), split, names), strict=True))
    except UserError as error:
        print(f"no pictures of clips: {error}")
        return {}
    return {
        pair: [Example(caption, *views[name]) for name, caption in shown] for pair, shown in chosen.items()
    }


def write_html(
    path: Path,
    title: str,
    runs: Sequence[RunRecord],
    look_alikes: LookAlikes,
    pairs: Sequence[ConfusedPair],
    examples: dict[tuple[str, str], list[Example]],
) -> None:
    """The whole report as one page."""
    last = runs[-1]
    accuracy = last.evaluation.accuracy[last.evaluation.reported]
    low, high = accuracy["intervals"]["per_instance"]["1"]
    opening = (
        f"<h1>{escape(last.title)}</h1>"
        f'<p class="lead">It names <b>{percent(accuracy["per_instance"]["1"])}</b> of '
        f"{len(last.evaluation.names)} clips right, of {len(last.evaluation.vocabulary)} glosses "
        f"(95&nbsp;% interval {interval((low, high))}).</p>"
        f'<p class="note">{escape(title)}</p>'
    )
    outcomes = list(zip(last.evaluation.labels, last.evaluation.predicted, strict=True))
    alike = sorted(look_alikes.groups, key=lambda gloss: look_alikes.groups[gloss])
    glosses = [*alike, *(gloss for gloss in last.evaluation.vocabulary if gloss not in look_alikes.groups)]
    parts = [
        opening,
        sections.accuracies(runs),
        sections.curves({run.title: run.epochs for run in runs if run.epochs}),
        sections.look_alike_signs(runs, look_alikes),
        sections.confused(runs, pairs, examples),
        sections.confusion_matrix(last.title, outcomes, glosses),
        sections.configurations(runs),
    ]
    write_page(path, title, parts)


def write_markdown(
    path: Path,
    title: str,
    runs: Sequence[RunRecord],
    look_alikes: LookAlikes,
    pairs: Sequence[ConfusedPair],
) -> None:
    """Its tables, to be pasted into a README or an issue."""
    parts = [f"# {title}", sections.accuracy_table(runs).markdown()]
    parts += ["## Look-alike signs", sections.look_alike_table(runs, look_alikes).markdown()]
    if pairs:
        parts += ["## Confused pairs", sections.confusion_table(runs, pairs).markdown()]
    if len(runs) > 1:
        parts += ["## What the configurations differ in", sections.difference_table(runs).markdown()]
    with replacing(path) as partial:
        partial.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_entry_point(main)
