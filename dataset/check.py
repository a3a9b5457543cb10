"""Check the keypoints of a data set before training on them.

    python -m dataset.check --config configs/nla_slr_wlasl_2000.yaml [key=value ...]

Exit code 1 when a training run would fail or stop.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from configs.schema import Config
from dataset.annotations import Clip, read_annotations
from dataset.extraction import RawClips
from dataset.keypoint_summary import hands_found, summarise_keypoints
from dataset.keypoints import KeypointStore, SafetensorsKeypoints, open_keypoints
from utils.command_line import entry_point_parser
from utils.config import load_config
from utils.errors import UserError, run_entry_point
from utils.progress import progress_bar

OUTSIDE_BY = 0.5  # a confident point may leave the frame by this share of its side
CONFIDENT_FROM = 0.3
FEW_HANDS = 0.1  # share of a clip's frames with a hand below which it is named
SHOWN = 5  # clips named per finding


@dataclass(frozen=True)
class Finding:
    """Something about one clip. `kind` groups them; a run fails on a `fatal` one, and counts a `damage` one."""

    kind: str
    clip: str
    detail: str
    fatal: bool = False
    damage: bool = False


def check_keypoints(store: KeypointStore, clip: Clip, frames: int | None, side: int) -> list[Finding]:
    """What is wrong with the keypoints of a clip.

    Args:
        frames: of its video, None where it is not known.
        side: raw frame side, pixels, where the store does not say it.
    """
    if clip.name not in store:
        return [Finding("no keypoints", clip.name, clip.video, fatal=True)]
    try:
        keypoints = store.read(clip.name)
    except UserError as error:
        return [Finding("wrong shape", clip.name, str(error), fatal=True)]
    if not len(keypoints):
        return [Finding("no frames in the keypoints", clip.name, clip.video, fatal=True)]
    findings = []
    if not np.isfinite(keypoints).all():
        findings.append(Finding("values that are not finite", clip.name, "NaN or infinite", fatal=True))
    if frames is not None and len(keypoints) != frames:
        fewer = len(keypoints) < frames
        detail = f"{frames} frames, keypoints for {len(keypoints)}"
        findings.append(Finding("other frame count than the video", clip.name, detail, damage=fewer))
    size = np.array(store.frame_size(clip.name) or (side, side))
    confident = keypoints[..., 2] >= CONFIDENT_FROM
    beyond = (keypoints[..., :2] < -OUTSIDE_BY * size) | (keypoints[..., :2] > (1 + OUTSIDE_BY) * size)
    outside = float((beyond.any(axis=2) & confident).mean())
    if outside > 0.01:
        detail = f"{100 * outside:.0f} % of the points far outside {size[0]} x {size[1]}"
        findings.append(Finding("points outside the frame (other frame size?)", clip.name, detail))
    hands = float((hands_found(keypoints) > 0).mean())
    if hands < FEW_HANDS:
        findings.append(Finding("hardly any hands", clip.name, f"in {100 * hands:.0f} % of the frames"))
    if isinstance(store, SafetensorsKeypoints) and clip.name in store.problems:
        findings.append(Finding("damaged when extracted", clip.name, store.problems[clip.name]))
    return findings


def main() -> int:
    parser = entry_point_parser(__doc__, "data.keypoints=k.safetensors")
    parser.add_argument("--config", type=Path, required=True, help="YAML file of the experiment")
    arguments = parser.parse_intermixed_args()
    config = load_config(Config, arguments.config, arguments.overrides)
    if config.data.keypoints is None:
        raise UserError("data.keypoints: missing; there are no keypoints to check")
    clips = read_annotations(config.data).clips
    store = open_keypoints(Path(config.data.keypoints))
    raw = RawClips(config.data) if config.data.videos is not None else None

    findings: list[Finding] = []
    with progress_bar(len(clips), 0, "clip", True) as progress:
        for clip in clips:
            frames = raw.length(clip) if raw is not None else clip.frames
            findings += check_keypoints(store, clip, frames or None, config.data.keypoints_frame_size)
            progress.update()
    broken = {finding.clip for finding in findings if finding.fatal}
    summary = summarise_keypoints(store.read(clip.name) for clip in clips if clip.name not in broken)
    estimator = store.estimator if isinstance(store, SafetensorsKeypoints) else "not recorded in this format"
    print(f"{store.path}: estimator: {estimator}\n{summary}")
    return report(findings, len(clips), config.data.max_damaged_share)


def report(findings: list[Finding], clips: int, max_damaged_share: float) -> int:
    """Print the findings by kind; the exit code."""
    kinds: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        kinds[finding.kind].append(finding)
    for kind, found in kinds.items():
        print(f"{kind}: {len(found)} clips" + (" - a run would fail" if found[0].fatal else ""))
        for finding in found[:SHOWN]:
            print(f"  {finding.clip}: {finding.detail}")
    damaged = len({finding.clip for finding in findings if finding.damage})
    too_many = damaged > max_damaged_share * clips
    if too_many:
        print(f"{damaged} of {clips} clips are damaged, more than data.max_damaged_share - a run would stop")
    if not kinds:
        print("nothing wrong")
    return 1 if too_many or any(finding.fatal for finding in findings) else 0


if __name__ == "__main__":
    run_entry_point(main)
