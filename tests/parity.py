"""Golden comparison: our numbers against those of the published code, quantity by quantity.

    python -m tests.parity [DIRECTORY] [--fast off|on|both]

Every quantity that a network computes is compared twice: with the plain network, and with the passes of modeling/fast
over it (marked "fast" in the table).

The directory has `fp32/` and `fp64/` with .npz files and the unit .json files; manifest, key lists and recipe come
from it, else from its parent; the salt from its file SALT, else it is empty. Prints one line a quantity and exits
with 1 if any differs by more than its tolerance.
"""

import argparse
import importlib.util
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dataset.keypoints import keypoint_indices
from dataset.sampling import CROPS, evaluation_indices, training_indices
from modeling.augment import Draw, Inputs, central_draw, draw_augmentation, prepare_inputs
from modeling.config import (
    AugmentConfig,
    InterModalityMixupConfig,
    LabelSmoothingConfig,
    LossConfig,
    ModelConfig,
    TrainingConfig,
)
from modeling.fast import for_prediction, for_training
from modeling.heads import Head, integrate
from modeling.heatmaps import Box, FactoredHeatmaps, Mixture, render_heatmaps, written_out
from modeling.losses import (
    cosine_similarities,
    integration_momentum,
    inter_modality_loss,
    inter_modality_weight,
    language_aware_labels,
    recognition_loss,
    select_candidates,
    smooth_labels,
    uniform_labels,
)
from modeling.objective import MixedLabels, Objective
from modeling.optimizer import build_optimizer, learning_rate
from modeling.recognizer import Output, Recognizer, predictions
from modeling.weights import from_published, load_matching, published_head, published_name
from modeling.windows import Windows
from utils.metrics import accuracy, true_ranks

GOLDEN = Path(__file__).parent / "golden" / "open"

MODELS = {
    "rgb_frame64": ModelConfig(modalities=["rgb"], frames=[64]),
    "pose_frame64": ModelConfig(modalities=["keypoint"], frames=[64]),
    "two_frame64": ModelConfig(frames=[64]),
    "two_frame32": ModelConfig(frames=[32]),
    "nla_slr_wlasl_2000": ModelConfig(),
}
FAST = " fast"  # ends the name of a comparison with the passes of modeling/fast
# One recorded case lists the true class twice (K > N), which this project's configuration refuses.
EXEMPT = ("train_topk2000", "train_topk_gt_N")


@dataclass
class Row:
    case: str
    quantity: str
    difference: float
    tolerance: float

    @property
    def passed(self) -> bool:
        return self.difference <= self.tolerance  # False for NaN


@dataclass
class Comparison:
    """The rows of one case, and the entries of its file that were looked at."""

    case: str
    rows: list[Row] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def add(self, quantity: str, difference: float, tolerance: float) -> None:
        self.rows.append(Row(self.case, quantity, float(difference), tolerance))

    def absolute(self, quantity: str, ours: Any, golden: Any, tolerance: float) -> None:
        self.add(quantity, np.abs(_array(ours) - _array(golden)).max(), tolerance)

    def relative(self, quantity: str, ours: Any, golden: Any, tolerance: float) -> None:
        a, b = _array(ours), _array(golden)
        assert a.shape == b.shape, f"{self.case} {quantity}: {a.shape} against {b.shape}"
        scale = np.abs(b).max()
        self.add(quantity, np.abs(a - b).max() / (scale if scale > 0 else 1.0), tolerance)

    def equal(self, quantity: str, ours: Any, golden: Any) -> None:
        self.add(quantity, 0.0 if ours == golden else float("inf"), 0.0)


def _array(value: Any) -> np.ndarray:
    value = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    return value.astype(np.float64)


Case = Callable[[], Comparison]


class GoldenFile:
    """An .npz file that remembers which of its entries were read, so that none is forgotten."""

    def __init__(self, path: Path):
        self._file = np.load(path, allow_pickle=False)
        self.unread = set(self._file.files)

    def __getitem__(self, name: str) -> np.ndarray:
        self.unread.discard(name)
        return self._file[name]

    def names(self, prefix: str) -> list[str]:
        return [name for name in self._file.files if name.startswith(prefix)]

    def skip(self, prefix: str) -> None:
        self.unread -= set(self.names(prefix))


