"""What the demos have in common: their command line, their stages, what they take down, and going on where one stopped.

A demo renders a set, trains one stage after another and sums up, all in one folder. What is there is not made again.
"""

import argparse
import json
import os
import platform
import sys
import time
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from configs.schema import Config
from report.runs import evaluation_path
from utils.command_line import share_cores
from utils.config import flat, load_config, to_dict
from utils.errors import UserError
from utils.files import read_json, write_json

if TYPE_CHECKING:
    from inference.evaluation import Results

CONFIGS = Path(__file__).with_name("configs")
Stage = TypeVar("Stage", bound=Config)


def start(description: str | None, configured_out: Path, run: Callable[[Path, int], bool]) -> int:
    """Run a demo as the command line says; the exit code.

    Args:
        description: for --help.
        configured_out: the folder that the demo's configurations name.
        run: the demo in a folder with a seed; False if it was interrupted.
    """
    share_cores()
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, default=configured_out, help="folder for everything; default: %(default)s"
    )
    parser.add_argument(
        "--seed", type=int, default=321, help="of what is rendered and of training; default: %(default)s"
    )
    arguments = parser.parse_args()
    try:
        complete = run(arguments.out, arguments.seed)
    except KeyboardInterrupt:
        complete = False
    if not complete:
        from training import INTERRUPTED

        print("the demo was stopped; the same command continues it", file=sys.stderr)
        return INTERRUPTED
    show(arguments.out / "report.html")
    return 0


def show(page: Path) -> None:
    """Print where the report is, and open it if there is a display."""
    print(f"report: {page}")
    if sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        with suppress(webbrowser.Error):
            webbrowser.open(page.resolve().as_uri())


def stage_config(
    kind: type[Stage], path: Path, configured_out: Path, out: Path, seed: int, overrides: Sequence[str] = ()
) -> Stage:
    """The configuration of a stage, with everything that it reads and writes in `configured_out` moved to `out`.

    Args:
        kind: of configuration.
        path: of its file.
        seed: of the training.
        overrides: `key.path=value`, on top.
    """

    def moved(value: Any) -> Any:
        if isinstance(value, list):
            return [moved(item) for item in value]
        if isinstance(value, str) and Path(value).is_relative_to(configured_out):
            return str(out / Path(value).relative_to(configured_out))
        return value

    values = flat(to_dict(load_config(kind, path)))
    places = {key: moved(value) for key, value in values.items() if moved(value) != value}
    # JSON is YAML, so quoting it so keeps any character of a path.
    changed = [f"{key}={json.dumps(value)}" for key, value in ({**places, "seed": seed}).items()]
    return load_config(kind, path, [*changed, *overrides])


def refuse_other_seed(manifest: Path, seed: int) -> None:
    """A set of another seed is not rendered over: the stages trained on it could no longer be continued.

    `manifest`: the file that is written with the set.

    Raises:
        UserError: the set is of another seed.
    """
    if manifest.is_file():
        found = read_json(manifest, dict)["config"]["seed"]
        if found != seed:
            kind = manifest.stem.replace("_", " ")
            raise UserError(
                f"{manifest.parent}: holds the {kind} of seed {found}, not {seed}; give another folder as --out"
            )


class Stopwatch:
    """Seconds by name, kept in a file and added up over every start of the demo."""

    def __init__(self, path: Path):
        self.path = path
        self.seconds: dict[str, float] = read_json(path, dict) if path.is_file() else {}

    @classmethod
    def of(cls, config: Config) -> "Stopwatch":
        """That of a stage."""
        return cls(Path(config.run) / "seconds.json")

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started
        write_json(self.path, self.seconds)


def train_and_evaluate(config: Config, settings: Sequence[str]) -> bool:
    """Train a stage and evaluate its best weights on the test split; False if interrupted.

    A stage that was trained and evaluated before is only checked to be of this configuration.

    `settings`: of the evaluation; the results of each are written where `prediction.py` writes them.
    """
    import training

    watch = Stopwatch.of(config)
    if "evaluation" in watch.seconds:
        return training.train(config) == 0
    with watch.measure("training"):
        status = training.train(config)
    if status != 0:
        return False
    with watch.measure("evaluation"):
        for setting, results in evaluate(config, settings).items():
            results.write(evaluation_path(config.run, "test", setting))
            print(f"test, {setting}: {results.summary()}")
    return True


def evaluate(config: Config, settings: Sequence[str]) -> "dict[str, Results]":
    """What the best weights of a stage make of the test split, by setting."""
    from tasks import build_task
    from utils.checkpoint import load_checkpoint
    from utils.distributed import start_processes

    processes = start_processes(config.runtime.device)
    task = build_task(config, processes)
    network = task.build_network()
    network.load_state_dict(load_checkpoint(Path(config.run) / "best.pt")["model"])
    found = task.evaluator("test", settings).run(network.to(processes.device))
    assert found is not None  # nobody can ask it to stop
    return found


def machine() -> dict[str, Any]:
    """With what it was computed, for the summary: threads, and versions of what decides the figures."""
    import av
    import cv2
    import numpy
    import torch

    return {
        "threads": torch.get_num_threads(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": numpy.__version__,
            "av": av.__version__,
            "opencv": cv2.__version__,
        },
    }
