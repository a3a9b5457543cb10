"""What TensorBoard shows of a run: scalars, clips as the network reads them, confusions, hyper-parameters."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from report.analysis import confusion_counts
from report.pictures import captioned, confusion_picture, filmstrip, on_white
from utils.config import flat

if TYPE_CHECKING:
    from inference.evaluation import Results

CLIPS_SHOWN = 4
GLOSSES_SHOWN = 48  # in a picture of confusions
HYPER_PARAMETERS = ("seed", "model", "loss", "augment", "training")  # sections of the configuration


class Board:
    """The TensorBoard files of a run folder.

    Args:
        run: its folder.
        continue_after: step that the run continues from; what an interrupted run wrote later is not shown.
    """

    def __init__(self, run: Path, continue_after: int | None = None):
        purge = None if continue_after is None else continue_after + 1
        self._writer = SummaryWriter(str(run / "tensorboard"), purge_step=purge)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def clips(
        self, frames: np.ndarray | None, heatmaps: np.ndarray | None, captions: Sequence[str], step: int
    ) -> None:
        """The first clips of a batch.

        Args:
            frames: uint8 RGB [B, T, H, W, 3], or None.
            heatmaps: float [B, T, h, w], or None.
            captions: of each clip.
        """
        strips = [
            captioned(filmstrip(*(None if x is None else x[i] for x in (frames, heatmaps))), caption)
            for i, caption in enumerate(captions[:CLIPS_SHOWN])
        ]
        self._writer.add_image("clips", np.concatenate(strips), step, dataformats="HWC")

    def evaluation(self, name: str, results: "Results", vocabulary: Sequence[str], step: int) -> None:
        """Accuracies of every head, and a picture of what the reported prediction confuses."""
        for head in results.probabilities:
            found = results.accuracy(head)
            self.scalars({f"{name}/top{k}/{head}": found.per_instance[k] for k in (1, 5)}, step)
            self.scalars({f"{name}/top1_per_class/{head}": found.per_class[1]}, step)
        predicted = results.averaged(results.reported_name).argmax(axis=1)
        outcomes = [(vocabulary[i], vocabulary[j]) for i, j in zip(results.labels, predicted, strict=True)]
        matrix, shown = confusion_counts(outcomes, vocabulary, GLOSSES_SHOWN)
        if shown:
            picture = on_white(confusion_picture(matrix, shown))
            self._writer.add_image(f"{name}/confusions", picture, step, dataformats="HWC")
        self._writer.flush()

    def hyper_parameters(self, config: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """The settings that decide what a model learns, with the final metrics of the run."""
        chosen = flat({name: config[name] for name in HYPER_PARAMETERS}).items()
        shown = {
            key: value if isinstance(value, bool | int | float | str) else str(value)
            for key, value in chosen
            if value is not None
        }
        self._writer.add_hparams(shown, dict(metrics), run_name=".")
        self._writer.flush()

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()
