"""Check a data set before training on it: annotations, videos, keypoints, word vectors, as far as the run needs them.

    python -m dataset.check --config configs/custom.yaml [--json] [key=value ...]

Signs or sentences, as the configuration says.

Every video is decoded to its end. Exit code 1 when a training run would fail or stop.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from configs.schema import Config, ContinuousConfig, IsolatedConfig, TranslationConfig, load_experiment
from dataset.annotations import Clip, read_annotations
from dataset.check.annotations import check_annotations, check_repeats, describe
from dataset.check.findings import CheckReport, Finding
from dataset.check.keypoints import check_keypoints
from dataset.check.sentences import SentenceChecks, check_images, check_sizes
from dataset.check.videos import VideoFacts, VideoInspector, check_video
from dataset.check.words import check_words
from dataset.extraction import RawClips
from dataset.keypoint_summary import summarise_keypoints
from dataset.keypoints import SafetensorsKeypoints, open_keypoints
from dataset.sentences import Sentence, read_sentences
from utils.command_line import add_processes, entry_point_parser
from utils.errors import UserError, run_entry_point
from utils.progress import progress_bar
from utils.workers import on_processes


def main() -> int:
    parser = entry_point_parser(__doc__, "data.file=data/custom/data.yaml")
    parser.add_argument("--config", type=Path, required=True, help="YAML file of the experiment")
    parser.add_argument("--json", action="store_true", help="print every finding as JSON")
    add_processes(parser)
    arguments = parser.parse_intermixed_args()
    config = load_experiment(arguments.config, arguments.overrides)
    if isinstance(config, TranslationConfig):
        raise UserError(
            f"{arguments.config}: is of translation, which reads no videos; check the data of its recognition: "
            f"--config {Path(config.recognition or 'RUN') / 'config.yaml'}"
        )
    report = check_data(config, arguments.processes)
    print(json.dumps(report.json(), ensure_ascii=False, indent=1) if arguments.json else report.text())
    return 1 if report.run_would_fail else 0


def check_data(config: Config, processes: int) -> CheckReport:
    """Everything that a run of this configuration reads."""
    sentences: SentenceChecks | None = None
    clips: Sequence[Clip]
    try:
        if isinstance(config, ContinuousConfig):
            sentences = SentenceChecks(read_sentences(config.data), config.data)
            clips, facts = sentences.sentences, sentences.describe()
            findings = sentences.annotations(config.evaluation.validation_split)
        else:
            assert isinstance(config, IsolatedConfig)
            clips, facts, findings = _check_signs(config)
    except UserError as error:
        finding = Finding("annotations that cannot be used", "annotations", str(error), "fatal")
        return CheckReport([], [], [finding], config.data.max_damaged_share)
    videos: dict[str, VideoFacts] = {}
    if config.data.videos is not None:
        try:
            raw = RawClips(config.data)
            videos = inspect_videos(raw, clips, processes)
            findings += _check_videos(config, raw, videos)
        except UserError as error:
            findings.append(Finding("videos that cannot be opened", "videos", str(error), "fatal"))
    if sentences is not None:
        for sentence in sentences.sentences:
            if (frames := _frames(sentence, videos)) is not None:
                findings += sentences.length(sentence, frames)
    if "keypoint" in config.model.modalities:
        described, found = _check_all_keypoints(config, clips, videos)
        facts += described
        findings += found
    return CheckReport(clips, facts, findings, config.data.max_damaged_share)


def _check_signs(config: IsolatedConfig) -> tuple[list[Clip], list[str], list[Finding]]:
    """The clips, what they are like, and what is wrong with them before any is read."""
    annotations = read_annotations(config.data)
    findings = check_annotations(annotations, config.evaluation.validation_split)
    if config.loss.needs_language and config.data.word_embeddings is not None:
        findings += check_words(Path(config.data.word_embeddings), annotations.vocabulary)
    return annotations.clips, describe(annotations), findings


def _frames(clip: Clip, videos: dict[str, VideoFacts]) -> int | None:
    """How many a clip has: as found in its video, else as annotated; None where nobody knows."""
    return (videos[clip.name].frames if clip.name in videos else clip.length) or None


def _check_videos(config: Config, raw: RawClips, videos: dict[str, VideoFacts]) -> list[Finding]:
    findings = []
    for facts in videos.values():
        missing = []
        if isinstance(facts.clip, Sentence) and config.data.is_images and facts.digest is not None:
            missing = check_images(raw, facts.clip)
        findings += missing or check_video(facts)
    findings += check_repeats((v.clip, v.digest) for v in videos.values() if v.digest is not None)
    if isinstance(config, ContinuousConfig):
        findings += check_sizes(videos.values(), config.data.picture)
    return findings


def inspect_videos(raw: RawClips, clips: Sequence[Clip], processes: int) -> dict[str, VideoFacts]:
    """What is in the video of each clip, by name, in the order of the clips."""
    inspector = VideoInspector(raw)
    found = {}
    with progress_bar(len(clips), 0, "video", True) as progress:
        for facts in on_processes(inspector, list(clips), processes):
            found[facts.clip.name] = facts
            progress.update()
    return {clip.name: found[clip.name] for clip in clips}


def _check_all_keypoints(
    config: Config, clips: Sequence[Clip], videos: dict[str, VideoFacts]
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
            exact = isinstance(clip, Sentence) and clip.length is not None
            frames = clip.length if exact else _frames(clip, videos)
            keypoints, found = check_keypoints(store, clip, frames, config.data.keypoints_picture, exact)
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
