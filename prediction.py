"""Evaluate a trained model on a split, or recognise the sign in one video.

    python prediction.py --config configs/nla_slr_wlasl_2000.yaml --eval_setting 3x_pad [--split test]
    python prediction.py --config configs/nla_slr_wlasl_2000.yaml --video clip.mp4 [--keypoints clip.safetensors]

The model is the best checkpoint of the configuration's run folder, or `--checkpoint` (ours or a published one).
An evaluation prints a table and writes <run>/prediction/<split>_<setting>.json.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from configs.schema import Config
from utils.command_line import entry_point_parser
from utils.config import from_dict, load_config
from utils.errors import UserError, run_entry_point
from utils.files import write_json
from utils.metrics import Accuracy, accuracy

if TYPE_CHECKING:
    from dataset.annotations import Clip
    from dataset.clips import ClipReader
    from dataset.sampling import Crop
    from modeling.recognizer import Recognizer
    from utils.distributed import Processes
    from utils.progress import StopSignal

EVAL_SETTINGS: dict[str, list["Crop"]] = {"origin": ["central"], "3x_pad": ["start", "central", "end"]}


def main() -> int:
    parser = entry_point_parser(__doc__, "evaluation.batch_size=2")
    parser.add_argument("--config", type=Path, required=True, help="YAML file of the experiment")
    parser.add_argument(
        "--eval_setting", choices=EVAL_SETTINGS, default="origin", help="one central crop, or three"
    )
    parser.add_argument("--split", choices=["train", "dev", "test"], default="test")
    parser.add_argument(
        "--checkpoint", type=Path, help="file or run folder; default: the configuration's run"
    )
    parser.add_argument("--video", type=Path, help="recognise this clip instead of evaluating")
    parser.add_argument(
        "--keypoints",
        type=Path,
        help="its keypoints, from gen_pose.py --video; default: those that data.keypoints has under the file name",
    )
    parser.add_argument("--top_k", type=int, default=5, help="how many glosses to name")
    parser.add_argument("--json", action="store_true", help="print the recognised glosses as JSON")
    arguments = parser.parse_intermixed_args()
    config = load_config(Config, arguments.config, arguments.overrides)
    if arguments.top_k < 1:
        raise UserError("--top_k: must be at least 1")
    if arguments.video is not None:
        ranked = recognise(
            config, arguments.video, arguments.checkpoint, arguments.keypoints, arguments.eval_setting
        )
        print_glosses(ranked[: arguments.top_k], arguments.json)
        return 0
    return evaluate(config, arguments.checkpoint, arguments.split, arguments.eval_setting)


@dataclass
class Results:
    """Predictions for every clip of a split.

    names, labels (int [clips]): in annotation order. crops: what was predicted of each clip. probabilities:
    {head or ensemble: float32 [clips, crops, glosses]}.
    """

    names: list[str]
    labels: np.ndarray
    crops: "list[Crop]"
    probabilities: dict[str, np.ndarray]
    reported_name: str

    def averaged(self, name: str) -> np.ndarray:
        """Probabilities over all crops of each clip: float32 [clips, glosses]."""
        return self.probabilities[name].mean(axis=1)

    def of_crop(self, crop: "Crop") -> "Results":
        """The same clips, predicted from one of the crops alone."""
        index = self.crops.index(crop)
        alone = {name: values[:, index : index + 1] for name, values in self.probabilities.items()}
        return replace(self, crops=[crop], probabilities=alone)

    def accuracy(self, name: str) -> Accuracy:
        return accuracy(self.averaged(name), self.labels)

    @property
    def reported(self) -> Accuracy:
        return self.accuracy(self.reported_name)


class Evaluator:
    """Predicts every clip of a split once, whatever the number of processes."""

    def __init__(
        self,
        config: Config,
        clips: "list[Clip]",
        vocabulary: list[str],
        reader: "ClipReader",
        crops: "list[Crop]",
        processes: "Processes",
    ):
        from dataset.clips import ClipDataset, evaluation_loader

        self.config, self.clips, self.crops, self.processes = config, clips, crops, processes
        self.dataset = ClipDataset(clips, vocabulary, reader, crops)
        self.loader = evaluation_loader(
            self.dataset,
            config.evaluation.batch_size,
            config.data.workers,
            processes.device.type == "cuda",
            processes.rank,
            processes.count,
        )

    def run(self, recognizer: "Recognizer", stop: "StopSignal | None" = None) -> Results | None:
        """Predict; None if a stop was requested on the way."""
        from dataset.clips import DamageLog
        from modeling.engine import predict_batch
        from modeling.recognizer import reported_prediction
        from utils.progress import progress_bar

        damage = DamageLog(self.clips, self.config.data.max_damaged_share)
        found: dict[int, dict[str, np.ndarray]] = {}
        with progress_bar(len(self.loader), 0, "batch", self.processes.is_main and stop is None) as progress:
            for batch in self.loader:
                if stop is not None and stop.requested:
                    break
                for line in damage.note(batch):
                    progress.write(line)
                batch = batch.to(self.processes.device)
                predicted = predict_batch(recognizer, batch.frames, batch.keypoints, len(self.crops))
                arrays = {name: values.float().cpu().numpy() for name, values in predicted.items()}
                for row, clip in enumerate(batch.clips):
                    found[clip] = {name: values[row] for name, values in arrays.items()}
                progress.update()
        if self.processes.any(stop is not None and stop.requested):
            return None
        merged = {clip: values for part in self.processes.gather(found) for clip, values in part.items()}
        ordered = [merged[i] for i in range(len(self.clips))]
        return Results(
            [clip.name for clip in self.clips],
            np.array(self.dataset.labels),
            self.crops,
            {name: np.stack([values[name] for values in ordered]) for name in ordered[0]},
            reported_prediction(recognizer.config),
        )


@dataclass
class TrainedModel:
    recognizer: "Recognizer"
    vocabulary: list[str]


def load_model(config: Config, checkpoint: Path | None) -> TrainedModel:
    """The model of a checkpoint: ours stands alone; a published one takes vocabulary and sizes from `config`."""
    import torch

    from configs.build import build_recognizer, checkpoint_path, stage_weights
    from dataset.annotations import read_annotations
    from modeling.weights import load_matching
    from utils.checkpoint import load_checkpoint

    path = checkpoint_path(checkpoint or Path(config.run))
    if checkpoint is None and not path.is_file():
        raise UserError(f"{config.run}: no trained model (best.pt) here; train first or give --checkpoint")
    content = load_checkpoint(path)
    embeddings = None
    if "vocabulary" in content:
        vocabulary = content["vocabulary"]
        config = from_dict(Config, content["config"], str(path))
        embeddings = content["model"].get("gloss_embeddings")
    else:
        vocabulary = read_annotations(config.data).vocabulary
        # Prediction does without the auxiliary classifiers.
        config = replace(config, loss=type(config.loss)())
    recognizer = build_recognizer(config, len(vocabulary), embeddings)
    report = load_matching(recognizer, stage_weights(content, recognizer), str(path))
    if report.left or report.mismatched:
        raise UserError(f"{report}; the checkpoint is of another model or vocabulary")
    recognizer.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return TrainedModel(recognizer, vocabulary)


def evaluate(config: Config, checkpoint: Path | None, split: Any, setting: str) -> int:
    """Predict a split, print the accuracies, write them with each clip's five best glosses."""
    from configs.build import clip_format
    from dataset.annotations import read_annotations
    from dataset.clips import ClipReader
    from utils.distributed import start_processes, stop_processes

    processes = start_processes(config.runtime.device)
    model = load_model(config, checkpoint)
    annotations = read_annotations(config.data)
    if annotations.vocabulary != model.vocabulary:
        raise UserError(
            f"{checkpoint or config.run}: the checkpoint knows {len(model.vocabulary)} glosses which are not the "
            f"{len(annotations.vocabulary)} of the data; evaluate it on the data it was trained for"
        )
    reader = ClipReader(config.data, clip_format(model.recognizer.config))
    clips = annotations.split(split)
    evaluator = Evaluator(config, clips, model.vocabulary, reader, EVAL_SETTINGS[setting], processes)
    results = evaluator.run(model.recognizer.to(processes.device))
    assert results is not None
    if processes.is_main:
        print(f"{split}, {setting}, {len(clips)} clips\n{table(results)}")
        path = Path(config.run) / "prediction" / f"{split}_{setting}.json"
        write_results(path, results, model.vocabulary)
        print(f"written to {path}")
    stop_processes()
    return 0


