"""Isolated recognition: the whole networks of NLA-SLR, in evaluation and in training."""

from typing import Any

import torch
from torch import Tensor

from modeling.augment import Inputs, central_draw, prepare_inputs
from modeling.config import (
    InterModalityMixupConfig,
    LabelSmoothingConfig,
    LossConfig,
    ModelConfig,
    TrainingConfig,
)
from modeling.heads import Head
from modeling.heatmaps import FactoredHeatmaps, Mixture, written_out
from modeling.losses import integration_momentum, inter_modality_loss
from modeling.objective import MixedLabels, Objective
from modeling.optimizer import build_optimizer
from modeling.recognizer import Output, Recognizer, predictions
from modeling.weights import from_published, load_matching, published_head, published_name
from tests.parity.golden import (
    Comparison,
    GoldenFile,
    GoldenSet,
    compare_after_step,
    compare_gradients,
    made_fast,
    statistics,
)
from tests.parity.isolated_units import EXEMPT, UNITS, published_stream

MODELS = {
    "rgb_frame64": ModelConfig(modalities=["rgb"], frames=[64]),
    "pose_frame64": ModelConfig(modalities=["keypoint"], frames=[64]),
    "two_frame64": ModelConfig(frames=[64]),
    "two_frame32": ModelConfig(frames=[32]),
    "nla_slr_wlasl_2000": ModelConfig(),
}


class IsolatedSet(GoldenSet):
    """The recordings of NLA-SLR."""

    unit_files = "unit_*.json"
    units = UNITS
    not_compared = dict.fromkeys(
        EXEMPT, "it lists the true class twice (K > N), which this project's configuration refuses"
    )

    def model(self, name: str, dtype: torch.dtype) -> Recognizer:
        """A recognizer with the recipe's weights."""
        config = MODELS[name]
        keys_name = "two_frame64" if name == "two_frame32" else name
        weights = self.weights(f"keys_{keys_name}_n20.json")
        embeddings = self.tensor(self.recipe.word_embeddings(20, self.salt))
        full = len(config.frames) == 2
        model = Recognizer(config, 63, 20, embeddings if full else None, auxiliary=full)
        report = load_matching(model, from_published(weights, model, config.frames[0]), name)
        assert not report.left and not report.mismatched and not report.unused, str(report)
        return model.to(self.device, dtype)

    def compare_network(self, fast: bool, file: GoldenFile, out: Comparison) -> None:
        compare = _eval if file.case.startswith("eval_") else _train
        compare(fast, self, file, out)


def _loss_config(config: ModelConfig) -> LossConfig:
    if len(config.frames) == 1:
        return LossConfig()
    return LossConfig(LabelSmoothingConfig("language"), inter_modality_mixup=InterModalityMixupConfig(True))


def model_inputs(
    golden: IsolatedSet, entry: dict[str, Any], config: ModelConfig, dtype: torch.dtype
) -> Inputs:
    """{stream: [B, C, T, H, W] or heatmaps in factors}, as recorded or made from raw clips."""
    if "video_uint8_RGB" in entry["inputs"]:
        video = golden.call(entry["inputs"]["video_uint8_RGB"].split(" ->")[0])
        frames = golden.tensor(video).permute(0, 1, 3, 4, 2)
        keypoints = golden.tensor(golden.call(entry["inputs"]["keypoints"]))
        return prepare_inputs(frames, keypoints, config, [central_draw(config)], dtype)
    inputs: Inputs = {}
    for stream in config.streams:
        call = entry["inputs"][published_stream(stream, config)]["call"]
        inputs[stream] = golden.tensor(golden.call(call)).to(dtype)
    return inputs


def _compare_inputs(
    inputs: dict[str, Tensor], file: GoldenFile, config: ModelConfig, tolerance: float, out: Comparison
) -> None:
    for stream, x in inputs.items():
        name = published_stream(stream, config)
        out.absolute(f"input/{stream}", statistics(x), file[f"preprocessed/{name}"], tolerance)
        out.absolute(
            f"input/{stream}/sub", x[0, :, ::16, ::28, ::28], file[f"preprocessed_sub/{name}"], tolerance
        )


