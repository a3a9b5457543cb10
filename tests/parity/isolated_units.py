"""Isolated recognition: each part of the method alone."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from dataset.keypoints import keypoint_indices
from dataset.sampling import CROPS, evaluation_indices, training_indices
from modeling.augment import Draw, central_draw, draw_augmentation, prepare_inputs
from modeling.config import AugmentConfig, InterModalityMixupConfig, ModelConfig, TrainingConfig
from modeling.heads import Head, integrate
from modeling.heatmaps import Box, render_heatmaps, written_out
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
from modeling.objective import MixedLabels
from modeling.optimizer import learning_rate
from tests.parity.golden import Comparison, GoldenFile, GoldenSet, as_array, statistics
from utils.metrics import accuracy, true_ranks

# Cases of unit_head that list the true class twice (K > N), which this project's configuration refuses.
EXEMPT = ("train_topk2000", "train_topk_gt_N")


def published_stream(stream: str, config: ModelConfig) -> str:
    modality = "rgb" if stream.startswith("rgb") else "pose"
    if len(config.frames) == 1:
        return modality
    return f"{modality}_{'high' if stream.endswith(str(config.frames[0])) else 'low'}"


def _head(golden: GoldenSet, file: GoldenFile, out: Comparison) -> None:
    tolerance = file.tolerance(1e-5)
    labels, order = golden.tensor(file["labels"]), golden.tensor(file["perm"])
    share = float(file["lam"])
    targets = MixedLabels(labels, labels[order], share).pairs()
    embeddings = golden.tensor(golden.recipe.word_embeddings(20, golden.salt)).to(file.dtype)
    layers = {
        "classifier": "gloss_output_layer",
        "mapper": "word_emb_mapper",
        "auxiliary": "word_fused_gloss_output_layer",
    }
    for tag in sorted({name.split("/")[0] for name in file.names() if "/" in name}):
        if tag in EXEMPT:
            file.skip(f"{tag}/")
            continue
        head = Head(["x"], 16, 20, 300).to(golden.device, file.dtype)
        weights = {}
        for name, parameter in head.named_parameters():
            layer, leaf = name.split(".")
            key = f"unit.head.{layers[layer]}.{leaf}"
            scale = 40.0 if tag.endswith("_big") and layer != "mapper" else 1.0
            weights[name] = scale * golden.tensor(
                golden.recipe.tensor_for(key, parameter.shape, golden.salt)
            ).to(file.dtype)
        head.load_state_dict(weights)
        x = golden.tensor(golden.recipe.normal("unit/head_x", (3, 16), golden.salt).astype(np.float32)).to(
            file.dtype
        )
        x.requires_grad_()
        logits = head({"x": x})
        clip, gloss = head.auxiliary_terms({"x": x}, embeddings)
        chosen = golden.tensor(file[f"{tag}/topk_idx"])
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


def _inter_modality(golden: GoldenSet, file: GoldenFile, out: Comparison) -> None:
    """Free logits [B, K, N] do not split into two terms; clip by clip, with a zero clip term, they do."""
    tolerance = file.tolerance(1e-5)
    dense = golden.tensor(file["logits"]).to(file.dtype)  # rows ordered by topk_idx
    chosen, labels = golden.tensor(file["topk_idx"]), golden.tensor(file["labels"])
    order, share = golden.tensor(file["perm"]), float(file["lam"])
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


def _mixup_integration(golden: GoldenSet, file: GoldenFile, out: Comparison) -> None:
    tolerance = file.tolerance(1e-5)
    order, share = golden.tensor(file["perm"]), float(file["lam"])
    labels = golden.tensor(file["labels"])
    out.equal("first labels", labels.tolist(), file["y_a"].tolist())
    out.equal("second labels", labels[order].tolist(), file["y_b"].tolist())
    for i in range(4):
        x = golden.tensor(file[f"in{i}"])
        out.relative(f"mixed input {i}", torch.lerp(x[order], x, share), file[f"out{i}"], tolerance)
    head = Head(["x"], 4, 3, 1).to(golden.device, file.dtype)
    assert head.auxiliary is not None
    with torch.no_grad():
        for layer, prefix in ((head.classifier, "ma"), (head.auxiliary, "cur")):
            layer.weight.copy_(golden.tensor(file[f"{prefix}_w"]))
            layer.bias.copy_(golden.tensor(file[f"{prefix}_b"]))
    integrate([head], float(file["ma_beta"]))
    out.relative("integrated weight", head.classifier.weight, file["ma_after_w"], tolerance)
    out.relative("integrated bias", head.classifier.bias, file["ma_after_b"], tolerance)


def _soft_labels(golden: GoldenSet, file: GoldenFile, out: Comparison) -> None:
    tolerance = file.tolerance(1e-5)
    embeddings = golden.tensor(golden.recipe.word_embeddings(20, golden.salt)).to(file.dtype)
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
    labels = golden.tensor(file["labels"])
    for name, table in (
        ("", soft),
        ("uniform_smooth02_", uniform_labels(20, 0.2, file.dtype).to(golden.device)),
    ):
        logits = golden.tensor(file["logits"]).to(file.dtype).requires_grad_()
        loss = recognition_loss(logits, labels, table)
        loss.backward()
        out.relative(f"{name}loss", loss, file[f"{name}loss"], tolerance)
        out.relative(f"{name}gradient", logits.grad, file[f"{name}grad"], tolerance)


def _heatmaps(golden: GoldenSet, file: GoldenFile, out: Comparison) -> None:
    keypoints = golden.tensor(file["keypoints"]).to(file.dtype)[None]  # [1, T, J, 3]
    file.skip("crops")
    for tag in sorted({name.split("/")[0] for name in file.names() if "/" in name}):
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
        out.absolute(f"{tag}/statistics", statistics(maps), file[f"{tag}/stats"], 1e-4)
        visible = as_array(file[f"{tag}/max"]) > 0.5  # where the map is almost zero, argmax means nothing
        golden_peak = golden.tensor(file[f"{tag}/argmax"])
        at_golden = maps.flatten(2).gather(2, golden_peak[..., None])[..., 0]
        gap = as_array(peak.values - at_golden)[visible]
        out.add(f"{tag}/place of the maximum", gap.max(initial=0.0), 1e-4)


def _preprocess(golden: GoldenSet, file: GoldenFile, out: Comparison) -> None:
    frames = golden.tensor(golden.recipe.raw_video("unit_pre", 2, 4, 256, golden.salt)).permute(0, 1, 3, 4, 2)
    keypoints = golden.tensor(golden.recipe.keypoints("unit_pre", 2, 4, 63, 256, golden.salt))
    config = ModelConfig(
        frames=[64]
    )  # four frames stand in for the long clip, frames 1 and 2 for the short one
    for tag in ("test", *sorted({n.split("/")[0] for n in file.names("train_")})):
        box = None
        if tag != "test":
            box = Box(*file[tag.removeprefix("train_")].tolist())
        for length, window in (("high", slice(0, 4)), ("low", slice(1, 3))):
            inputs = prepare_inputs(
                frames[:, window], keypoints[:, window], config, [Draw(0, box)], file.dtype
            )
            for stream, x in written_out(inputs).items():
                name = f"{tag}/{published_stream(stream, config)}_{length}"
                out.equal(f"{name}/shape", list(x.shape), file[f"{name}/shape"].tolist())
                tolerance = file.tolerance(5e-5)
                out.absolute(f"{name}/statistics", statistics(x), file[f"{name}/stats"], tolerance)
                # Stored in single precision in both sets, so ours is rounded to it too.
                out.absolute(f"{name}/sub", x[..., ::16, ::16].float(), file[f"{name}/sub"], tolerance)


def _keypoint_order(golden: GoldenSet, file: GoldenFile, out: Comparison) -> None:
    for parts in file.names():
        out.equal(parts, keypoint_indices(parts.split("+")), file[parts])


def _schedules(golden: GoldenSet, file: GoldenFile, out: Comparison) -> None:
    config, inter = TrainingConfig(), InterModalityMixupConfig()
    epochs = len(file["lr"])
    ours = {
        "lr": [learning_rate(config, e) for e in range(epochs)],
        "ma_beta": [integration_momentum(e, epochs, inter.momentum) for e in range(epochs)],
        "inter_modality_weight": [
            inter_modality_weight(e, epochs, inter.weight, inter.decay) for e in range(epochs)
        ],
    }
    for name, values in ours.items():
        out.absolute(name, values, file[name], 1e-15)
    file.skip("lr_note", "closed_form", "optimizer", "adamw")


def _temporal(golden: GoldenSet, file: GoldenFile, out: Comparison) -> None:
    # Each crop goes with one way of padding; the recorded mixtures of the two are not used by the method.
    padding = {"central": "pad", "start": "start_pad", "end": "end_pad"}
    wrong, count = [], 0
    for entry in file["test"]:
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
        for e in file["padding"]
        if evaluation_indices(e["vlen"], e["num_frames"], e["test_p"]).tolist() != e["frame_order"]
    ]
    out.equal(f"padding ({len(file['padding'])})", wrong, [])
    wrong = []
    for e in file["train_ranges"]:
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
    out.equal(f"training ranges ({len(file['train_ranges'])})", wrong, [])
    start = central_draw(ModelConfig()).short_start
    wrong = []
    for e in file["low_from_high_test"]:
        long = evaluation_indices(e["usable_frames"], 64, e["test_p"])
        if long.tolist() != e["frames64"] or long[start : start + 32].tolist() != e["frames32"]:
            wrong.append(e)
    out.equal(f"short clip within the long one ({len(file['low_from_high_test'])})", wrong, [])
    rng = np.random.default_rng(0)
    starts = [draw_augmentation(AugmentConfig(), ModelConfig(), 256, rng).short_start for _ in range(2000)]
    expected = file["low_from_high_train"]["observed_start"]
    out.equal("training start of the short clip", [min(starts), max(starts)], expected)
    file.skip("wlasl_note")


def _metrics(golden: GoldenSet, file: GoldenFile, out: Comparison) -> None:
    logits = np.load(file.path.with_name("unit_metrics_logits.npz"))
    labels = np.array(file["ref"])
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
                    for k, v in file["central_only"].items()
                    if k.startswith(name)
                },
            ),
            ("three crops", three, file["three_crop"][f"{name}_"]),
        ):
            for key, value in golden_values.items():
                kind, k = key.removeprefix("per_").split("_top_")
                mine = (ours.per_instance if kind == "ins" else ours.per_class)[int(k)]
                out.absolute(f"{name}, {setting}, {key}", mine, value, 1e-7)
    file.skip("n_cls", "missing_class", "names", "rows", "per_class_counts_central")


UNITS: dict[str, Callable[[GoldenSet, GoldenFile, Comparison], None]] = {
    "unit_head": _head,
    "unit_inter_modality": _inter_modality,
    "unit_mixup_ma": _mixup_integration,
    "unit_soft_labels": _soft_labels,
    "unit_heatmaps": _heatmaps,
    "unit_preprocess": _preprocess,
    "unit_keypoint_order": _keypoint_order,
    "unit_schedules": _schedules,
    "unit_temporal": _temporal,
    "unit_metrics": _metrics,
}
