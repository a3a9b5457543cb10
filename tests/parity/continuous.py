"""Continuous recognition: the Two-Stream network and its single streams, in evaluation and in training."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from dataset.keypoints import keypoint_indices
from modeling.continuous.config import BLOCKS, ContinuousLossConfig
from modeling.continuous.decoding import beam_search
from modeling.continuous.heads import SequenceHead
from modeling.continuous.network import (
    JOINT,
    PYRAMID_BLOCKS,
    ContinuousOutput,
    ContinuousRecognizer,
    pyramid_name,
    with_ensembles,
)
from modeling.continuous.objective import ContinuousObjective
from modeling.continuous.weights import from_published, published_name, published_prediction
from modeling.optimizer import build_optimizer
from modeling.vknet import Maps
from modeling.weights import load_matching
from tests.parity.continuous_units import UNITS, experiment, gloss_ids
from tests.parity.golden import (
    Comparison,
    GoldenFile,
    GoldenSet,
    compare_after_step,
    compare_gradients,
    made_fast,
    statistics,
)

STAGES = {"s2g_rgb": "video", "s2g_keypoint": "keypoint", "s2g_two": "two_stream"}  # of our experiments
GLOSSES = 20


class ContinuousSet(GoldenSet):
    """The recordings of the Two-Stream network."""

    unit_files = "unit/*"
    units = UNITS

    def model(self, entry: dict[str, Any], dtype: torch.dtype) -> ContinuousRecognizer:
        """A recognizer with the recipe's weights, and without dropout; `entry`: of the manifest."""
        config = replace(experiment("phoenix2014t", STAGES[entry["model"]]).model, dropout=0.0)
        model = ContinuousRecognizer(config, len(keypoint_indices(config.keypoint_parts)), GLOSSES)
        report = load_matching(model, from_published(self.weights(entry["keys"]), model), entry["keys"])
        assert not report.left and not report.mismatched and not report.unused, str(report)
        return model.to(self.device, dtype)

    def compare_network(self, fast: bool, file: GoldenFile, out: Comparison) -> None:
        entry = self.manifest[file.case]
        training: bool = entry["train"]
        settings = experiment("phoenix2014t", STAGES[entry["model"]])
        model = self.model(entry, file.dtype).train(training)
        config = model.config
        optimizer = build_optimizer(model, settings.training)
        given = {
            stream: self.tensor(self.call(entry["inputs"][stream])).to(file.dtype)
            for stream in config.streams
        }
        inputs: dict[str, Any] = {**given}
        if fast:
            model, inputs = made_fast(model, {**given}, file.dtype)
        passed = _record_maps(model)
        with torch.set_grad_enabled(training):
            output = model(inputs, self.tensor(entry["lengths"]))
        labels = [self.tensor(glosses) for glosses in entry["labels"]]
        counts = self.tensor([len(glosses) for glosses in labels])
        total, parts = ContinuousObjective(settings.loss)(output, pad_sequence(labels, True), counts)

        for name, values in passed.items():
            if name in file:
                out.relative(name, values, file[name], file.tolerance(2e-3 if training else 5e-5))
        _compare_predictions(output, model, training, file, out)
        _compare_losses(total, parts, settings.loss, file, file.tolerance(1e-4 if training else 1e-5), out)
        if not training:
            return
        total.backward()
        two_streams = len(config.streams) == 2
        ours = {published_name(name, two_streams): p for name, p in model.named_parameters()}
        names = [str(name) for name in file["param_names"]]
        out.equal("trained", [ours[name].requires_grad for name in names], file["trained"].tolist())
        out.equal("have a gradient", [ours[n].grad is not None for n in names], file["has_grad"].tolist())
        compare_gradients(ours, file, out)
        optimizer.step()
        buffers = {published_name(name, two_streams): b for name, b in model.named_buffers()}
        compare_after_step(ours, buffers, file, out)


def _record_maps(model: ContinuousRecognizer) -> dict[str, np.ndarray]:
    """What the next forward pass goes through, by published name: filled with statistics as it runs.

    The maps of every block before and after the exchange, what pyramids add, and the gloss representation of each head.
    """
    found: dict[str, np.ndarray] = {}
    network, stages = model.vknet, model.vknet.stages

    def recorded(inputs: Maps) -> Any:
        for block, (before, after) in enumerate(stages(inputs), start=1):
            for stream in before:
                found[f"block/{stream}/{block}/out"] = statistics(before[stream])
                if block < BLOCKS:
                    found[f"block/{stream}/{block}/fused"] = statistics(after[stream])
            yield before, after

    def record(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(module: nn.Module, arguments: Any, output: Tensor) -> None:
            found[name] = statistics(output)

        return hook

    network.stages = recorded  # type: ignore[method-assign]
    for stream, pyramid in network.pyramids.items():
        for level, name in enumerate(("to_third", "to_second")):
            cast(nn.Module, getattr(pyramid, name)).register_forward_hook(
                record(f"pyramid/{stream}/up{level}")
            )
    for name, head in model.heads.items():
        published = published_prediction(name, model.config)
        cast(SequenceHead, head).norm.register_forward_hook(record(f"feature/{published}"))
    return found


def _compare_predictions(
    output: ContinuousOutput, model: ContinuousRecognizer, training: bool, file: GoldenFile, out: Comparison
) -> None:
    """Logits of heads and ensembles, valid steps, and the glosses that beam search finds."""
    predicted = with_ensembles(output)
    ours = {published_prediction(name, model.config): name for name in predicted.logits}
    for published, name in ours.items():
        golden = file[f"logits/{published}"]
        if training:
            out.relative(f"logits/{name}", predicted.logits[name], golden, file.tolerance(2e-3))
        else:
            out.absolute(f"logits/{name}", predicted.logits[name], golden, file.tolerance(1e-4))
        # Heads and ensembles of block 4 have common steps.
        length = f"lengths/{published}" if published.startswith("aux_") else "lengths/out"
        if name != "ensemble_early":
            out.equal(f"valid steps/{name}", predicted.steps[name].tolist(), file[length].tolist())
    for entry in file.names("decoded/"):
        _, beam, published = entry.split("/")
        name = ours[published]
        found = beam_search(predicted.logits[name], predicted.steps[name], int(beam.removeprefix("beam")))
        out.equal(f"decoded, {beam}/{name}", found, gloss_ids(file[entry]))


def _compare_losses(
    total: Tensor,
    parts: dict[str, Tensor],
    config: ContinuousLossConfig,
    file: GoldenFile,
    tolerance: float,
    out: Comparison,
) -> None:
    if f"ctc/{JOINT}" in parts:
        weights = {"rgb": config.rgb_pyramid, "keypoint": config.keypoint_pyramid}
        for name, published in (("rgb", "rgb"), ("keypoint", "keypoint"), (JOINT, "fuse")):
            # The published loss of a stream's head has its pyramid's in it.
            loss = parts[f"ctc/{name}"]
            for block in PYRAMID_BLOCKS if name in weights else ():
                loss = loss + weights[name] * parts[f"ctc/{pyramid_name(name, block)}"]
            out.relative(f"loss/ctc/{name}", loss, file[f"loss/recognition_loss_{published}"], tolerance)
            golden = file[f"loss/ensemble_last_teaches_{published}_loss"]
            out.relative(f"loss/distillation/{name}", parts[f"distillation/{name}"], golden, tolerance)
    out.relative("loss/total", total, file["loss/recognition_loss"], tolerance)
