"""Runs of continuous recognition that were evaluated, on the sentences of a set made of the clips of another."""

import json
from pathlib import Path

from configs.schema import ContinuousConfig
from inference.sentence_errors import SentenceResults
from inference.timeline import Segment
from report.runs import evaluation_path
from tests.conftest import write_csv
from utils.config import from_dict, to_yaml
from utils.files import write_json

VOCABULARY = ["<s>", "cold", "snow", "table"]
SIGNED = {"c5": "cold table", "c6": "snow cold table"}  # of 14 and 15 frames


def make_sentence_set(folder: Path) -> Path:
    """The clips of `clip_set` as sentences: their index, and spans.json of the test split."""
    signed = {f"c{i}": "cold snow" if i % 2 else "snow table" for i in range(5)} | SIGNED
    rows = [
        {
            "name": name,
            "glosses": glosses,
            "split": "test" if name in SIGNED else "train",
            "video": f"{name}.mp4",
            "frames": 9 + i,
        }
        for i, (name, glosses) in enumerate(signed.items())
    ]
    spans = {
        name: [(gloss, 4 * i, 4 * i + 3) for i, gloss in enumerate(glosses.split())]
        for name, glosses in SIGNED.items()
    }
    folder.mkdir()
    write_json(folder / "spans.json", spans)
    return write_csv(folder / "sentences.csv", rows)


def sentence_config(run: Path, index: Path, clips: Path, modalities: list[str]) -> ContinuousConfig:
    """Of a tiny network on such a set."""
    values = {
        "run": str(run),
        "task": "continuous",
        "data": {
            "index": str(index),
            "videos": str(clips / "clips.zip"),
            "keypoints": str(clips / "keypoints.safetensors"),
            "frame_size": [32, 32],
            "workers": 0,
        },
        "model": {
            "modalities": modalities,
            "width": 0.01,
            "rgb_size": 64,
            "heatmap_size": 32,
            "heatmap_grid": [32, 32],
            "heatmap_sigma": 2.0,
            "head_size": 8,
        },
        "training": {"batch_size": 2},
        "runtime": {"device": "cpu"},
        "decoding": {"beam": 7},
    }
    return from_dict(ContinuousConfig, values, "test")


def write_run(config: ContinuousConfig, read: dict[str, list[str]]) -> Path:
    """A run folder; {head: what it read in each sentence of the test split}, of which the last head is reported."""
    run = Path(config.run)
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(to_yaml(config))
    epochs = [{"kind": "epoch", "losses": {"total": 3.0 - i}} for i in range(3)]
    validation = {"word_error_rate": {"rgb": 120.0}, "reported": "rgb", "smallest": "rgb"}
    epochs[1:] = [{**epoch, "validation": validation} for epoch in epochs[1:]]
    (run / "metrics.jsonl").write_text("".join(json.dumps(epoch) + "\n" for epoch in epochs))
    reported = list(read)[-1]
    results = SentenceResults(
        list(SIGNED),
        [glosses.split() for glosses in SIGNED.values()],
        {head: [glosses.split() for glosses in of_head] for head, of_head in read.items()},
        [
            [Segment(4 * i + 1, 4 * i + 5, gloss, 0.5) for i, gloss in enumerate(glosses.split())]
            for glosses in read[reported]
        ],
        VOCABULARY,
        reported,
        config.decoding.beam,
    )
    results.write(evaluation_path(run, "test", f"beam_{config.decoding.beam}"))
    return run
