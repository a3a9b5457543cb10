"""The report of a demo run.

It is given plain values and arrays and knows nothing of how they came about.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from report import isolated_sections, sections
from report.charts import Bars, accuracy_chart
from report.page import Cell, Table, duration, figures, image, percent, write_page


class Pair(NamedTuple):
    """Two glosses whose signs differ in one cue only."""

    first: str
    second: str
    similar_meaning: bool
    cue: str


class PairScore(NamedTuple):
    """Of the clips that show either sign of a pair: how many were right, how many taken for the other one."""

    clips: int
    correct: int
    confused: int


@dataclass(frozen=True)
class Clip:
    """A clip as the network read it, what it shows, and the likeliest glosses, best first."""

    example: sections.Example
    gloss: str
    top: list[tuple[str, float]]


@dataclass(frozen=True)
class Report:
    """What the page shows.

    summary: the content of summary.json. titles: {stage: name for people}, in order.
    curves: {stage: epoch entries of its metrics.jsonl}. glosses: in the order of the confusion matrix.
    outcomes: (true, predicted) gloss of every test clip by the final model; outcomes_before: by the stage
    `before`.
    correct, wrong: clips to show; number_wrong: how many were wrong in all.
    """

    summary: dict[str, Any]
    titles: dict[str, str]
    curves: dict[str, list[dict[str, Any]]]
    glosses: list[str]
    before: str
    outcomes_before: list[tuple[str, str]]
    outcomes: list[tuple[str, str]]
    pairs: list[Pair]
    correct: list[Clip]
    wrong: list[Clip]
    number_wrong: int


def write_report(path: Path, report: Report) -> None:
    """Write the page, which refers to no other file."""
    epochs = {report.titles[name]: entries for name, entries in report.curves.items()}
    parts = [
        _opening(report),
        _stages(report),
        isolated_sections.curves(epochs),
        _pairs(report),
        isolated_sections.confusion_matrix("NLA-SLR with 3 crops", report.outcomes, report.glosses),
        _clips(report),
        _closing(report),
    ]
    write_page(path, "NLA-SLR demo", parts)


def pair_score(pair: Pair, outcomes: Sequence[tuple[str, str]]) -> PairScore:
    """Count within the clips whose true gloss is one of the pair."""
    both = {pair.first, pair.second}
    within = [(true, predicted) for true, predicted in outcomes if true in both]
    correct = sum(true == predicted for true, predicted in within)
    confused = sum(true != predicted and predicted in both for true, predicted in within)
    return PairScore(len(within), correct, confused)


def _opening(report: Report) -> str:
    s = report.summary
    final = s["final"]["accuracy"]["3_crop"]["per_instance"]
    clips, signers = s["clips"], s["signers"]
    shown = [
        (percent(final["top_1"]), "top-1, 3 crops, unseen signers"),
        (percent(final["top_5"]), "top-5"),
        (percent(s["chance"]), "chance"),
        (
            duration(s["total_seconds"]),
            f"from nothing, on {s['threads']} CPU thread{'s' * (s['threads'] > 1)}",
        ),
    ]
    return (
        "<h1>NLA-SLR, trained from nothing</h1>"
        f'<p class="lead">In {duration(s["total_seconds"])} the whole method was trained on '
        f"{clips['train']} rendered clips of {s['glosses']} signs by {signers['train']} synthetic signers. "
        f"It names <b>{percent(final['top_1'])}</b> of {clips['test']} clips of {signers['test']} other "
        f"signers, whom it has never seen; guessing would name {percent(s['chance'])}.</p>"
        + figures(shown)
        + '<p class="note">The signs are invented for this demonstration; only their structure (handshape, '
        "place, movement, mouth) follows real sign languages. The figures show that the method runs and "
        "learns, not how well it would do on real recordings.</p>"
    )


def _stages(report: Report) -> str:
    stages = report.summary["stages"]
    top1 = {
        setting: [stage["accuracy"][setting]["per_instance"]["top_1"] for stage in stages.values()]
        for setting in ("1_crop", "3_crop")
    }
    chart = accuracy_chart(
        [report.titles[name] for name in stages],
        [Bars("1 crop", top1["1_crop"]), Bars("3 crops", top1["3_crop"])],
        report.summary["chance"],
    )
    rows = []
    for name, stage in stages.items():
        one, three = stage["accuracy"]["1_crop"], stage["accuracy"]["3_crop"]
        shares = [
            one["per_instance"]["top_1"],
            three["per_instance"]["top_1"],
            three["per_instance"]["top_5"],
            three["per_class"]["top_1"],
        ]
        row = [report.titles[name], *(percent(share) for share in shares)]
        row += [f"{stage['training_seconds']:.0f} s", f"{stage['training_clips_per_second']:.0f}"]
        rows.append([*row, f"{stage['evaluation_clips_per_second']:.0f}"])
    final = list(stages).index(report.summary["final"]["stage"])
    heads = ["Stage", "1 crop", "3 crops", "top-5", "per class", "training", "clips/s", "test clips/s"]
    return (
        "<h2>Accuracy of every stage</h2>"
        "<p>Single streams are trained first; two streams of one clip length start from them; NLA-SLR starts "
        "from both pairs of streams and adds the language parts. Of every test clip one or three crops in "
        "time are read.</p>"
        + image(chart, "Top-1 accuracy of every stage with one and with three crops")
        + Table(heads, rows, {final}).html()
        + '<p class="note">Top-1 per instance with 1 and 3 crops; top-5 per instance and top-1 per class '
        "with 3 crops. Training time includes loading and the validation after every epoch; clips/s are "
        "those of the training steps alone, and of the evaluation with 3 crops.</p>"
    )


def _pairs(report: Report) -> str:
    if not report.pairs:
        return ""
    rows: list[list[str | Cell]] = []
    totals = [PairScore(0, 0, 0), PairScore(0, 0, 0)]
    for pair in report.pairs:
        scores = [pair_score(pair, outcomes) for outcomes in (report.outcomes_before, report.outcomes)]
        totals = [PairScore(*map(sum, zip(a, b, strict=True))) for a, b in zip(totals, scores, strict=True)]
        meaning = "similar" if pair.similar_meaning else "distinct"
        names = Cell(f"{pair.first} / {pair.second}", f"{meaning} meaning, differ in {pair.cue}")
        rows.append([names, *_score_cells(scores)])
    rows.append(["all pairs", *_score_cells(totals)])
    before, after = (
        escape(report.titles[name]) for name in (report.before, report.summary["final"]["stage"])
    )
    heads = ["Pair", "before", "confused", "after", "confused"]
    return (
        "<h2>Look-alike pairs, before and after the language parts</h2>"
        f"<p>The two signs of a pair differ in one cue only. Before: {before}. After: {after}, which starts "
        "from the two-stream stages and adds the language parts, but also the second clip length and further "
        "training; the difference is due to all of these together, not to the language parts alone.</p>"
        + Table(heads, rows, {len(rows) - 1}).html()
        + '<p class="note">Before, after: share of the clips of both signs that were recognised, 3 crops. '
        "Confused: how many were taken for the other sign of the pair.</p>"
    )


def _score_cells(scores: Sequence[PairScore]) -> list[str]:
    return [
        text
        for score in scores
        for text in (percent(score.correct / score.clips), f"{score.confused} of {score.clips}")
    ]


def _clips(report: Report) -> str:
    shown = "all of them" if len(report.wrong) == report.number_wrong else f"the first {len(report.wrong)}"
    wrong = (
        f"<h3>Wrong: {report.number_wrong} of {len(report.outcomes)} clips, {shown}</h3>"
        if report.wrong
        else ""
    )
    return (
        "<h2>Test clips</h2>"
        "<p>Frames of the central crop, below them the keypoint heatmaps (summed over the keypoints), and "
        "what NLA-SLR makes of the clip with 3 crops.</p>"
        + wrong
        + "".join(map(_clip, report.wrong))
        + ("<h3>Correct: some of the others</h3>" if report.correct else "")
        + "".join(map(_clip, report.correct))
    )


def _clip(clip: Clip) -> str:
    if clip.top[0][0] == clip.gloss:
        verdict = '<span class="good">✓</span>'
    else:
        verdict = f'<span class="bad">taken for {escape(clip.top[0][0])}</span>'
    rows = "".join(
        f"<span{' class=true' if gloss == clip.gloss else ''}>{escape(gloss)}</span>"
        f'<i style="width:{100 * probability:.1f}%"></i><span>{percent(probability)}</span>'
        for gloss, probability in clip.top
    )
    return (
        f'<div class="clip"><b>{escape(clip.gloss)}</b> {verdict} '
        f'<span class="note">{escape(clip.example.caption)}</span>'
        f'{sections.strip(clip.example)}<div class="top">{rows}</div></div>'
    )


def _closing(report: Report) -> str:
    s = report.summary
    recognised = s["recognised"]
    best = recognised["top_5"][0]
    versions = ", ".join(f"{name} {version}" for name, version in s["versions"].items())
    return (
        "<h2>Recognise a clip yourself</h2>"
        f"<p><code>{escape(recognised['command'])}</code></p>"
        f"<p>The clip shows <b>{escape(recognised['gloss'])}</b> and was recognised as "
        f"<b>{escape(best['gloss'])}</b> with {percent(best['probability'])}, in "
        f"{recognised['seconds']:.1f} s including the loading of the model (one crop).</p>"
        f'<p class="note">Seed {s["seed"]}. Rendering took {duration(s["rendering_seconds"])}. '
        f"{escape(versions)}.</p>"
    )
