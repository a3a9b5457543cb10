"""Check a data set before training on it: annotations, videos, keypoints, word vectors, as far as the run needs them.

    python -m dataset.check --config configs/custom.yaml [--json] [key=value ...]

Every video is decoded to its end. Exit code 1 when a training run would fail or stop.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from configs.schema import IsolatedConfig
from dataset.annotations import Clip, read_annotations
from dataset.check.annotations import check_annotations, check_repeats, describe
from dataset.check.findings import CheckReport, Finding
from dataset.check.keypoints import check_keypoints
from dataset.check.videos import VideoFacts, VideoInspector, check_video
from dataset.check.words import check_words
from dataset.extraction import RawClips
from dataset.keypoint_summary import summarise_keypoints
from dataset.keypoints import SafetensorsKeypoints, open_keypoints
from utils.command_line import add_processes, entry_point_parser
from utils.config import load_config
from utils.errors import UserError, run_entry_point
from utils.progress import progress_bar
from utils.workers import on_processes


def main() -> int:
    parser = entry_point_parser(__doc__, "data.file=data/custom/data.yaml")
    parser.add_argument("--config", type=Path, required=True, help="YAML file of the experiment")
    parser.add_argument("--json", action="store_true", help="print every finding as JSON")
    add_processes(parser)
    arguments = parser.parse_intermixed_args()
    config = load_config(IsolatedConfig, arguments.config, arguments.overrides)
    report = check_data(config, arguments.processes)
    print(json.dumps(report.json(), ensure_ascii=False, indent=1) if arguments.json else report.text())
    return 1 if report.run_would_fail else 0


def check_data(config: IsolatedConfig, processes: int) -> CheckReport:
    """Everything that a run of this configuration reads."""
    try:
        annotations = read_annotations(config.data)
    except UserError as error:
        finding = Finding("annotations that cannot be used", "annotations", str(error), "fatal")
        return CheckReport([], [], [finding], config.data.max_damaged_share)
    facts = describe(annotations)
    findings = check_annotations(annotations, config.evaluation.validation_split)
    if config.loss.needs_language and config.data.word_embeddings is not None:
        findings += check_words(Path(config.data.word_embeddings), annotations.vocabulary)
    videos: dict[str, VideoFacts] = {}
    if config.data.videos is not None:
        try:
            videos = inspect_videos(config, annotations.clips, processes)
        except UserError as error:
            findings.append(Finding("videos that cannot be opened", "videos", str(error), "fatal"))
    for clip in annotations.clips:
        if clip.name in videos:
            findings += check_video(videos[clip.name])
    findings += check_repeats((v.clip, v.digest) for v in videos.values() if v.digest is not None)
    if "keypoint" in config.model.modalities:
        described, found = _check_all_keypoints(config, annotations.clips, videos)
        facts += described
        findings += found
    return CheckReport(annotations.clips, facts, findings, config.data.max_damaged_share)


def inspect_videos(config: IsolatedConfig, clips: Sequence[Clip], processes: int) -> dict[str, VideoFacts]:
    """What is in the video of each clip, by name, in the order of the clips."""
    inspector = VideoInspector(RawClips(config.data))
    found = {}
    with progress_bar(len(clips), 0, "video", True) as progress:
        for facts in on_processes(inspector, list(clips), processes):
            found[facts.clip.name] = facts
            progress.update()
    return {clip.name: found[clip.name] for clip in clips}


def _check_all_keypoints(
    config: IsolatedConfig, clips: Sequence[Clip], videos: dict[str, VideoFacts]
) -> tuple[list[str], list[Finding]]:
    assert config.data.keypoints is not None  # the configuration makes sure
    path = Path(config.data.keypoints)
    try:
        store = open_keypoints(path)
    except UserError as error:
        return [], [Finding("keypoints that cannot be read", path.name, str(error), "fatal")]
    findings: list[Finding] = []

    def usable() -> Iterator[np.ndarray]:
        for clip in clips:
            frames = videos[clip.name].frames if clip.name in videos else clip.length
            keypoints, found = check_keypoints(store, clip, frames or None, config.data.keypoints_frame_size)
            findings.extend(found)
            if keypoints is not None:
                yield keypoints

    summary = summarise_keypoints(usable())
    estimator = store.estimator if isinstance(store, SafetensorsKeypoints) else "not recorded in this format"
    facts = [f"{path}: estimator: {estimator}"]
    if summary.clips:
        facts.append(str(summary))
    return facts, findings


if __name__ == "__main__":
    run_entry_point(main)