class GoldenSet:
    """A directory of golden data and what its inputs are made from."""

    def __init__(self, directory: Path):
        self.directory = directory
        salt = directory / "SALT"
        self.salt = salt.read_text().strip() if salt.is_file() else ""
        self.manifest = json.loads(self._find("manifest.json").read_text())
        self.recipe = _import(self._find("recipe.py"))

    def _find(self, name: str) -> Path:
        for folder in (self.directory, self.directory.parent):
            if (folder / name).is_file():
                return folder / name
        raise SystemExit(f"{self.directory}: {name} is neither here nor in the folder above")

    def call(self, expression: str) -> np.ndarray:
        """Evaluate one of the manifest's recipe calls."""
        return eval(expression, {**vars(self.recipe), "salt": self.salt})

    def model(self, name: str, dtype: torch.dtype) -> Recognizer:
        """A recognizer with the recipe's weights."""
        config = MODELS[name]
        keys_name = "two_frame64" if name == "two_frame32" else name
        tensors = json.loads(self._find(f"keys_{keys_name}_n20.json").read_text())["tensors"]
        embeddings = torch.from_numpy(self.recipe.word_embeddings(20, self.salt))
        full = len(config.frames) == 2
        model = Recognizer(config, 63, 20, embeddings if full else None, auxiliary=full)
        weights = {k: torch.from_numpy(v) for k, v in self.recipe.fill_state_dict(tensors, self.salt).items()}
        report = load_matching(model, from_published(weights, model, config.frames[0]), name)
        assert not report.left and not report.mismatched and not report.unused, str(report)
        return model.to(dtype)

    def cases(self) -> dict[str, Case]:
        """Every file of the directory, by name, and how to compare it."""
        found: dict[str, Case] = {}
        for path in sorted(self.directory.glob("fp*/*.npz")):
            precise = path.parent.name == "fp64"
            name = f"{path.parent.name}/{path.stem}"
            if path.stem in UNITS:
                found[name] = _bind(UNITS[path.stem], self, path, name, precise)
            else:
                compare = _eval if path.stem.startswith("eval_") else _train
                found[name] = _bind(partial(compare, False), self, path, name, precise)
                found[name + FAST] = _bind(partial(compare, True), self, path, name + FAST, precise)
        for path in sorted(self.directory.glob("*.json")):
            if path.stem in JSON_UNITS:
                found[path.stem] = _bind(JSON_UNITS[path.stem], self, path, path.stem, True)
        return found


def _bind(compare: Any, golden: GoldenSet, path: Path, name: str, precise: bool) -> Case:
    def run() -> Comparison:
        comparison = Comparison(name)
        dtype = torch.float64 if precise else torch.float32
        if path.suffix == ".json":
            compare(golden, path, comparison)
            return comparison
        file = GoldenFile(path)
        compare(golden, file, path.stem, dtype, comparison)
        comparison.equal("entries of the file that were not compared", sorted(file.unread), [])
        return comparison

    return run


