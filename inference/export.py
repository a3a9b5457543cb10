"""A trained model for use elsewhere: its weights, a readable description, and ONNX.

    pip install -c requirements.txt -r requirements-export.txt
    python -m inference.export --config configs/nla_slr_wlasl_2000.yaml --out exports/wlasl_2000 [--checkpoint RUN]

Writes model.safetensors, recognizer.json (architecture, vocabulary, preprocessing, configuration of the training,
accuracies of the evaluations there are) and model.onnx, which is compared with PyTorch on the spot. The folder stands
alone: `modeling.load_recognizer` reads it, and docs/export.md says how to use model.onnx without this project.
"""

import importlib.util
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from configs.schema import IsolatedConfig
from modeling.config import ModelConfig
from utils.command_line import entry_point_parser
from utils.config import load_config, to_dict
from utils.errors import UserError, run_entry_point
from utils.files import read_json, replacing, write_json

if TYPE_CHECKING:
    from torch import Tensor

    from dataset.annotations import Clip
    from inference.trained_model import TrainedModel

ONNX = "model.onnx"
CHECKED_CLIPS = 20
TOLERANCE = 1e-4  # of a probability, between ONNX and PyTorch


def main() -> int:
    parser = entry_point_parser(__doc__, "runtime.device=cpu")
    parser.add_argument("--config", type=Path, required=True, help="YAML file of the experiment")
    parser.add_argument(
        "--checkpoint", type=Path, help="file or run folder; default: the configuration's run"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write; made if needed")
    arguments = parser.parse_intermixed_args()
    config = load_config(IsolatedConfig, arguments.config, arguments.overrides)
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise UserError(
                f"{package} is not installed: pip install -c requirements.txt -r requirements-export.txt"
            )
    export(config, arguments.checkpoint or Path(config.run), arguments.out)
    return 0


def export(config: IsolatedConfig, source: Path, out: Path) -> None:
    """Write the model at `source` to the folder `out`; `config` says where clips to compare it on are."""
    from safetensors.torch import save_file

    from inference.trained_model import EXPORTED, EXPORTED_WEIGHTS, load_model

    model = load_model(source, config)
    out.mkdir(parents=True, exist_ok=True)
    print(f"{source}: exporting, which takes a minute or more", flush=True)
    weights = {name: tensor.contiguous() for name, tensor in model.recognizer.state_dict().items()}
    with replacing(out / EXPORTED_WEIGHTS) as partial:
        save_file(weights, str(partial))
        partial.chmod(0o644)
    with replacing(out / ONNX) as partial:
        write_onnx(partial, model)
        checked = check_onnx(partial, model, config)
    write_json(out / EXPORTED, describe(model, source if source.is_dir() else source.parent, checked))
    print(
        f"{out}: {', '.join(f'{p.name} {p.stat().st_size / 2**20:.1f} MiB' for p in sorted(out.iterdir()))}"
    )
    print(
        f"{ONNX} against PyTorch on {checked['clips']}: largest difference of a probability "
        f"{checked['largest_difference']:.1e}, same five best glosses in {checked['same_top_5']}"
    )


def write_onnx(path: Path, model: "TrainedModel") -> None:
    """Raw clips in, probabilities of the reported prediction out; the preprocessing is inside."""
    import torch
    from torch import nn

    from dataset.keypoints import keypoint_indices
    from modeling.augment import central_draw, prepare_inputs
    from modeling.heatmaps import written_out
    from modeling.recognizer import predictions, reported_prediction

    class FromRawClips(nn.Module):
        chosen: "Tensor"

        def __init__(self) -> None:
            super().__init__()
            self.recognizer = model.recognizer.eval()
            self.config = model.recognizer.config
            self.register_buffer("chosen", torch.tensor(keypoint_indices(self.config.keypoint_parts)))

        def forward(self, frames: "Tensor | None" = None, keypoints: "Tensor | None" = None) -> "Tensor":
            if keypoints is not None:
                keypoints = on_grid(keypoints[:, :, self.chosen], self.config)
            inputs = prepare_inputs(frames, keypoints, self.config, [central_draw(self.config)])
            return predictions(self.recognizer(written_out(inputs)).logits)[reported_prediction(self.config)]

    clips = {name: torch.from_numpy(array) for name, array in random_clips(model, 0).items()}
    with torch.no_grad(), warnings.catch_warnings():
        # The exporter tells of its own deprecated calls, and that both inputs share the number of clips.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            FromRawClips().eval(),
            kwargs=clips,
            f=str(path),
            dynamo=True,
            external_data=False,
            input_names=list(clips),
            output_names=["probabilities"],
            dynamic_shapes={name: {0: torch.export.Dim("clips")} for name in clips},
            verbose=False,
        )


def on_grid(keypoints: "Tensor", config: ModelConfig) -> "Tensor":
    """From shares of the picture's width and height to pixels of the heatmap grid."""
    return keypoints * config.heatmap_grid


