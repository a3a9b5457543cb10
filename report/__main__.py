"""One or several runs of a task side by side: results with intervals, learning curves, what is taken for what.

    python -m report runs/rgb_frame64 runs/two_frame64 runs/nla_slr_wlasl_2000 [--eval_setting 3x_pad]
    python -m report runs/rgb runs/keypoint runs/two_stream [--eval_setting beam_5]
    python -m report runs/gloss_text runs/joint_text

Writes report.html, which holds everything, and the tables as report.md, into the folder of the last run or to --out.
Each run must have been evaluated by prediction.py on the same split and setting. Of isolated recognition the first run
is the baseline whose confusions say which signs look alike, unless --baseline names another.
"""

import argparse
from collections.abc import Sequence
from html import escape
from pathlib import Path

from configs.schema import Config
from report import continuous, isolated, sections, translation
from report.page import write_page
from report.runs import RunRecord, read_runs
from report.sections import Content
from utils.errors import UserError, run_entry_point
from utils.files import replacing

REPORTS = {
    "isolated": isolated,
    "continuous": continuous,
    "translation": translation,
}  # by the task of the runs


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder that training.py wrote")
    parser.add_argument("--split", choices=["train", "dev", "test"], default="test")
    parser.add_argument(
        "--eval_setting",
        help="origin (the default) or 3x_pad of isolated recognition; beam_N of continuous recognition and of "
        "translation, whose default is the beam of the configuration",
    )
    parser.add_argument(
        "--out", type=Path, help="folder for report.html and report.md; default: the last run"
    )
    isolated.add_options(parser)
    arguments = parser.parse_args()
    runs = read_runs(arguments.runs)
    task = task_of(runs)
    given = {name for name, value in vars(arguments).items() if value != parser.get_default(name)}
    if task != "isolated" and (wrong := given & isolated.OPTIONS):
        raise UserError(
            f"--{min(wrong)}: is for runs of isolated recognition; these are of the task {task!r}"
        )
    report = REPORTS[task]
    arguments.eval_setting = report.evaluation_setting(arguments.eval_setting, runs)
    content = report.compare(runs, arguments)
    folder = arguments.out or arguments.runs[-1]
    folder.mkdir(parents=True, exist_ok=True)
    titles = ", ".join(run.title for run in content.runs)
    title = f"{titles}: {arguments.split}, {arguments.eval_setting}"
    write_html(folder / "report.html", title, content)
    write_markdown(folder / "report.md", title, content)
    print(content.summary)
    print(f"written to {folder / 'report.html'} and {folder / 'report.md'}")
    return 0


def task_of(runs: Sequence[RunRecord]) -> str:
    """The task that all the runs are of.

    Raises:
        UserError: they are of several, or of one that has no report.
    """
    tasks = {run.config.get("task", Config.task): run.folder for run in runs}
    if len(tasks) > 1:
        raise UserError(f"{', '.join(map(str, tasks.values()))}: of different tasks: {', '.join(tasks)}")
    (task,) = tasks
    if task not in REPORTS:
        raise UserError(
            f"{runs[0].folder}: there is no report on the task {task!r}; known: {', '.join(REPORTS)}"
        )
    return task


def write_html(path: Path, title: str, content: Content) -> None:
    """The whole report as one page."""
    opening = (
        f"<h1>{escape(content.runs[-1].title)}</h1>"
        f'<p class="lead">{content.lead}</p>'
        f'<p class="note">{escape(title)}</p>'
    )
    write_page(path, title, [opening, *content.sections, sections.configurations(content.runs)])


def write_markdown(path: Path, title: str, content: Content) -> None:
    """Its tables, to be pasted into a README or an issue."""
    parts = [f"# {title}", *content.markdown]
    if len(content.runs) > 1:
        parts += ["## What the configurations differ in", sections.difference_table(content.runs).markdown()]
    with replacing(path) as partial:
        partial.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_entry_point(main)
