"""The networks of both tasks at full size, random inputs for them, and what is timed: each function gives back a turn.

Clips, sentences, keypoints and word vectors are random: the cost does not depend on them. `ours` is what the entry
points run; the other is the plain network in fp32, for isolated recognition with what `benchmarks.plain` says.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import plain
from benchmarks.alternation import Turn
from configs.build import build_continuous_recognizer, build_recognizer
from configs.schema import Config, ContinuousConfig, IsolatedConfig, load_experiment
from dataset.keypoints import keypoint_indices
from dataset.sampling import CROPS, Crop, evaluation_indices
from modeling.augment import Inputs, draw_augmentation, prepare_inputs
from modeling.augment import central_draw as central_clip
from modeling.config import RuntimeConfig, TrainingConfig
from modeling.continuous.augment import central_draw, prepare_sentences
from modeling.continuous.network import ContinuousRecognizer
from modeling.continuous.objective import ContinuousObjective
from modeling.continuous.recognition import ContinuousStep, PreparedSentences, SentencePredictor
from modeling.engine import Arithmetic, accelerate, memory_format
from modeling.objective import Objective
from modeling.optimizer import build_optimizer
from modeling.recognition import Predictor, Preparation, RecognitionStep
from modeling.recognizer import Recognizer
from utils.distributed import choose_device

TaskName = Literal["isolated", "continuous"]
CONFIGS = {
    "isolated": Path("configs/nla_slr_wlasl_2000.yaml"),
    "continuous": Path("configs/two_stream/phoenix2014t/two_stream.yaml"),
}
GLOSSES = {"isolated": 2000, "continuous": 1120}
FRAMES = {"isolated": 64, "continuous": 100}
EMBEDDING = 300
SENTENCE_GLOSSES = 8
# For trying out on a machine where full size would take minutes.
SMALL = ["model.width=0.0625", "model.rgb_size=64", "model.heatmap_size=32"]
SMALL_FRAMES = 16
PLAIN = RuntimeConfig(precision="fp32", memory_format="contiguous", fast="off")


def device_of(ours: bool) -> torch.device:
    """Ours sets up the processor as every entry point does."""
    return choose_device("auto") if ours else torch.device("cuda" if torch.cuda.is_available() else "cpu")


def experiment(task: TaskName, small: bool = False) -> Config:
    overrides = list(SMALL) if small else []
    if small and task == "isolated":
        overrides.append(f"model.frames=[{SMALL_FRAMES},{SMALL_FRAMES // 2}]")
    return load_experiment(CONFIGS[task], overrides)


def frames_of(task: TaskName, small: bool) -> int:
    return SMALL_FRAMES if small else FRAMES[task]


def build(config: Config) -> Recognizer | ContinuousRecognizer:
    """The network at its random start."""
    if isinstance(config, ContinuousConfig):
        return build_continuous_recognizer(config, GLOSSES["continuous"])
    assert isinstance(config, IsolatedConfig)
    rng = torch.Generator().manual_seed(0)
    return build_recognizer(
        config, GLOSSES["isolated"], torch.randn(GLOSSES["isolated"], EMBEDDING, generator=rng)
    )


def _built(config: Config, device: torch.device, runtime: RuntimeConfig) -> Any:
    return build(config).to(device=device, memory_format=memory_format(runtime))  # type: ignore[call-overload]


def footage(config: Config, device: torch.device, batch: int, frames: int) -> tuple[Tensor, Tensor]:
    """Frames uint8 [B, T, H, W, 3] and keypoints float32 [B, T, J, 3] on the device."""
    rng, picture = np.random.default_rng(0), config.data.picture
    joints = len(keypoint_indices(config.model.keypoint_parts))  # type: ignore[attr-defined]
    video = rng.integers(0, 256, (batch, frames, picture.height, picture.width, 3), dtype=np.uint8)
    points = rng.uniform(0, 200, (batch, frames, joints, 3)).astype(np.float32)
    return torch.from_numpy(video).to(device), torch.from_numpy(points).to(device)


def training(
    ours: bool,
    batch: int,
    task: TaskName = "isolated",
    small: bool = False,
    accumulate: int = 1,
    tf32: bool = False,
    **runtime: Any,
) -> Turn:
    """One optimiser step of the full method, from decoded frames; colour jitter and mixing of clips are left out.

    tf32: whether convolutions of the plain network may round to TF32 on a GPU. runtime: as in the configuration.
    """
    config, device = experiment(task, small), device_of(ours)
    arithmetic = RuntimeConfig(**runtime) if ours else PLAIN
    network = _built(config, device, arithmetic)
    video, points = footage(config, device, batch, frames_of(task, small))
    settings = replace(config.training, batch_size=batch, accumulate=accumulate)
    if isinstance(config, ContinuousConfig):
        turn = _train_sentences(config, network, video, points, settings, arithmetic, ours)
    else:
        assert isinstance(config, IsolatedConfig)
        turn = _train_clips(config, network, video, points, settings, arithmetic, ours)
    if not ours:
        torch.backends.cudnn.allow_tf32 = tf32
    return turn


def _train_clips(
    config: IsolatedConfig,
    network: Recognizer,
    video: Tensor,
    points: Tensor,
    settings: TrainingConfig,
    runtime: RuntimeConfig,
    ours: bool,
) -> Turn:
    labels = torch.arange(len(video), device=video.device)
    objective = Objective(config.loss, GLOSSES["isolated"], network.gloss_embeddings).to(video.device)
    augment = replace(config.augment, color_jitter=replace(config.augment.color_jitter, probability=0.0))
    draw = draw_augmentation(augment, config.model, config.data.frame_size, np.random.default_rng(0))
    if not ours:
        yardstick = plain.TrainingStep(network, objective, settings)
        return lambda: yardstick(video, points, labels, draw)
    accelerate(network, runtime)
    optimizer = build_optimizer(network, settings)
    step = RecognitionStep(network, network, objective, optimizer, settings, runtime)
    mixup = replace(config.loss.intra_modality_mixup, probability=0.0)
    prepare = Preparation(config.model, mixup, settings.accumulate)
    rng = np.random.default_rng(0)
    return lambda: step(prepare(video, points, labels, [draw], rng), epoch=0)


def _train_sentences(
    config: ContinuousConfig,
    network: ContinuousRecognizer,
    video: Tensor,
    points: Tensor,
    settings: TrainingConfig,
    runtime: RuntimeConfig,
    ours: bool,
) -> Turn:
    batch, frames, device = *video.shape[:2], video.device
    together = batch // settings.accumulate
    glosses = 1 + torch.arange(batch * SENTENCE_GLOSSES, device=device).view(batch, -1) % 1000
    glosses = glosses[:, : max(1, frames // 8)]
    lengths, counts = (torch.full((batch,), n, device=device) for n in (frames, glosses.shape[1]))
    draw = central_draw(config.model, config.data.frame_size)
    accelerate(network, runtime)
    optimizer = build_optimizer(network, settings)
    if not ours:
        for group in optimizer.param_groups:
            group.update(fused=False, foreach=False)
    step = ContinuousStep(network, network, ContinuousObjective(config.loss), optimizer, settings, runtime)

    def parts() -> Any:
        for first in range(0, batch, together):
            part = slice(first, first + together)
            with torch.no_grad():
                inputs = prepare_sentences(video[part], points[part], config.model, [draw])
            yield PreparedSentences(inputs, lengths[part], glosses[part], counts[part])
            del inputs

    return lambda: step(parts(), epoch=0)


def evaluation(
    ours: bool,
    crops: int = 1,
    frames: int | None = None,
    task: TaskName = "isolated",
    small: bool = False,
    batch: int = 1,
    **runtime: Any,
) -> Turn:
    """What is predicted of a clip from decoded frames: probabilities, or logits of the steps of a sentence.

    batch: of clips; sentences are always computed one by one.
    """
    config, device = experiment(task, small), device_of(ours)
    arithmetic = RuntimeConfig(**runtime) if ours else PLAIN
    network = _built(config, device, arithmetic)
    frames = frames or frames_of(task, small)
    video, points = footage(config, device, batch, frames)
    if isinstance(config, ContinuousConfig):
        of_sentence = SentencePredictor(network, arithmetic)
        return lambda: [of_sentence(video[i], points[i]) for i in range(batch)]
    if not ours:
        return lambda: plain.predict(network, video, points)
    predict = Predictor(network, arithmetic)
    chosen = ["central"] if crops == 1 else list(CROPS)
    length = config.model.frames[0]  # type: ignore[attr-defined]
    indices = np.stack([evaluation_indices(frames, length, cast(Crop, crop)) for crop in chosen])
    windows = torch.from_numpy(np.concatenate([indices + i * frames for i in range(batch)])).to(device)
    used, windows = torch.unique(windows, return_inverse=True)
    return lambda: predict(video.flatten(0, 1)[used], points.flatten(0, 1)[used], windows, crops)


def encoders(batch: int, task: TaskName, small: bool, backward: bool, **runtime: Any) -> Turn:
    """Encoders and lateral connections alone, on inputs that are ready: forward, and backward if asked for."""
    config, device, arithmetic = experiment(task, small), device_of(True), RuntimeConfig(**runtime)
    network = _built(config, device, arithmetic).train(backward)
    video, points = footage(config, device, batch, frames_of(task, small))
    inputs: Inputs
    with torch.no_grad():
        if isinstance(config, ContinuousConfig):
            draw = central_draw(config.model, config.data.frame_size)
            inputs = prepare_sentences(video, points, config.model, [draw])
        else:
            inputs = prepare_inputs(video, points, config.model, [central_clip(config.model)])  # type: ignore[arg-type]
    accelerate(network, replace(arithmetic, compile=False))
    if arithmetic.compile:
        network.vknet.compile()
    computing = Arithmetic(arithmetic, network)
    read, bf16 = computing.cast(inputs), computing.dtype is torch.bfloat16

    def run() -> None:
        with torch.set_grad_enabled(backward), torch.autocast(device.type, torch.bfloat16, bf16):
            found = network.vknet(read)
            if backward:
                torch.stack([x.float().sum() for x in found.values()]).sum().backward()
        network.zero_grad()

    return run


def operations(task: TaskName, small: bool = False) -> int:
    """Multiplications and additions of encoders, pyramids and lateral connections, forward, for one clip."""
    config, frames = experiment(task, small), frames_of(task, small)
    joints = len(keypoint_indices(config.model.keypoint_parts))  # type: ignore[attr-defined]
    with torch.device("meta"):
        network: Any
        if isinstance(config, ContinuousConfig):
            network = ContinuousRecognizer(config.model, joints, 2)
            lengths = dict.fromkeys(config.model.streams, frames)
        else:
            assert isinstance(config, IsolatedConfig)
            network = Recognizer(config.model, joints, 2)
            lengths = {f"{name}{n}": n for n in config.model.frames for name in config.model.modalities}
        inputs = {
            name: torch.empty(1, 3, length, config.model.rgb_size, config.model.rgb_size)
            if name.startswith("rgb")
            else torch.empty(1, joints, length, config.model.heatmap_size, config.model.heatmap_size)
            for name, length in lengths.items()
        }
        network.eval()
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network.vknet(inputs)
    return counter.get_total_flops()
