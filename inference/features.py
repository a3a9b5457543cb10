"""What the heads of a trained network of continuous recognition read of every sentence, computed once and stored.

    python -m inference.features --config configs/two_stream/phoenix2014t/two_stream.yaml [--split train]
    torchrun --nproc_per_node 4 -m inference.features --config ...

Translation learns from these features. They are written to features/<split>.safetensors in the run's folder, with a
fingerprint of the weights that computed them. The same command again continues where it was stopped.
"""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from configs.schema import ContinuousConfig, load_experiment
from dataset.annotations import SPLITS
from utils.command_line import entry_point_parser
from utils.errors import UserError, run_entry_point

if TYPE_CHECKING:
    from torch import nn

    from dataset.annotations import Split
    from inference.trained_model import ContinuousModel
    from utils.distributed import Processes
    from utils.progress import StopSignal

INTERRUPTED = 130


def main() -> int:
    parser = entry_point_parser(__doc__, "runtime.precision=fp32")
    parser.add_argument("--config", type=Path, required=True, help="YAML file of the experiment")
    parser.add_argument(
        "--checkpoint", type=Path, help="file, run folder or export; default: the configuration's run"
    )
    parser.add_argument("--split", action="append", choices=SPLITS, help="may be repeated; default: all")
    parser.add_argument("--out", type=Path, help="folder to write; default: features in the run's folder")
    arguments = parser.parse_intermixed_args()
    config = load_experiment(arguments.config, arguments.overrides)
    if not isinstance(config, ContinuousConfig):
        raise UserError(f"{arguments.config}: is of {config.kind}; features are of continuous recognition")
    return store(config, arguments.checkpoint or Path(config.run), arguments.split or SPLITS, arguments.out)


def store(config: ContinuousConfig, source: Path, splits: "Sequence[Split]", out: Path | None = None) -> int:
    """Store the features of some splits; returns the exit code: 0, or 130 when it was interrupted.

    Args:
        config: says where the clips are.
        source: of the model, see `load_model`.
        out: folder to write; default: see `features_folder`.
    """
    from inference.trained_model import load_model
    from utils.distributed import start_processes, stop_processes
    from utils.progress import StopSignal

    processes = start_processes(config.runtime.device)
    model = load_model(source, config)
    stop = StopSignal(announced=processes.is_main)
    complete = all(
        extract(model, config, source, split, out or features_folder(source), processes, stop)
        for split in splits
    )
    stop.release()
    if not complete and processes.is_main:
        print("stopped; the same command continues", file=sys.stderr)
    stop_processes()
    return 0 if complete else INTERRUPTED


def features_folder(source: Path) -> Path:
    """Where the features of a model are: beside its checkpoint."""
    return (source if source.is_dir() else source.parent) / "features"


def fingerprint(network: "nn.Module") -> str:
    """Of the weights of a network: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def extract(
    model: "ContinuousModel",
    config: ContinuousConfig,
    source: Path,
    split: "Split",
    folder: Path,
    processes: "Processes",
    stop: "StopSignal",
) -> bool:
    """Store the features of one split, on all processes; False if a stop was requested on the way."""
    from configs.build import sentence_reader
    from dataset.batch import DamageLog
    from dataset.features import FeatureParts, FeatureStore
    from dataset.loader import evaluation_loader
    from dataset.sentence_clips import SentenceDataset
    from dataset.sentences import GlossClasses, read_sentences
    from modeling.continuous.recognition import SentencePredictor
    from utils.progress import progress_bar

    path, origin = folder / f"{split}.safetensors", fingerprint(model.recognizer)
    sentences = read_sentences(config.data).split(split)
    if path.is_file():
        there = FeatureStore(path)
        there.refuse_other_origin(origin, str(source))
        if there.names >= {sentence.name for sentence in sentences}:
            return True
    parts = FeatureParts(path, origin, str(source))
    left = [sentence for sentence in sentences if sentence.name not in parts]
    processes.barrier()  # every process must see the same ones left
    data = config.data
    classes = GlossClasses(model.vocabulary, data.lower_case)
    dataset = SentenceDataset(left, classes, sentence_reader(config), data, training=False)
    loader = evaluation_loader(
        dataset,
        config.evaluation.batch_size,
        data.workers,
        processes.device.type == "cuda",
        processes.rank,
        processes.count,
    )
    predict = SentencePredictor(model.recognizer.to(processes.device), config.runtime, pyramid=False)
    damage = DamageLog(dataset.names, data.max_damaged_share, refusal="")
    with progress_bar(len(loader), 0, "batch", processes.is_main) as progress:
        for batch in loader:
            if stop.requested:
                break
            for line in damage.note(batch):
                progress.write(line, file=sys.stderr)
            batch = batch.to(processes.device)
            for row, sample in enumerate(batch.samples):
                parts.keep(left[sample].name, predict.features(*batch.sentence(row)))
            progress.update()
    if processes.any(stop.requested):
        return False
    processes.barrier()
    if processes.is_main:
        parts.merge()
        print(f"{path}: features of {len(sentences)} sentences, weights {origin}")
    processes.barrier()
    return True


if __name__ == "__main__":
    run_entry_point(main)
