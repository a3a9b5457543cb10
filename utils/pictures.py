"""Clips as pictures: frames side by side, their keypoint heatmaps below."""

import io

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from utils.fonts import covering_font

FRAMES_SHOWN = 8
FRAME_SIDE = 128  # pixels
CAPTION_HEIGHT = 28  # pixels


def filmstrip(frames: np.ndarray | None, heatmaps: np.ndarray | None) -> np.ndarray:
    """Frames of a clip from left to right, the heatmaps of the same frames below.

    Args:
        frames: uint8 RGB [T, H, W, 3], or None.
        heatmaps: float [T, h, w] of at least 0, such as the sum over all keypoints, or None; not both None.

    Returns:
        uint8 RGB [height, width, 3].
    """
    rows = []
    if frames is not None:
        rows.append([_resized(frames[i], cv2.INTER_AREA) for i in _chosen(len(frames))])
    if heatmaps is not None:
        # The root keeps single keypoints visible beside the face.
        shares = np.sqrt(heatmaps / max(float(heatmaps.max()), 1e-6))
        rows.append([_coloured(shares[i]) for i in _chosen(len(heatmaps))])
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


def captioned(picture: np.ndarray, caption: str) -> np.ndarray:
    """A picture, uint8 RGB [H, W, 3], with a line of text above it."""
    line = Image.new("RGB", (picture.shape[1], CAPTION_HEIGHT), "white")
    font = ImageFont.truetype(covering_font([caption]), round(0.6 * CAPTION_HEIGHT))
    ImageDraw.Draw(line).text((6, CAPTION_HEIGHT / 2), caption, "black", font, "lm")
    return np.concatenate([np.asarray(line), picture])


def on_white(png: bytes) -> np.ndarray:
    """A transparent PNG file on white paper: uint8 RGB [H, W, 3]."""
    transparent = Image.open(io.BytesIO(png)).convert("RGBA")
    paper = Image.new("RGBA", transparent.size, "white")
    return np.asarray(Image.alpha_composite(paper, transparent).convert("RGB"))


def jpeg(picture: np.ndarray) -> bytes:
    """The file of a picture, uint8 RGB [H, W, 3]."""
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 82])
    return content.tobytes()


def _chosen(count: int) -> np.ndarray:
    return np.linspace(0, count - 1, min(FRAMES_SHOWN, count)).round().astype(int)


def _resized(picture: np.ndarray, interpolation: int) -> np.ndarray:
    return cv2.resize(picture, (FRAME_SIDE, FRAME_SIDE), interpolation=interpolation)


def _coloured(share: np.ndarray) -> np.ndarray:
    picture = (255 * _resized(share.astype(np.float32), cv2.INTER_LINEAR)).clip(0, 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(picture, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