def table(results: Results) -> str:
    """Accuracies of every head and ensemble, in per cent; the reported one is marked."""
    lines = [
        f"{'':18}{'per instance':^24}{'per class':^24}",
        f"{'':18}" + f"{'top-1':>8}{'top-5':>8}{'top-10':>8}" * 2,
    ]
    for name in results.probabilities:
        found = results.accuracy(name)
        values = [*found.per_instance.values(), *found.per_class.values()]
        mark = "*" if name == results.reported_name else " "
        lines.append(f"{mark} {name:16}" + "".join(f"{100 * value:8.2f}" for value in values))
    return "\n".join(lines)


def write_results(path: Path, results: Results, vocabulary: list[str]) -> None:
    """JSON: `accuracy` by head and ensemble (shares), `reported`, and `clips` with label and best five glosses."""
    best = results.averaged(results.reported_name)
    order = np.argsort(-best, axis=1, kind="stable")[:, :5]
    content = {
        "reported": results.reported_name,
        "accuracy": {
            name: {"per_instance": found.per_instance, "per_class": found.per_class}
            for name in results.probabilities
            if (found := results.accuracy(name))
        },
        "clips": [
            {
                "name": name,
                "label": vocabulary[label],
                "top_5": [{"gloss": vocabulary[i], "probability": float(best[row, i])} for i in order[row]],
            }
            for row, (name, label) in enumerate(zip(results.names, results.labels, strict=True))
        ],
    }
    write_json(path, content)


