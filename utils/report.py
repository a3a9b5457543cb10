"""The report of a demo run: one HTML page that holds everything, readable on a phone, in light and in dark.

It is given plain values and arrays and knows nothing of how they came about. All text is escaped.
"""

import base64
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from utils.files import replacing
from utils.report_plots import accuracy_chart, confusion_chart, curve_chart

FRAMES_SHOWN = 8  # of each filmstrip
FRAME_SIDE = 128  # pixels

STYLE = Path(__file__).with_name("report.css")


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
class Filmstrip:
    """One clip as the network read it, and what it said.

    frames: uint8 RGB [T, H, W, 3]. heatmaps: float [T, h, w], summed over the keypoints.
    top: glosses with their probabilities, best first.
    """

    name: str
    gloss: str
    frames: np.ndarray
    heatmaps: np.ndarray
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
    correct: list[Filmstrip]
    wrong: list[Filmstrip]
    number_wrong: int


def write_report(path: Path, report: Report) -> None:
    """Write the page, which refers to no other file."""
    sections = [
        _opening(report),
        _stages(report),
        _curves(report),
        _pairs(report),
        _confusion(report),
        _clips(report),
        _closing(report),
    ]
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>NLA-SLR demo</title><style>{STYLE.read_text()}</style></head><body>\n"
        + "\n".join(sections)
        + "\n</body></html>\n"
    )
    with replacing(path) as partial:
        partial.write_text(page, encoding="utf-8")


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
    figures = [
        (_percent(final["top_1"]), "top-1, 3 crops, unseen signers"),
        (_percent(final["top_5"]), "top-5"),
        (_percent(s["chance"]), "chance"),
        (
            _duration(s["total_seconds"]),
            f"from nothing, on {s['threads']} CPU thread{'s' * (s['threads'] > 1)}",
        ),
    ]
    boxes = "".join(f"<div><b>{value}</b><span>{escape(label)}</span></div>" for value, label in figures)
    return (
        "<h1>NLA-SLR, trained from nothing</h1>"
        f'<p class="lead">In {_duration(s["total_seconds"])} the whole method was trained on '
        f"{clips['train']} rendered clips of {s['glosses']} signs by {signers['train']} synthetic signers. "
        f"It names <b>{_percent(final['top_1'])}</b> of {clips['test']} clips of {signers['test']} other "
        f"signers, whom it has never seen; guessing would name {_percent(s['chance'])}.</p>"
        f'<div class="figures">{boxes}</div>'
        '<p class="note">The signs are invented for this demonstration; only their structure (handshape, '
        "place, movement, mouth) follows real sign languages. The figures show that the method runs and "
        "learns, not how well it would do on real recordings.</p>"
    )


