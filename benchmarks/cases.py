"""What is compared: each function builds one case and gives back its turn, a function without arguments.

`ours` is what the entry points run; the other is what `benchmarks.plain` says. Whole networks are in `networks.py`.
"""

import io
import zipfile
from pathlib import Path

import av
import numpy as np
import torch
from av.video.reformatter import VideoReformatter
from torch import Tensor
from torch.nn import functional as F

from benchmarks import plain
from benchmarks.alternation import Turn
from benchmarks.networks import EMBEDDING, GLOSSES, device_of
from dataset.annotations import Clip
from dataset.clips import ClipDataset, ClipFormat, ClipReader
from dataset.config import DataConfig
from dataset.loader import evaluation_loader
from modeling.heatmaps import Box, render_heatmaps
from modeling.losses import inter_modality_loss

JOINTS = 63


def _random(device: torch.device, *shape: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(0)).to(device)


def heatmaps(ours: bool) -> Turn:
    """64 and 32 frames of 63 keypoints, cropped on a grid of 256 and resized to 112."""
    device = device_of(ours)
    keypoints = 256 * torch.rand(1, 64, JOINTS, 3, generator=torch.Generator().manual_seed(0)).to(device)
    box = Box(20, 30, 200, 190)

    def render() -> list[Tensor]:
        if ours:
            maps = render_heatmaps(keypoints, 112, boxes=[box])
            return [maps, maps[:, :, 16:48]]
        return [plain.dense_heatmaps(x, 112, 256, 8.0, box) for x in (keypoints, keypoints[:, 16:48])]

    return render


def inter_modality(ours: bool, batch: int) -> Turn:
    """The loss of the head that reads all four streams, forward and backward."""
    device, size = device_of(ours), 4096
    feature = _random(device, batch, size).requires_grad_()
    embeddings = _random(device, GLOSSES["isolated"], EMBEDDING)
    mapper = _random(device, size, EMBEDDING, scale=0.01).requires_grad_()
    auxiliary = _random(device, GLOSSES["isolated"], size, scale=0.01).requires_grad_()
    labels = torch.arange(batch, device=device)
    everything = torch.arange(GLOSSES["isolated"], device=device).expand(batch, -1)

    def step() -> None:
        if ours:
            clip, gloss = feature @ auxiliary.T, embeddings @ (auxiliary @ mapper).T
            loss = inter_modality_loss(clip, gloss, [(labels, 1.0)])
        else:
            logits = F.linear(feature[:, None] + F.linear(embeddings, mapper)[None], auxiliary)
            loss = plain.dense_inter_modality(logits, [(labels, 1.0)], everything)
        loss.backward()
        feature.grad = mapper.grad = auxiliary.grad = None

    return step


def matrix_product(precision: str) -> Turn:
    """2048^3 multiplications and additions, ten times: what the machine can do."""
    device = device_of(True)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = (_random(device, 2048, 2048).to(dtype) for _ in range(2))
    return lambda: [left @ right for _ in range(10)]


def write_clips(folder: Path, clips: int, frames: int = 64, side: int = 256) -> None:
    """A zip of videos: noise that moves, so that they decode like real ones."""
    rng = np.random.default_rng(0)
    texture = F.interpolate(
        torch.from_numpy(rng.random((1, 3, 40, 40))), (2 * side, 2 * side), mode="bicubic"
    )
    picture = texture[0].clamp(0, 1).mul(255).byte().permute(1, 2, 0).numpy()
    with zipfile.ZipFile(folder / "clips.zip", "w") as archive:
        for clip in range(clips):
            buffer = io.BytesIO()
            with av.open(buffer, "w", format="mp4") as container:
                stream = container.add_stream("libx264", rate=25)
                stream.width = stream.height = side
                stream.pix_fmt = "yuv420p"
                for t in range(frames):
                    part = np.ascontiguousarray(picture[clip + 3 * t :, 2 * t :][:side, :side])
                    for packet in stream.encode(av.VideoFrame.from_ndarray(part, format="rgb24")):
                        container.mux(packet)
                for packet in stream.encode():
                    container.mux(packet)
            archive.writestr(f"{clip}.mp4", buffer.getvalue())


def decoding(folder: str) -> Turn:
    """All frames of all clips with PyAV alone, in this process."""
    with zipfile.ZipFile(Path(folder) / "clips.zip") as archive:
        contents = [archive.read(name) for name in archive.namelist()]

    def decode() -> None:
        for content in contents:
            reformatter = VideoReformatter()
            with av.open(io.BytesIO(content)) as container:
                container.streams.video[0].thread_count = 1
                frames = (
                    reformatter.reformat(x, format="rgb24", threads=1) for x in container.decode(video=0)
                )
                np.stack([frame.to_ndarray() for frame in frames])

    return decode


def loading(folder: str, workers: int) -> Turn:
    """The same clips through the loader; the workers are there before the clock starts."""
    torch.set_num_threads(1)
    reader = ClipReader(
        DataConfig(index="", videos=f"{folder}/clips.zip"),
        ClipFormat(64, rgb=True, keypoint_indices=None, grid=256),
    )
    names = sorted(reader.source.names() if reader.source else [])
    clips = [Clip(name, "gloss", "test", name, 64) for name in names]
    dataset = ClipDataset(clips, ["gloss"], reader, ["central"])
    loader = evaluation_loader(dataset, 1, workers, pin=False)
    for _ in loader:
        pass
    return lambda: sum(1 for _ in loader)