def _import(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"golden_recipe_{abs(hash(str(path)))}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _statistics(x: Tensor) -> np.ndarray:
    """Mean, population standard deviation, first eight values."""
    flat = x.detach().reshape(-1)
    wide = flat.double()
    return np.concatenate([[wide.mean().item(), wide.std(correction=0).item()], flat[:8].double().numpy()])


# --- whole models ----------------------------------------------------------------------------------------------


def _published_stream(stream: str, config: ModelConfig) -> str:
    modality = "rgb" if stream.startswith("rgb") else "pose"
    if len(config.frames) == 1:
        return modality
    return f"{modality}_{'high' if stream.endswith(str(config.frames[0])) else 'low'}"


def _loss_config(config: ModelConfig) -> LossConfig:
    if len(config.frames) == 1:
        return LossConfig()
    return LossConfig(LabelSmoothingConfig("language"), inter_modality_mixup=InterModalityMixupConfig(True))


def model_inputs(golden: GoldenSet, entry: dict[str, Any], config: ModelConfig, dtype: torch.dtype) -> Inputs:
    """{stream: [B, C, T, H, W] or heatmaps in factors}, as recorded or made from raw clips."""
    if "video_uint8_RGB" in entry["inputs"]:
        video = golden.call(entry["inputs"]["video_uint8_RGB"].split(" ->")[0])
        frames = torch.from_numpy(video).permute(0, 1, 3, 4, 2)
        keypoints = torch.from_numpy(golden.call(entry["inputs"]["keypoints"]))
        return prepare_inputs(frames, keypoints, config, [central_draw(config)], dtype)
    inputs: Inputs = {}
    for stream in config.streams:
        call = entry["inputs"][_published_stream(stream, config)]["call"]
        inputs[stream] = torch.from_numpy(golden.call(call)).to(dtype)
    return inputs


def as_windows(inputs: Inputs) -> dict[str, Windows]:
    """The same clips as a network for prediction reads them: each of its frames of its own."""
    windows = {}
    for name, x in inputs.items():
        if isinstance(x, FactoredHeatmaps):
            frames: Tensor | FactoredHeatmaps = x._replace(
                rows=x.rows.flatten(0, 1)[None], columns=x.columns.flatten(0, 1)[None]
            )
            batch, length = x.rows.shape[:2]
        else:
            joined = x.transpose(0, 1).flatten(1, 2)[None]
            frames = joined.contiguous(memory_format=torch.channels_last_3d)
            batch, length = len(x), x.shape[2]
        windows[name] = Windows(frames, torch.arange(batch * length).view(batch, length))
    return windows


def _compare_inputs(
    inputs: dict[str, Tensor], file: GoldenFile, config: ModelConfig, tolerance: float, out: Comparison
) -> None:
    for stream, x in inputs.items():
        name = _published_stream(stream, config)
        out.absolute(f"input/{stream}", _statistics(x), file[f"preprocessed/{name}"], tolerance)
        out.absolute(
            f"input/{stream}/sub", x[0, :, ::16, ::28, ::28], file[f"preprocessed_sub/{name}"], tolerance
        )


def _eval(
    fast: bool, golden: GoldenSet, file: GoldenFile, case: str, dtype: torch.dtype, out: Comparison
) -> None:
    entry = golden.manifest[case]
    model = golden.model(entry["model"], dtype).eval()
    config = model.config
    precise = dtype == torch.float64
    given = model_inputs(golden, entry, config, dtype)
    inputs: dict[str, Any] = written_out(given)
    if "video_uint8_RGB" in entry["inputs"]:
        _compare_inputs(inputs, file, config, 1e-9 if precise else 5e-5, out)
    if fast:
        model, inputs = for_prediction(model, dtype)[0], as_windows(given)
    labels = torch.tensor(entry["labels"])
    with torch.no_grad():
        maps: dict[str, Tensor] = {}
        for block, (before, maps) in enumerate(model.vknet.stages(inputs), start=1):
            for kind, streams in (("out", before), ("fused", maps)):
                for stream, x in streams.items():
                    name = f"block/{_published_stream(stream, config)}/{block}/{kind}"
                    if file.names(name):
                        out.relative(
                            f"{stream}/B{block}/{kind}", _statistics(x), file[name], 1e-9 if precise else 5e-5
                        )
        features = model.vknet(inputs)
        output = model(inputs, auxiliary=len(config.frames) == 2)
    for name, head in model.heads.items():
        assert isinstance(head, Head)
        module = published_name(f"heads.{name}.classifier.weight", config)
        assert module is not None
        key = f"feature/{module.split('.')[1]}"
        out.relative(
            f"feature/{name}", _statistics(head.feature(features)), file[key], 1e-9 if precise else 5e-5
        )
    _compare_logits(output, file, config, 1e-9 if precise else 1e-4, out.absolute)
    tolerance = 1e-9 if precise else 1e-5
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
        out.relative(f"auxiliary logits/{name}", _statistics(dense), stats, 1e-9 if precise else 5e-5)
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


def _train(
    fast: bool, golden: GoldenSet, file: GoldenFile, case: str, dtype: torch.dtype, out: Comparison
) -> None:
    entry = golden.manifest[case]
    model = golden.model(entry["model"], dtype).train()
    config = model.config
    full = len(config.frames) == 2
    precise = dtype == torch.float64
    inputs = model_inputs(golden, entry, config, dtype)
    labels: Any = torch.tensor(entry["labels"])
    mixup = entry.get("mixup")
    if mixup:
        order = torch.tensor(mixup["perm"])
        mixture = Mixture(order, mixup["lam"])
        inputs = {
            name: x._replace(mixture=mixture) if isinstance(x, FactoredHeatmaps) else mixture.of(x)
            for name, x in inputs.items()
        }
        labels = MixedLabels(labels, labels[order], mixup["lam"])
    config_loss = _loss_config(config)
    objective = Objective(config_loss, 20, model.gloss_embeddings)
    optimizer = build_optimizer(model, TrainingConfig())
    if fast:
        for_training(model)
    else:
        inputs = {**written_out(inputs)}
    output = model(inputs, auxiliary=full)
    total, parts = objective(output, labels, entry["epoch"], 100)
    total.backward()

    _compare_logits(output, file, config, 1e-9 if precise else 2e-3, out.relative)
    tolerance = 1e-9 if precise else 1e-4
    _compare_recognition(parts, file, config, tolerance, out)
    out.relative("total loss", total, file["loss/total_loss"], tolerance)
    for name, (clip, gloss) in output.auxiliary.items():
        published = published_head(name, config)
        part = parts[f"inter_modality/{name}"]
        out.relative(f"inter-modality loss/{name}", part, file[f"loss/contras_loss_{published}"], tolerance)
        # Rows come in another order in the file: only mean and deviation can be compared.
        dense = _statistics(clip[:, None, :] + gloss)[:2]
        stats = file[f"word_fused_stat/{published}"][:2]
        out.relative(f"auxiliary logits/{name}", dense, stats, 1e-9 if precise else 2e-3)

    ours = {published_name(n, config): p for n, p in model.named_parameters()}
    names = [str(name) for name in file["param_names"]]
    out.equal("parameter names", sorted(map(str, ours)), sorted(names))
    gradients = [ours[name].grad for name in names]
    norms = np.array([g.double().norm().item() for g in gradients if g is not None])
    _compare_tensors("gradient norm", norms, file["grad_l2"], precise, (5e-3, 0.1), out)
    first = [
        np.resize(_array(g.reshape(-1)[:4]), 4) * (np.arange(4) < g.numel())
        for g in gradients
        if g is not None
    ]
    golden_first = file["grad_first4"]
    distance = np.linalg.norm(np.stack(first) - golden_first, axis=1) / np.maximum(norms, 1e-30)
    out.add("gradient, first values / norm, median", np.median(distance), 1e-9 if precise else 5e-3)
    out.add("gradient, first values / norm, worst", distance.max(), 1e-9 if precise else 0.1)

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
    after = np.array([ours[name].detach().double().norm().item() for name in names])
    _compare_tensors("weights after the step, norm", after, file["after_l2"], precise, (5e-5, 1e-2), out)
    if precise:
        sums = np.array([ours[name].detach().sum().item() for name in names])
        out.absolute("weights after the step, sum", sums, file["after_sum"], 1e-7)
    file.skip("after_sum")  # in single precision sums over large tensors wander by whole numbers
    buffers = {published_name(n, config): b for n, b in model.named_buffers()}
    wanted = [str(name) for name in file["buffer_names"]]
    statistics = [buffers[name].double() for name in wanted]
    tolerance = 1e-9 if precise else 1e-6
    out.relative(
        "running statistics, norm", [b.norm().item() for b in statistics], file["buffer_l2"], tolerance
    )
    out.relative(
        "running statistics, sum", [b.sum().item() for b in statistics], file["buffer_sum"], tolerance
    )


def _compare_tensors(
    quantity: str,
    ours: np.ndarray,
    golden: np.ndarray,
    precise: bool,
    loose: tuple[float, float],
    out: Comparison,
) -> None:
    """Norms of many tensors, each relative to its own: the median over tensors, and the worst."""
    difference = np.abs(ours - golden) / np.maximum(np.abs(golden), 1e-30)
    out.add(f"{quantity}, median", np.median(difference), 1e-9 if precise else loose[0])
    out.add(f"{quantity}, worst", difference.max(), 1e-9 if precise else loose[1])


# --- units -----------------------------------------------------------------------------------------------------


def _head(golden: GoldenSet, file: GoldenFile, case: str, dtype: torch.dtype, out: Comparison) -> None:
    tolerance = 1e-9 if dtype == torch.float64 else 1e-5
    labels, order = torch.from_numpy(file["labels"]), torch.from_numpy(file["perm"])
    share = float(file["lam"])
    targets = MixedLabels(labels, labels[order], share).pairs()
    embeddings = torch.from_numpy(golden.recipe.word_embeddings(20, golden.salt)).to(dtype)
    layers = {
        "classifier": "gloss_output_layer",
        "mapper": "word_emb_mapper",
        "auxiliary": "word_fused_gloss_output_layer",
    }
    for tag in sorted({name.split("/")[0] for name in file.names("") if "/" in name}):
        if tag in EXEMPT:
            file.skip(f"{tag}/")
            continue
        head = Head(["x"], 16, 20, 300).to(dtype)
        weights = {}
        for name, parameter in head.named_parameters():
            layer, leaf = name.split(".")
            key = f"unit.head.{layers[layer]}.{leaf}"
            scale = 40.0 if tag.endswith("_big") and layer != "mapper" else 1.0
            weights[name] = scale * torch.from_numpy(
                golden.recipe.tensor_for(key, parameter.shape, golden.salt)
            ).to(dtype)
        head.load_state_dict(weights)
        x = torch.from_numpy(golden.recipe.normal("unit/head_x", (3, 16), golden.salt).astype(np.float32)).to(
            dtype
        )
        x.requires_grad_()
        logits = head({"x": x})
        clip, gloss = head.auxiliary_terms({"x": x}, embeddings)
        chosen = torch.from_numpy(file[f"{tag}/topk_idx"])
        count = chosen.shape[1]
        candidates: Tensor | None
        if tag.startswith("eval"):
            candidates = logits.topk(count, dim=1).indices
        else:
            candidates = select_candidates(logits, labels, count)
        out.equal(f"{tag}/candidates", candidates.tolist(), chosen.tolist())
        out.relative(f"{tag}/logits", logits, file[f"{tag}/gloss_logits"], tolerance)
        dense = clip[:, None, :] + gloss[candidates]
        out.relative(f"{tag}/auxiliary logits", dense, file[f"{tag}/word_fused_logits"], tolerance)
        loss = inter_modality_loss(clip, gloss, targets, None if count == 20 else candidates)
        out.relative(f"{tag}/loss", loss, file[f"{tag}/loss"], tolerance)
        loss.backward()
        out.relative(f"{tag}/gradient of the feature", x.grad, file[f"{tag}/grad_x"], tolerance)
        for name, parameter in head.named_parameters():
            layer, leaf = name.split(".")
            gradient = parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)
            out.relative(
                f"{tag}/gradient of {name}", gradient, file[f"{tag}/grad/{layers[layer]}.{leaf}"], tolerance
            )