def recognise(
    config: Config,
    video: Path,
    checkpoint: Path | None = None,
    keypoints: Path | None = None,
    setting: str = "origin",
) -> list[tuple[str, float]]:
    """The glosses of the vocabulary and their probabilities for one video file, best first."""
    import torch

    from configs.build import clip_format
    from dataset.annotations import Clip
    from dataset.clips import ClipReader
    from dataset.video import count_frames
    from modeling.engine import predict_batch
    from modeling.recognizer import reported_prediction
    from utils.distributed import start_processes

    if not video.is_file():
        raise UserError(f"{video}: no such video")
    device = start_processes(config.runtime.device).device
    model = load_model(config, checkpoint)
    data = replace(config.data, videos=str(video.parent), clip_path="{video}")
    if keypoints is not None:
        data = replace(data, keypoints=str(keypoints))
    clip = Clip(video.stem, "", "test", video.name)
    crops = EVAL_SETTINGS[setting]
    reader = ClipReader(data, clip_format(model.recognizer.config))
    try:
        reader.check([clip])
    except UserError as error:
        raise UserError(f"{error}" if keypoints is not None else f"{error}; or give --keypoints") from None
    if reader.keypoints is not None:
        frames, found = count_frames(video.read_bytes()), len(reader.keypoints.read(clip.name))
        if abs(frames - found) > 2:  # a damaged frame or two may lack its keypoints
            raise UserError(
                f"{reader.keypoints.path}: keypoints of {found} frames, but {video} has {frames}: of another video?"
            )
    sample = reader.read(clip, crops, rng=None)
    if sample.problem is not None:
        raise UserError(f"{video}: {sample.problem}")
    predicted = predict_batch(
        model.recognizer.to(device),
        None if sample.frames is None else torch.from_numpy(sample.frames).to(device),
        None if sample.keypoints is None else torch.from_numpy(sample.keypoints).to(device),
        len(crops),
    )
    best = predicted[reported_prediction(model.recognizer.config)][0].mean(dim=0)
    ranked = best.sort(descending=True)
    return [(model.vocabulary[i], p) for p, i in zip(*map(torch.Tensor.tolist, ranked), strict=True)]


def print_glosses(ranked: list[tuple[str, float]], as_json: bool) -> None:
    if as_json:
        print(json.dumps([{"gloss": gloss, "probability": p} for gloss, p in ranked], ensure_ascii=False))
    else:
        for gloss, probability in ranked:
            print(f"{100 * probability:6.2f} %  {gloss}")


if __name__ == "__main__":
    run_entry_point(main)