def _stages(report: Report) -> str:
    stages = report.summary["stages"]
    chart = accuracy_chart(
        [report.titles[name] for name in stages],
        [stage["accuracy"]["1_crop"]["per_instance"]["top_1"] for stage in stages.values()],
        [stage["accuracy"]["3_crop"]["per_instance"]["top_1"] for stage in stages.values()],
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
        cells = [_percent(share) for share in shares]
        cells += [f"{stage['training_seconds']:.0f} s", f"{stage['training_clips_per_second']:.0f}"]
        cells.append(f"{stage['evaluation_clips_per_second']:.0f}")
        mark = ' class="final"' if name == report.summary["final"]["stage"] else ""
        rows.append(
            f"<tr{mark}><td>{escape(report.titles[name])}</td>"
            + "".join(f"<td>{c}</td>" for c in cells)
            + "</tr>"
        )
    heads = ["Stage", "1 crop", "3 crops", "top-5", "per class", "training", "clips/s", "test clips/s"]
    return (
        "<h2>Accuracy of every stage</h2>"
        "<p>Single streams are trained first; two streams of one clip length start from them; NLA-SLR starts "
        "from both pairs of streams and adds the language parts. Of every test clip one or three crops in "
        "time are read.</p>"
        + _image(chart, "Top-1 accuracy of every stage with one and with three crops")
        + _table(heads, rows)
        + '<p class="note">Top-1 per instance with 1 and 3 crops; top-5 per instance and top-1 per class '
        "with 3 crops. Training time includes loading and the validation after every epoch; clips/s are "
        "those of the training steps alone, and of the evaluation with 3 crops.</p>"
    )


def _curves(report: Report) -> str:
    loss = {
        report.titles[name]: [entry["losses"]["total"] for entry in entries]
        for name, entries in report.curves.items()
    }
    top1 = {
        report.titles[name]: [entry["validation"]["per_instance"]["1"] for entry in entries]
        for name, entries in report.curves.items()
    }
    charts = _image(curve_chart(loss, "training loss", share=False), "Training loss by epoch")
    charts += _image(curve_chart(top1, "validation top-1", share=True), "Validation top-1 by epoch")
    return (
        "<h2>Learning curves</h2>"
        f'<div class="columns">{charts}</div>'
        '<p class="note">The losses add up over the heads of a model, and NLA-SLR learns from soft labels '
        "and mixed clips, so that their levels cannot be compared between stages.</p>"
    )


def _pairs(report: Report) -> str:
    if not report.pairs:
        return ""
    rows, totals = [], [PairScore(0, 0, 0), PairScore(0, 0, 0)]
    for pair in report.pairs:
        scores = [pair_score(pair, outcomes) for outcomes in (report.outcomes_before, report.outcomes)]
        totals = [PairScore(*map(sum, zip(a, b, strict=True))) for a, b in zip(totals, scores, strict=True)]
        meaning = "similar" if pair.similar_meaning else "distinct"
        names = f"{escape(pair.first)} / {escape(pair.second)}"
        rows.append(
            _pair_row("", f"{names}<small>{meaning} meaning, differ in {escape(pair.cue)}</small>", scores)
        )
    rows.append(_pair_row(' class="final"', "all pairs", totals))
    before, after = (
        escape(report.titles[name]) for name in (report.before, report.summary["final"]["stage"])
    )
    heads = ["Pair", "before", "confused", "after", "confused"]
    return (
        "<h2>Look-alike pairs, before and after the language parts</h2>"
        f"<p>The two signs of a pair differ in one cue only. Before: {before}. After: {after}, which starts "
        "from the two-stream stages and adds the language parts, but also the second clip length and further "
        "training; the difference is due to all of these together, not to the language parts alone.</p>"
        + _table(heads, rows)
        + '<p class="note">Before, after: share of the clips of both signs that were recognised, 3 crops. '
        "Confused: how many were taken for the other sign of the pair.</p>"
    )


def _pair_row(mark: str, names: str, scores: Sequence[PairScore]) -> str:
    cells = "".join(
        f"<td>{_percent(score.correct / score.clips)}</td><td>{score.confused} of {score.clips}</td>"
        for score in scores
    )
    return f"<tr{mark}><td>{names}</td>{cells}</tr>"


def _confusion(report: Report) -> str:
    count = Counter(report.outcomes)
    matrix = np.array([[count[true, predicted] for predicted in report.glosses] for true in report.glosses])
    chart = _image(
        confusion_chart(matrix, report.glosses), "Confusion matrix of the final model on the test clips"
    )
    return (
        "<h2>Confusion matrix</h2>"
        f"<p>NLA-SLR with 3 crops: {matrix.trace()} of {matrix.sum()} test clips lie on the diagonal. "
        "Look-alike pairs come first, side by side.</p>"
        f'<div class="scroll">{chart}</div>'
    )


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


def _clip(clip: Filmstrip) -> str:
    hit = clip.top[0][0] == clip.gloss
    verdict = (
        '<span class="good">✓</span>'
        if hit
        else f'<span class="bad">taken for {escape(clip.top[0][0])}</span>'
    )
    rows = "".join(
        f"<span{' class=true' if gloss == clip.gloss else ''}>{escape(gloss)}</span>"
        f'<i style="width:{100 * probability:.1f}%"></i><span>{_percent(probability)}</span>'
        for gloss, probability in clip.top
    )
    return (
        f'<div class="clip"><b>{escape(clip.gloss)}</b> {verdict} '
        f'<span class="note">{escape(clip.name)}</span>'
        f'<div class="scroll">{_image(_filmstrip(clip), f"Frames and heatmaps of {clip.name}", "jpeg")}</div>'
        f'<div class="top">{rows}</div></div>'
    )


def _filmstrip(clip: Filmstrip) -> bytes:
    """JPEG: frames from left to right, their heatmaps below."""
    chosen = np.linspace(0, len(clip.frames) - 1, min(FRAMES_SHOWN, len(clip.frames))).round().astype(int)
    scaled = np.sqrt(
        clip.heatmaps / clip.heatmaps.max()
    )  # the root keeps single keypoints visible beside the face
    columns = []
    for i in chosen:
        picture = cv2.resize(clip.frames[i], (FRAME_SIDE, FRAME_SIDE), interpolation=cv2.INTER_AREA)
        heatmap = cv2.resize(
            scaled[i].astype(np.float32), (FRAME_SIDE, FRAME_SIDE), interpolation=cv2.INTER_LINEAR
        )
        coloured = cv2.applyColorMap((255 * heatmap).astype(np.uint8), cv2.COLORMAP_INFERNO)
        columns.append(np.concatenate([cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), coloured]))
    _, content = cv2.imencode(".jpg", np.concatenate(columns, axis=1), [cv2.IMWRITE_JPEG_QUALITY, 82])
    return content.tobytes()


def _closing(report: Report) -> str:
    s = report.summary
    recognised = s["recognised"]
    best = recognised["top_5"][0]
    versions = ", ".join(f"{name} {version}" for name, version in s["versions"].items())
    return (
        "<h2>Recognise a clip yourself</h2>"
        f"<p><code>{escape(recognised['command'])}</code></p>"
        f"<p>The clip shows <b>{escape(recognised['gloss'])}</b> and was recognised as "
        f"<b>{escape(best['gloss'])}</b> with {_percent(best['probability'])}, in "
        f"{recognised['seconds']:.1f} s including the loading of the model (one crop).</p>"
        f'<p class="note">Seed {s["seed"]}. Rendering took {_duration(s["rendering_seconds"])}. '
        f"{escape(versions)}.</p>"
    )


def _table(heads: Sequence[str], rows: Sequence[str]) -> str:
    head, body = "".join(f"<th>{escape(head)}</th>" for head in heads), "".join(rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _image(content: bytes, description: str, kind: str = "png") -> str:
    data = base64.b64encode(content).decode()
    return f'<img alt="{escape(description)}" src="data:image/{kind};base64,{data}">'


def _percent(share: float) -> str:
    return f"{100 * share:.1f}&nbsp;%"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}&nbsp;min {rest}&nbsp;s" if minutes else f"{rest}&nbsp;s"