def _inter_modality(
    golden: GoldenSet, file: GoldenFile, case: str, dtype: torch.dtype, out: Comparison
) -> None:
    """Free logits [B, K, N] do not split into two terms; clip by clip, with a zero clip term, they do."""
    tolerance = 1e-9 if dtype == torch.float64 else 1e-5
    dense = torch.from_numpy(file["logits"]).to(dtype)  # rows ordered by topk_idx
    chosen, labels = torch.from_numpy(file["topk_idx"]), torch.from_numpy(file["labels"])
    order, share = torch.from_numpy(file["perm"]), float(file["lam"])
    tags = {
        "plain": [(labels, 1.0)],
        "mixup": MixedLabels(labels, labels[order], share).pairs(),
        "mixup_lam0": MixedLabels(labels, labels, 0.0).pairs(),
        "mixup_same": MixedLabels(labels, labels, share).pairs(),
    }
    for tag, targets in tags.items():
        batch = dense.shape[0]
        by_gloss = (
            torch.empty_like(dense).scatter_(1, chosen[:, :, None].expand_as(dense), dense).requires_grad_()
        )
        losses = [
            inter_modality_loss(
                torch.zeros_like(by_gloss[b, :1]),
                by_gloss[b],
                [(y[b : b + 1], s) for y, s in targets],
                chosen[b : b + 1],
            )
            for b in range(batch)
        ]
        loss = torch.stack(losses).mean()
        loss.backward()
        assert by_gloss.grad is not None
        gradient = by_gloss.grad.gather(1, chosen[:, :, None].expand_as(dense))
        out.relative(f"{tag}/loss", loss, file[f"{tag}/loss"], tolerance)
        out.relative(f"{tag}/gradient", gradient, file[f"{tag}/grad"], tolerance)