def check_onnx(path: Path, model: "TrainedModel", config: IsolatedConfig) -> dict[str, Any]:
    """Compare model.onnx with PyTorch, clip by clip: on test clips where the data are there, else on noise.

    Raises:
        UserError: they differ; then nothing is left that could be used by mistake.
    """
    import onnxruntime
    import torch

    from dataset.keypoints import keypoint_indices
    from modeling.config import RuntimeConfig
    from modeling.recognition import Predictor
    from modeling.recognizer import reported_prediction
    from utils.progress import progress_bar

    network = model.recognizer.config
    reported, chosen = reported_prediction(network), keypoint_indices(network.keypoint_parts)
    clips, kind = clips_to_check(model, config)
    predict = Predictor(model.recognizer, RuntimeConfig(precision="fp32"))
    window = torch.arange(network.frames[0])[None]
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(
        "session.intra_op.allow_spinning", "0"
    )  # leave PyTorch's threads the cores
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    differences, same = [], 0
    with progress_bar(len(clips), 0, "clip", shown=True, delay=1) as progress:
        for clip in clips:
            (found,) = session.run(["probabilities"], clip)
            tensors = {name: torch.from_numpy(array[0]) for name, array in clip.items()}
            if "keypoints" in tensors:
                tensors["keypoints"] = on_grid(tensors["keypoints"][:, chosen], network)
            predicted = predict(tensors.get("frames"), tensors.get("keypoints"), window)
            expected = predicted[reported][:, 0].numpy()
            differences.append(float(np.abs(found - expected).max()))
            best, others = (np.argsort(-x[0], kind="stable")[:5].tolist() for x in (found, expected))
            same += best == others
            progress.update()
    if max(differences) >= TOLERANCE:
        raise UserError(
            f"{path.parent}: ONNX and PyTorch differ by {max(differences):.1e}; {ONNX} was not written"
        )
    return {
        "clips": f"{len(clips)} {kind}",
        "largest_difference": max(differences),
        "same_top_5": f"{same} of {len(clips)}",
    }


def clips_to_check(model: "TrainedModel", config: IsolatedConfig) -> tuple[list[dict[str, np.ndarray]], str]:
    """Inputs of model.onnx, a clip each, and what they are."""
    from dataset.annotations import read_annotations
    from dataset.clips import ClipFormat, ClipReader

    network = model.recognizer.config
    whole_body = list(range(133)) if "keypoint" in network.modalities else None
    # On a grid of side 1 keypoints are shares of the picture.
    format = ClipFormat(network.frames[0], "rgb" in network.modalities, whole_body, 1)
    try:
        reader = ClipReader(config.data, format)
        test = read_annotations(config.data).split("test")
        samples = [reader.read_crops(clip, ["central"]) for clip in spread(test, CHECKED_CLIPS)]
    except UserError:
        return [random_clips(model, number) for number in range(CHECKED_CLIPS)], "clips of noise"
    inputs = []
    for sample in samples:
        frames, keypoints = sample.crops()
        clip = {"frames": frames} if frames is not None else {}
        if keypoints is not None:
            clip["keypoints"] = np.ascontiguousarray(keypoints[..., :2])
        inputs.append(clip)
    return inputs, "test clips"


def spread(clips: "list[Clip]", count: int) -> "list[Clip]":
    """So many clips from all over the list."""
    return [clips[i] for i in np.linspace(0, len(clips) - 1, min(count, len(clips))).astype(int)]


def random_clips(model: "TrainedModel", seed: int) -> dict[str, np.ndarray]:
    """Noise in the form that model.onnx reads."""
    rng, config, side = np.random.default_rng(seed), model.recognizer.config, model.config.data.frame_size
    clips: dict[str, np.ndarray] = {}
    if "rgb" in config.modalities:
        clips["frames"] = rng.integers(0, 256, (1, config.frames[0], side, side, 3), dtype=np.uint8)
    if "keypoint" in config.modalities:
        clips["keypoints"] = rng.random((1, config.frames[0], 133, 2), dtype=np.float32)
    return clips


def describe(model: "TrainedModel", run: Path, checked: dict[str, Any]) -> dict[str, Any]:
    """Everything but the weights, for people and for `inference.trained_model`; `run` has the evaluations."""
    import torch

    from modeling.heads import head_streams
    from modeling.recognizer import reported_prediction

    network, data = model.recognizer.config, model.config.data
    heads = head_streams(list(network.modalities), network.frames)
    frames = network.frames[0]
    inputs = {
        "frames": f"uint8 [clips, {frames}, {data.frame_size}, {data.frame_size}, 3]: RGB, resized without keeping "
        "the aspect ratio, bilinear",
        "keypoints": f"float32 [clips, {frames}, 133, 2]: x / width and y / height of the 133 points of "
        "COCO-WholeBody, of the same frames",
    }
    wanted = {"rgb": "frames", "keypoint": "keypoints"}
    return {
        "format": 1,
        "architecture": {
            "streams": network.streams,
            "heads": heads,
            "reported": reported_prediction(network),
            "weights": sum(p.numel() for p in model.recognizer.parameters()),
        },
        "preprocessing": {
            "clip": f"the middle {frames} frames; a shorter clip repeats its first frame before and its last frame "
            "after it, the same number of times (one more after it where that is odd)",
            "frames": frames,
            "frame_size": data.frame_size,
            "inside_onnx": "resizing to the sizes of the streams, normalisation, heatmaps, the shorter clip length",
        },
        "onnx": {
            "file": ONNX,
            "inputs": {wanted[m]: inputs[wanted[m]] for m in network.modalities},
            "outputs": {
                "probabilities": "float32 [clips, glosses]; rows sum to 1, glosses as in `vocabulary`"
            },
            "compared_with_pytorch": {**checked, "torch": torch.__version__},
        },
        "metrics": {
            path.stem: read_json(path, dict)["accuracy"]
            for path in sorted((run / "prediction").glob("*.json"))
            if not path.stem.endswith("_analysis")
        },
        "config": to_dict(model.config),
        "vocabulary": model.vocabulary,
    }


if __name__ == "__main__":
    run_entry_point(main)
