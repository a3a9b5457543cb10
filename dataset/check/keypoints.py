"""Every clip's keypoints, as they are stored."""

import numpy as np

from dataset.annotations import Clip
from dataset.check.findings import Finding, Level
from dataset.keypoint_summary import hands_found
from dataset.keypoints import KeypointStore, SafetensorsKeypoints
from utils.errors import UserError

OUTSIDE_BY = 0.5  # a confident point may leave the frame by this share of its side
CONFIDENT_FROM = 0.3
FEW_HANDS = 0.1  # share of a clip's frames with a hand below which it is named


def check_keypoints(
    store: KeypointStore, clip: Clip, frames: int | None, frame_size: tuple[int, int], exact: bool
) -> tuple[np.ndarray | None, list[Finding]]:
    """The keypoints of a clip, None if they cannot be used, and what is wrong with them.

    Args:
        frames: of its video, None where it is not known.
        frame_size: height and width of the raw frames, pixels, where the store does not say it.
        exact: whether a run refuses keypoints of more or fewer frames.
    """
    if clip.name not in store:
        return None, [Finding("no keypoints", clip.name, clip.video, "fatal")]
    try:
        keypoints = store.read(clip.name)
    except UserError as error:
        return None, [Finding("keypoints of another shape", clip.name, str(error), "fatal")]
    if not len(keypoints):
        return None, [Finding("keypoints without frames", clip.name, clip.video, "fatal")]
    if not np.isfinite(keypoints).all():
        return None, [Finding("keypoints that are not finite", clip.name, "NaN or infinite", "fatal")]
    findings = []
    if frames is not None and len(keypoints) != frames:
        kind = "fewer keypoints than frames" if len(keypoints) < frames else "more keypoints than frames"
        level: Level = "fatal" if exact else "damage" if len(keypoints) < frames else "warning"
        findings.append(Finding(kind, clip.name, f"{frames} frames, keypoints for {len(keypoints)}", level))
    size = np.array(store.frame_size(clip.name) or frame_size[::-1])
    confident = keypoints[..., 2] >= CONFIDENT_FROM
    beyond = (keypoints[..., :2] < -OUTSIDE_BY * size) | (keypoints[..., :2] > (1 + OUTSIDE_BY) * size)
    outside = float((beyond.any(axis=2) & confident).mean())
    if outside > 0.01:
        detail = f"{100 * outside:.0f} % of the points far outside {size[0]} x {size[1]} (other frame size?)"
        findings.append(Finding("keypoints outside the frame", clip.name, detail))
    hands = float((hands_found(keypoints) > 0).mean())
    if hands < FEW_HANDS:
        findings.append(Finding("hardly any hands", clip.name, f"in {100 * hands:.0f} % of the frames"))
    if isinstance(store, SafetensorsKeypoints) and clip.name in store.problems:
        findings.append(Finding("damaged when keypoints were found", clip.name, store.problems[clip.name]))
    return keypoints, findings