def _mixup_integration(
    golden: GoldenSet, file: GoldenFile, case: str, dtype: torch.dtype, out: Comparison
) -> None:
    tolerance = 1e-9 if dtype == torch.float64 else 1e-5
    order, share = torch.from_numpy(file["perm"]), float(file["lam"])
    labels = torch.from_numpy(file["labels"])
    out.equal("first labels", labels.tolist(), file["y_a"].tolist())
    out.equal("second labels", labels[order].tolist(), file["y_b"].tolist())
    for i in range(4):
        x = torch.from_numpy(file[f"in{i}"])
        out.relative(f"mixed input {i}", torch.lerp(x[order], x, share), file[f"out{i}"], tolerance)
    head = Head(["x"], 4, 3, 1).to(dtype)
    assert head.auxiliary is not None
    with torch.no_grad():
        for layer, prefix in ((head.classifier, "ma"), (head.auxiliary, "cur")):
            layer.weight.copy_(torch.from_numpy(file[f"{prefix}_w"]))
            layer.bias.copy_(torch.from_numpy(file[f"{prefix}_b"]))
    integrate([head], float(file["ma_beta"]))
    out.relative("integrated weight", head.classifier.weight, file["ma_after_w"], tolerance)
    out.relative("integrated bias", head.classifier.bias, file["ma_after_b"], tolerance)


