"""Every clip's video, decoded to its end."""

import hashlib
from dataclasses import dataclass

from dataset.annotations import Clip
from dataset.check.findings import Finding
from dataset.extraction import RawClips

SHORT = 8  # frames below which a clip can hardly show a sign
_SIDE = 32  # pixels; frames are decoded to be counted, not to be seen


@dataclass(frozen=True)
class VideoFacts:
    """Of one clip. digest: of its whole video file (or images), None if there is none. problem: of decoding.
    size: height and width of its first frame, None if there is none."""

    clip: Clip
    frames: int
    digest: str | None
    problem: str | None
    size: tuple[int, int] | None = None


class VideoInspector:
    """Decodes clips; a copy works in every process."""

    def __init__(self, clips: RawClips):
        self._clips = clips

    def __call__(self, clip: Clip) -> VideoFacts:
        contents = self._clips.contents(clip)
        if not contents:
            return VideoFacts(clip, 0, None, None)
        digest = hashlib.sha256()
        for content in contents:
            digest.update(content)
        sizes: list[tuple[int, int]] = []

        def small(height: int, width: int) -> tuple[int, int]:
            sizes.append((height, width))
            return _SIDE, _SIDE

        frames = self._clips.frames(clip, small)
        count = 0
        for count, frame in enumerate(frames, start=1):
            if not sizes:  # images, which come as they are
                sizes.append((frame.shape[0], frame.shape[1]))
        return VideoFacts(clip, count, digest.hexdigest(), frames.problem, sizes[0] if sizes else None)


def check_video(facts: VideoFacts) -> list[Finding]:
    """What is wrong with a clip's video."""
    clip, name = facts.clip, facts.clip.name
    if facts.digest is None:
        return [Finding("no video", name, clip.video, "fatal")]
    if facts.frames == 0:
        return [Finding("video that cannot be decoded", name, facts.problem or "no frames", "damage")]
    findings = []
    if facts.problem is not None:
        findings.append(Finding("damaged video", name, facts.problem, "damage"))
    stated = clip.length
    if stated is not None and facts.frames < stated:
        detail = f"{stated} stated, {facts.frames} there"
        findings.append(Finding("fewer frames than stated", name, detail, "damage"))
    elif stated is not None and facts.frames > stated:
        detail = f"{stated} stated, {facts.frames} there; the rest is never seen"
        findings.append(Finding("more frames than stated", name, detail))
    if facts.frames < SHORT:
        findings.append(Finding("very short clip", name, f"{facts.frames} frames"))
    return findings
