"""Isolated recognition as it is exported: clips of one length go in, probabilities of their signs come out."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from configs.schema import IsolatedConfig
from dataset.annotations import read_annotations
from dataset.clips import ClipFormat, ClipReader
from inference.onnx_model import OUTPUT, OnnxModel, RawClip, noise, raw_clip, spread, tensors
from inference.trained_model import IsolatedModel
from modeling.augment import central_draw, prepare_inputs
from modeling.config import RuntimeConfig
from modeling.heads import head_streams
from modeling.heatmaps import written_out
from modeling.recognition import Predictor
from modeling.recognizer import predictions, reported_prediction


class SignOnnx(OnnxModel):
    """Clips [B, T, ...] to probabilities [B, N].

    Args:
        model: what was trained.
        config: says where clips to compare it on are.
    """

    first_axis = torch.export.Dim("clips")
    unit, result, checked = "clip", "five best glosses", 20

    def __init__(self, model: IsolatedModel, config: IsolatedConfig):
        network = model.recognizer.config
        super().__init__(
            model.recognizer, network.keypoint_parts, (network.heatmap_grid, network.heatmap_grid)
        )
        self.model, self.config, self.data = network, config, model.config.data
        self.reported = reported_prediction(network)
        self.predict = Predictor(model.recognizer, RuntimeConfig(precision="fp32"))

    def forward(self, frames: Tensor | None = None, keypoints: Tensor | None = None) -> Tensor:
        points = None if keypoints is None else self.on_grid(keypoints)
        inputs = prepare_inputs(frames, points, self.model, [central_draw(self.model)])
        return predictions(self.recognizer(written_out(inputs)).logits)[self.reported]

    def evaluated(self, clip: RawClip) -> np.ndarray:
        frames, keypoints = (None if x is None else x[0] for x in tensors(clip))
        points = None if keypoints is None else self.on_grid(keypoints)
        window = torch.arange(self.model.frames[0])[None]
        return self.predict(frames, points, window)[self.reported][:, 0].numpy()

    def read(self, probabilities: np.ndarray) -> list[int]:
        return np.argsort(-probabilities[0], kind="stable")[:5].tolist()

    def test_clips(self) -> list[RawClip]:
        # On a grid of side 1 keypoints are shares of the picture.
        whole_body = list(range(133)) if "keypoint" in self.model.modalities else None
        format = ClipFormat(self.model.frames[0], "rgb" in self.model.modalities, whole_body, 1)
        reader = ClipReader(self.config.data, format)
        test = read_annotations(self.config.data).split("test")
        return [
            raw_clip(*reader.read_crops(clip, ["central"]).crops()) for clip in spread(test, self.checked)
        ]

    def noise(self, seed: int) -> RawClip:
        side = self.data.frame_size
        return noise(seed, (1, self.model.frames[0]), (side, side), self.model.modalities)

    def about(self) -> dict[str, Any]:
        frames, side = self.model.frames[0], self.data.frame_size
        inputs = {
            "rgb": {
                "frames": f"uint8 [clips, {frames}, {side}, {side}, 3]: RGB, resized without keeping the aspect ratio, "
                "bilinear"
            },
            "keypoint": {
                "keypoints": f"float32 [clips, {frames}, 133, 2]: x / width and y / height of the 133 points of "
                "COCO-WholeBody, of the same frames"
            },
        }
        return {
            "architecture": {
                "streams": self.model.streams,
                "heads": head_streams(list(self.model.modalities), self.model.frames),
                "reported": self.reported,
            },
            "preprocessing": {
                "clip": f"the middle {frames} frames; a shorter clip repeats its first frame before and its last frame "
                "after it, the same number of times (one more after it where that is odd)",
                "frames": frames,
                "frame_size": side,
                "inside_onnx": "resizing to the sizes of the streams, normalisation, heatmaps, the shorter clip length",
            },
            "onnx": {
                "inputs": {k: v for modality in self.model.modalities for k, v in inputs[modality].items()},
                "outputs": {OUTPUT: "float32 [clips, glosses]; rows sum to 1, glosses as in `vocabulary`"},
            },
        }

    @staticmethod
    def scores(evaluation: dict[str, Any]) -> Any:
        return evaluation["accuracy"]