def _soft_labels(golden: GoldenSet, file: GoldenFile, case: str, dtype: torch.dtype, out: Comparison) -> None:
    tolerance = 1e-9 if dtype == torch.float64 else 1e-5
    embeddings = torch.from_numpy(golden.recipe.word_embeddings(20, golden.salt)).to(dtype)
    similarities = cosine_similarities(embeddings)
    out.relative("similarities", similarities, file["word_emb_sim"], tolerance)
    soft = language_aware_labels(similarities, 0.2, 0.5)
    out.relative("labels, eps 0.2 tau 0.5", soft, file["soft_eps02_tau05"], tolerance)
    epsilon, temperature = file["soft_alt_params"].tolist()
    other = language_aware_labels(similarities, epsilon, temperature)
    out.relative(f"labels, eps {epsilon:g} tau {temperature:g}", other, file["soft_alt"], tolerance)
    out.relative(
        "labels, mass by similarity", smooth_labels(similarities, 0.2), file["soft_l1_eps02"], tolerance
    )
    labels = torch.from_numpy(file["labels"])
    for name, table in (("", soft), ("uniform_smooth02_", uniform_labels(20, 0.2, dtype))):
        logits = torch.from_numpy(file["logits"]).to(dtype).requires_grad_()
        loss = recognition_loss(logits, labels, table)
        loss.backward()
        out.relative(f"{name}loss", loss, file[f"{name}loss"], tolerance)
        out.relative(f"{name}gradient", logits.grad, file[f"{name}grad"], tolerance)


def _heatmaps(golden: GoldenSet, file: GoldenFile, case: str, dtype: torch.dtype, out: Comparison) -> None:
    keypoints = torch.from_numpy(file["keypoints"]).to(dtype)[None]  # [1, T, J, 3]
    file.skip("crops")
    for tag in sorted({name.split("/")[0] for name in file.names("") if "/" in name}):
        points, size, sigma, box = keypoints, 112, 8.0, None
        if tag == "raw256":
            size = 256
        elif tag.startswith("crop_"):
            box = Box(*map(int, tag.split("_")[1:]))
        elif tag.startswith("sigma"):
            sigma = float(tag.removeprefix("sigma").split("_")[0])
        # 512-pixel keypoints are scaled to the 256 grid, which gives back the points of the other tags.
        maps = render_heatmaps(points, size, 256, sigma, box and [box])[0].transpose(
            0, 1
        )  # [T, J, size, size]
        if tag.startswith(
            "threshold"
        ):  # not part of the method: maps weighed by confidences above a threshold
            confidence = keypoints[0, ..., 2]
            maps = maps * (confidence * (confidence > 0.5))[..., None, None]
        peak = maps.flatten(2).max(dim=2)
        out.absolute(f"{tag}/max", peak.values, file[f"{tag}/max"], 1e-4)
        out.relative(f"{tag}/sum", maps.sum(dim=(2, 3)), file[f"{tag}/sum"], 1e-4)
        out.absolute(f"{tag}/grid", maps[..., ::8, ::8], file[f"{tag}/grid8"], 1e-4)
        out.absolute(f"{tag}/maps", maps[1, [0, 20, 62]], file[f"{tag}/full_t1_j0_20_62"], 1e-4)
        out.absolute(f"{tag}/statistics", _statistics(maps), file[f"{tag}/stats"], 1e-4)
        visible = _array(file[f"{tag}/max"]) > 0.5  # where the map is almost zero, argmax means nothing
        golden_peak = torch.from_numpy(file[f"{tag}/argmax"])
        at_golden = maps.flatten(2).gather(2, golden_peak[..., None])[..., 0]
        gap = _array(peak.values - at_golden)[visible]
        out.add(f"{tag}/place of the maximum", gap.max(initial=0.0), 1e-4)


