"""Continuous recognition as it is exported: a sentence of any length goes in, probabilities of every step come out."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from configs.schema import ContinuousConfig
from dataset.footage import FootageReader
from dataset.sentence_clips import STRIDE
from dataset.sentence_sampling import evaluation_frames
from dataset.sentences import read_sentences
from inference.onnx_model import OUTPUT, OnnxModel, RawClip, noise, raw_clip, spread, tensors
from inference.trained_model import ContinuousModel
from modeling.config import RuntimeConfig
from modeling.continuous.augment import central_draw, prepare_sentences
from modeling.continuous.decoding import beam_search
from modeling.continuous.network import reported_prediction, with_ensembles
from modeling.continuous.recognition import SentencePredictor
from modeling.heatmaps import written_out


class SentenceOnnx(OnnxModel):
    """A sentence [T, ...], T a multiple of 4, to probabilities [T / 4, V].

    Args:
        model: what was trained.
        config: says where sentences to compare it on are.
    """

    first_axis = STRIDE * torch.export.Dim("steps")
    unit, result, checked = "sentence", "glosses", 5

    def __init__(self, model: ContinuousModel, config: ContinuousConfig):
        network = model.recognizer.config
        super().__init__(model.recognizer, network.keypoint_parts, network.heatmap_grid)
        self.model, self.config, self.data = network, config, model.config.data
        self.reported, self.beam = reported_prediction(network), model.config.decoding.beam
        self.heads = list(model.recognizer.heads)
        self.predict = SentencePredictor(model.recognizer, RuntimeConfig(precision="fp32"), pyramid=False)

    def forward(self, frames: Tensor | None = None, keypoints: Tensor | None = None) -> Tensor:
        length = (frames if frames is not None else keypoints).shape[0]  # type: ignore[union-attr]
        inputs = prepare_sentences(
            None if frames is None else frames[None],
            None if keypoints is None else self.on_grid(keypoints)[None],
            self.model,
            [central_draw(self.model, self.data.frame_size)],
        )
        output = self.recognizer(written_out(inputs), torch.tensor([length]), pyramid=False)
        return with_ensembles(output).logits[self.reported][0].softmax(dim=1)

    def evaluated(self, clip: RawClip) -> np.ndarray:
        frames, keypoints = tensors(clip)
        points = None if keypoints is None else self.on_grid(keypoints)
        return self.predict(frames, points).logits[self.reported][0].softmax(dim=1).numpy()

    def read(self, probabilities: np.ndarray) -> list[int]:
        logits = torch.from_numpy(probabilities).log()[None]
        (glosses,) = beam_search(logits, torch.tensor([len(probabilities)]), self.beam)
        return glosses

    def test_clips(self) -> list[RawClip]:
        whole_body = list(range(133)) if "keypoint" in self.model.modalities else None
        # On a grid of side 1 keypoints are shares of the picture.
        reader = FootageReader(self.config.data, "rgb" in self.model.modalities, whole_body, (1, 1))
        clips = []
        for sentence in spread(read_sentences(self.config.data).split("test"), self.checked):
            read = reader.read(sentence, lambda length: [evaluation_frames(length, self.data.max_frames)])
            clips.append(raw_clip(*(None if x is None else x[0] for x in read.crops())))
        return clips

    def noise(self, seed: int) -> RawClip:
        # More than one step, which the exporter would take for a constant.
        return noise(seed, (STRIDE * (4 + seed),), self.data.frame_size, self.model.modalities)

    def about(self) -> dict[str, Any]:
        height, width = self.data.frame_size
        inputs = {
            "rgb": {
                "frames": f"uint8 [frames, {height}, {width}, 3]: RGB, resized without keeping the aspect ratio, "
                f"{self.data.picture.resizing}"
            },
            "keypoint": {
                "keypoints": "float32 [frames, 133, 2]: x / width and y / height of the 133 points of COCO-WholeBody, "
                "of the same frames"
            },
        }
        return {
            "architecture": {
                "streams": self.model.streams,
                "heads": self.heads,
                "reported": self.reported,
            },
            "preprocessing": {
                "sentence": f"all frames, or the middle {self.data.max_frames} of a longer one, without the last "
                f"ones beyond a multiple of {STRIDE}",
                "frames_per_step": STRIDE,
                "max_frames": self.data.max_frames,
                "frame_size": list(self.data.frame_size),
                "inside_onnx": "cropping and resizing to the sizes of the streams, normalisation, heatmaps",
            },
            "onnx": {
                "inputs": {k: v for modality in self.model.modalities for k, v in inputs[modality].items()},
                "outputs": {
                    OUTPUT: f"float32 [frames / {STRIDE}, glosses]; rows sum to 1, glosses as in `vocabulary`, the "
                    "first one the blank of CTC"
                },
            },
            "decoding": {"search": "CTC prefix beam search, repeats merged", "beam": self.beam},
        }

    @staticmethod
    def scores(evaluation: dict[str, Any]) -> Any:
        """Word error rates in per cent."""
        return {name: errors["rate"] for name, errors in evaluation["word_errors"].items()}