def _eval(fast: bool, golden: IsolatedSet, file: GoldenFile, out: Comparison) -> None:
    entry = golden.manifest[file.case]
    model = golden.model(entry["model"], file.dtype).eval()
    config = model.config
    given = model_inputs(golden, entry, config, file.dtype)
    inputs: dict[str, Any] = written_out(given)
    if "video_uint8_RGB" in entry["inputs"]:
        _compare_inputs(inputs, file, config, file.tolerance(5e-5), out)
    if fast:
        model, inputs = made_fast(model, given, file.dtype)
    labels = golden.tensor(entry["labels"])
    with torch.no_grad():
        maps: dict[str, Tensor] = {}
        for block, (before, maps) in enumerate(model.vknet.stages(inputs), start=1):
            for kind, streams in (("out", before), ("fused", maps)):
                for stream, x in streams.items():
                    name = f"block/{published_stream(stream, config)}/{block}/{kind}"
                    if file.names(name):
                        out.relative(
                            f"{stream}/B{block}/{kind}", statistics(x), file[name], file.tolerance(5e-5)
                        )
        features = model.vknet(inputs)
        output = model(inputs, auxiliary=len(config.frames) == 2)
    for name, head in model.heads.items():
        assert isinstance(head, Head)
        module = published_name(f"heads.{name}.classifier.weight", config)
        assert module is not None
        key = f"feature/{module.split('.')[1]}"
        out.relative(f"feature/{name}", statistics(head.feature(features)), file[key], file.tolerance(5e-5))
    _compare_logits(output, file, config, file.tolerance(1e-4), out.absolute)
    tolerance = file.tolerance(1e-5)
    # The published evaluation also computes the inter-modality losses, over each clip's five best glosses.
    smoothing = LossConfig(_loss_config(config).label_smoothing)
    _, parts = Objective(smoothing, 20, model.gloss_embeddings)(output, labels, 0, 100)
    _compare_recognition(parts, file, config, tolerance, out)
    total = sum(parts.values())
    for name, (clip, gloss) in output.auxiliary.items():
        published = published_head(name, config)
        best = output.logits[name].topk(5, dim=1).indices
        out.equal(f"five best/{name}", best.reshape(-1).tolist(), file[f"topk_idx/{published}"].tolist())
        dense = clip[:, None, :] + gloss[best]  # [B, 5, N]
        stats = file[f"word_fused_stat/{published}"]
        out.relative(f"auxiliary logits/{name}", statistics(dense), stats, file.tolerance(5e-5))
        loss = inter_modality_loss(clip, gloss, [(labels, 1.0)], best)
        out.relative(f"inter-modality loss/{name}", loss, file[f"loss/contras_loss_{published}"], tolerance)
        total = total + loss
    out.relative("total loss", total, file["loss/total_loss"], tolerance)


def _compare_logits(
    output: Output, file: GoldenFile, config: ModelConfig, tolerance: float, compare: Any
) -> None:
    for name, logits in output.logits.items():
        compare(f"logits/{name}", logits, file[f"logits/{published_head(name, config)}"], tolerance)
    for name, probability in predictions(output.logits).items():
        if name not in output.logits:
            # Published ensembles are the log of a *sum* of softmaxes.
            golden = file[f"logits/{published_head(name, config)}"]
            compare(f"prediction/{name}", probability, torch.from_numpy(golden).softmax(dim=1), tolerance)


def _compare_recognition(
    parts: dict[str, Tensor], file: GoldenFile, config: ModelConfig, tolerance: float, out: Comparison
) -> None:
    losses = {name.split("/")[1]: value for name, value in parts.items() if name.startswith("recognition/")}
    if len(losses) > 1:
        for name, value in losses.items():
            golden = file[f"loss/recognition_loss_{published_head(name, config)}"]
            out.relative(f"recognition loss/{name}", value, golden, tolerance)
    out.relative("recognition loss", sum(losses.values()), file["loss/recognition_loss"], tolerance)


def _train(fast: bool, golden: IsolatedSet, file: GoldenFile, out: Comparison) -> None:
    entry = golden.manifest[file.case]
    model = golden.model(entry["model"], file.dtype).train()
    config = model.config
    full = len(config.frames) == 2
    inputs = model_inputs(golden, entry, config, file.dtype)
    labels: Any = golden.tensor(entry["labels"])
    mixup = entry.get("mixup")
    if mixup:
        order = golden.tensor(mixup["perm"])
        mixture = Mixture(order, mixup["lam"])
        inputs = {
            name: x._replace(mixture=mixture) if isinstance(x, FactoredHeatmaps) else mixture.of(x)
            for name, x in inputs.items()
        }
        labels = MixedLabels(labels, labels[order], mixup["lam"])
    config_loss = _loss_config(config)
    objective = Objective(config_loss, 20, model.gloss_embeddings)
    optimizer = build_optimizer(model, TrainingConfig())
    model, read = made_fast(model, inputs, file.dtype) if fast else (model, written_out(inputs))
    output = model(read, auxiliary=full)
    total, parts = objective(output, labels, entry["epoch"], 100)
    total.backward()

    _compare_logits(output, file, config, file.tolerance(2e-3), out.relative)
    tolerance = file.tolerance(1e-4)
    _compare_recognition(parts, file, config, tolerance, out)
    out.relative("total loss", total, file["loss/total_loss"], tolerance)
    for name, (clip, gloss) in output.auxiliary.items():
        published = published_head(name, config)
        part = parts[f"inter_modality/{name}"]
        out.relative(f"inter-modality loss/{name}", part, file[f"loss/contras_loss_{published}"], tolerance)
        # Rows come in another order in the file: only mean and deviation can be compared.
        dense = statistics(clip[:, None, :] + gloss)[:2]
        stats = file[f"word_fused_stat/{published}"][:2]
        out.relative(f"auxiliary logits/{name}", dense, stats, file.tolerance(2e-3))

    ours = {str(published_name(n, config)): p for n, p in model.named_parameters()}
    compare_gradients(ours, file, out)
    optimizer.step()
    if full:
        momentum = integration_momentum(entry["epoch"], 100, config_loss.inter_modality_mixup.momentum)
        out.relative("integration momentum", momentum, file["ma_beta"], 1e-12)
        out.equal(
            "heads integrated",
            sorted(published_head(n, config) for n in model.heads),
            sorted(file["ma_heads"]),
        )
        model.integrate(momentum)
    buffers = {str(published_name(n, config)): b for n, b in model.named_buffers()}
    compare_after_step(ours, buffers, file, out)