def _preprocess(golden: GoldenSet, file: GoldenFile, case: str, dtype: torch.dtype, out: Comparison) -> None:
    frames = torch.from_numpy(golden.recipe.raw_video("unit_pre", 2, 4, 256, golden.salt)).permute(
        0, 1, 3, 4, 2
    )
    keypoints = torch.from_numpy(golden.recipe.keypoints("unit_pre", 2, 4, 63, 256, golden.salt))
    config = ModelConfig(
        frames=[64]
    )  # four frames stand in for the long clip, frames 1 and 2 for the short one
    for tag in ("test", *sorted({n.split("/")[0] for n in file.names("train_")})):
        box = None
        if tag != "test":
            box = Box(*file[tag.removeprefix("train_")].tolist())
        for length, window in (("high", slice(0, 4)), ("low", slice(1, 3))):
            inputs = prepare_inputs(frames[:, window], keypoints[:, window], config, [Draw(0, box)], dtype)
            for stream, x in written_out(inputs).items():
                name = f"{tag}/{_published_stream(stream, config)}_{length}"
                out.equal(f"{name}/shape", list(x.shape), file[f"{name}/shape"].tolist())
                tolerance = 1e-9 if dtype == torch.float64 else 5e-5
                out.absolute(f"{name}/statistics", _statistics(x), file[f"{name}/stats"], tolerance)
                # Stored in single precision in both sets, so ours is rounded to it too.
                out.absolute(f"{name}/sub", x[..., ::16, ::16].float(), file[f"{name}/sub"], tolerance)


def _keypoint_order(golden: GoldenSet, path: Path, out: Comparison) -> None:
    for parts, indices in json.loads(path.read_text()).items():
        out.equal(parts, keypoint_indices(parts.split("+")), indices)


def _schedules(golden: GoldenSet, path: Path, out: Comparison) -> None:
    recorded = json.loads(path.read_text())
    config, inter = TrainingConfig(), InterModalityMixupConfig()
    epochs = len(recorded["lr"])
    ours = {
        "lr": [learning_rate(config, e) for e in range(epochs)],
        "ma_beta": [integration_momentum(e, epochs, inter.momentum) for e in range(epochs)],
        "inter_modality_weight": [
            inter_modality_weight(e, epochs, inter.weight, inter.decay) for e in range(epochs)
        ],
    }
    for name, values in ours.items():
        out.absolute(name, values, recorded[name], 1e-15)


def _temporal(golden: GoldenSet, path: Path, out: Comparison) -> None:
    recorded = json.loads(path.read_text())
    # Each crop goes with one way of padding; the recorded mixtures of the two are not used by the method.
    padding = {"central": "pad", "start": "start_pad", "end": "end_pad"}
    wrong, count = [], 0
    for entry in recorded["test"]:
        crop, length, target = entry["test_p"], entry["vlen"], entry["num_frames"]
        if length < target:
            crop = {mode: name for name, mode in padding.items()}[entry["test_m"]]
        indices = evaluation_indices(length, target, crop)
        left, right = entry["pad"] or (0, 0)
        expected = (
            [entry["first"]] * left + list(range(entry["first"], entry["last"] + 1)) + [entry["last"]] * right
        )
        count += 1
        if indices.tolist() != expected:
            wrong.append(entry)
    out.equal(f"test windows ({count})", wrong, [])
    wrong = [
        e
        for e in recorded["padding"]
        if evaluation_indices(e["vlen"], e["num_frames"], e["test_p"]).tolist() != e["frame_order"]
    ]
    out.equal(f"padding ({len(recorded['padding'])})", wrong, [])
    wrong = []
    for e in recorded["train_ranges"]:
        rng = np.random.default_rng(0)
        draws = [training_indices(e["vlen"], e["num_frames"], rng) for _ in range(4000)]
        if e["observed_pad_left"] is None:
            observed, bounds = [int(d[0]) for d in draws], e["observed_first"]
        else:
            observed, bounds = [int((d == 0).sum()) - 1 for d in draws], e["observed_pad_left"]
        if e["vlen"] == 1:  # a single frame: left and right padding look the same
            continue
        if [min(observed), max(observed)] != bounds:
            wrong.append((e, min(observed), max(observed)))
    out.equal(f"training ranges ({len(recorded['train_ranges'])})", wrong, [])
    start = central_draw(ModelConfig()).short_start
    wrong = []
    for e in recorded["low_from_high_test"]:
        long = evaluation_indices(e["usable_frames"], 64, e["test_p"])
        if long.tolist() != e["frames64"] or long[start : start + 32].tolist() != e["frames32"]:
            wrong.append(e)
    out.equal(f"short clip within the long one ({len(recorded['low_from_high_test'])})", wrong, [])
    rng = np.random.default_rng(0)
    starts = [draw_augmentation(AugmentConfig(), ModelConfig(), 256, rng).short_start for _ in range(2000)]
    expected = recorded["low_from_high_train"]["observed_start"]
    out.equal("training start of the short clip", [min(starts), max(starts)], expected)


