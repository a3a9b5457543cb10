"""Clips as pictures: frames side by side, their keypoint heatmaps below."""

import io
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from report.fonts import covering_font

FRAMES_SHOWN = 8
FRAME_SIDE = 128  # pixels
CAPTION_HEIGHT = 56  # pixels, to be read in TensorBoard's small pictures
CELL = 44  # pixels, of a confusion matrix
MATRIX_GLOSSES = 48  # most that fit into a confusion matrix which can be read
GREY, RIGHT, WRONG = (128, 136, 147), (59, 111, 212), (208, 57, 63)


def filmstrip(
    frames: np.ndarray | None, heatmaps: np.ndarray | None, *, most: int = FRAMES_SHOWN
) -> np.ndarray:
    """At most so many frames of a clip from left to right, the heatmaps of the same frames below.

    Args:
        frames: uint8 RGB [T, H, W, 3], or None.
        heatmaps: float [T, h, w] of at least 0, such as the sum over all keypoints, or None; not both None.

    Returns:
        uint8 RGB [height, width, 3].
    """
    rows = []
    if frames is not None:
        rows.append([_resized(frames[i], cv2.INTER_AREA) for i in _chosen(len(frames), most)])
    if heatmaps is not None:
        # The root keeps single keypoints visible beside the face.
        shares = np.sqrt(heatmaps / max(float(heatmaps.max()), 1e-6))
        rows.append([_coloured(shares[i]) for i in _chosen(len(heatmaps), most)])
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


def captioned(picture: np.ndarray, caption: str) -> np.ndarray:
    """A picture, uint8 RGB [H, W, 3], with a line of text above it, smaller where it would not fit."""
    width = picture.shape[1]
    line = Image.new("RGB", (width, CAPTION_HEIGHT), "white")
    font = ImageFont.truetype(covering_font([caption]), round(0.6 * CAPTION_HEIGHT))
    if (too_wide := font.getlength(caption) / (width - 12)) > 1:
        font = font.font_variant(size=max(1, int(font.size / too_wide)))
    ImageDraw.Draw(line).text((6, CAPTION_HEIGHT / 2), caption, "black", font, "lm")
    return np.concatenate([np.asarray(line), picture])


def confusion_picture(matrix: np.ndarray, glosses: Sequence[str]) -> np.ndarray:
    """Clips by true (rows) and predicted gloss (columns), darker where they are a larger share of the row.

    Transparent, with lines and text of a middle grey, so that one picture serves a light and a dark page.

    Args:
        matrix: int [N, N].

    Returns:
        uint8 RGBA [height, width, 4].
    """
    font = ImageFont.truetype(covering_font(glosses), CELL // 2)
    room = round(max(font.getlength(gloss) for gloss in glosses)) + CELL // 3  # for the longest gloss
    side = CELL * len(glosses)
    left, bottom = CELL + room, side + room
    picture = Image.new("RGBA", (left + side + 1, bottom + CELL))
    canvas = ImageDraw.Draw(picture)
    for i in range(len(glosses) + 1):
        canvas.line((left, CELL * i, left + side, CELL * i), (*GREY, 70))
        canvas.line((left + CELL * i, 0, left + CELL * i, side), (*GREY, 70))
    shares = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    for row, column in np.argwhere(matrix).tolist():
        x, y = left + CELL * column, CELL * row
        colour = (*(RIGHT if row == column else WRONG), round(140 + 115 * shares[row, column]))
        canvas.rectangle((x + 1, y + 1, x + CELL - 1, y + CELL - 1), colour)
        text = str(matrix[row, column])
        canvas.text((x + CELL // 2, y + CELL // 2), text, "white", font, "mm")
    for i, gloss in enumerate(glosses):
        canvas.text((left - CELL // 6, CELL * i + CELL // 2), gloss, GREY, font, "rm")
        label = _upright_text(gloss, font)
        picture.alpha_composite(label, (left + CELL * i, side + CELL // 6))
    canvas.text((left + side // 2, bottom + CELL // 2), "recognised", GREY, font, "mm")
    shown = _upright_text("shown", font)
    picture.alpha_composite(shown, (0, (side - shown.height) // 2))
    return np.asarray(picture)


def _upright_text(text: str, font: ImageFont.FreeTypeFont) -> Image.Image:
    """A line of text that reads from bottom to top, as wide as a cell."""
    line = Image.new("RGBA", (max(1, round(font.getlength(text))), CELL))
    ImageDraw.Draw(line).text((0, CELL // 2), text, GREY, font, "lm")
    return line.transpose(Image.Transpose.ROTATE_90)


def on_white(picture: np.ndarray) -> np.ndarray:
    """A transparent picture, uint8 RGBA [H, W, 4], on white paper: uint8 RGB [H, W, 3]."""
    transparent = Image.fromarray(picture)
    paper = Image.new("RGBA", transparent.size, "white")
    return np.asarray(Image.alpha_composite(paper, transparent).convert("RGB"))


def png(picture: np.ndarray) -> bytes:
    """The file of a picture, uint8 RGB or RGBA."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "png")
    return buffer.getvalue()


def jpeg(picture: np.ndarray) -> bytes:
    """The file of a picture, uint8 RGB [H, W, 3]."""
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 82])
    return content.tobytes()


def _chosen(count: int, most: int) -> np.ndarray:
    return np.linspace(0, count - 1, min(most, count)).round().astype(int)


def _resized(picture: np.ndarray, interpolation: int) -> np.ndarray:
    return cv2.resize(picture, (FRAME_SIDE, FRAME_SIDE), interpolation=interpolation)


def _coloured(share: np.ndarray) -> np.ndarray:
    picture = (255 * _resized(share.astype(np.float32), cv2.INTER_LINEAR)).clip(0, 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(picture, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