def _metrics(golden: GoldenSet, path: Path, out: Comparison) -> None:
    recorded = json.loads(path.read_text())
    logits = np.load(path.with_name("unit_metrics_logits.npz"))
    labels = np.array(recorded["ref"])
    for i, name in enumerate(("ensemble_last", "ensemble_all")):
        crops = [torch.from_numpy(logits[crop][i]).double().softmax(dim=1) for crop in CROPS]
        one, three = (
            accuracy(true_ranks(crops[1].numpy(), labels), labels),
            accuracy(true_ranks(torch.stack(crops).mean(dim=0).numpy(), labels), labels),
        )
        for setting, ours, golden_values in (
            (
                "central",
                one,
                {
                    k.removeprefix(f"{name}_"): v
                    for k, v in recorded["central_only"].items()
                    if k.startswith(name)
                },
            ),
            ("three crops", three, recorded["three_crop"][f"{name}_"]),
        ):
            for key, value in golden_values.items():
                kind, k = key.removeprefix("per_").split("_top_")
                mine = (ours.per_instance if kind == "ins" else ours.per_class)[int(k)]
                out.absolute(f"{name}, {setting}, {key}", mine, value, 1e-7)


UNITS = {
    "unit_head": _head,
    "unit_inter_modality": _inter_modality,
    "unit_mixup_ma": _mixup_integration,
    "unit_soft_labels": _soft_labels,
    "unit_heatmaps": _heatmaps,
    "unit_preprocess": _preprocess,
}
JSON_UNITS = {
    "unit_keypoint_order": _keypoint_order,
    "unit_schedules": _schedules,
    "unit_temporal": _temporal,
    "unit_metrics": _metrics,
}


def _print(comparison: Comparison) -> None:
    for row in comparison.rows:
        verdict = "ok" if row.passed else "FAILED"
        print(
            f"{row.case:37} {row.quantity:52} {row.difference:10.2e} {row.tolerance:10.2e}  {verdict}",
            flush=True,
        )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", nargs="?", type=Path, default=GOLDEN)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument(
        "--fast", choices=["off", "on", "both"], default="both", help="with the fast passes, without, or both"
    )
    arguments = parser.parse_args()
    cases = GoldenSet(arguments.directory).cases()
    networks = {name.removesuffix(FAST) for name in cases if name.endswith(FAST)}
    left_out = {"off": {name + FAST for name in networks}, "on": networks, "both": set[str]()}[arguments.fast]
    chosen = [name for name in cases if arguments.only in name and name not in left_out]
    print(f"{'case':37} {'quantity':52} {'difference':>10} {'tolerance':>10}  verdict")
    rows: list[Row] = []
    for name in chosen:
        comparison = cases[name]()
        _print(comparison)
        rows += comparison.rows
    for kind, some in (
        ("fast pass", [row for row in rows if row.case.endswith(FAST)]),
        ("plain", [row for row in rows if not row.case.endswith(FAST)]),
        ("in all", rows),
    ):
        print(f"{kind}: {len(some)} quantities compared, {sum(not row.passed for row in some)} failed")
    print(f"{len(chosen)} comparisons with files; not compared: {', '.join(EXEMPT)}")
    return 0 if rows and all(row.passed for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
