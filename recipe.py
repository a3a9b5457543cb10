"""Train an experiment after every stage that it stands on, in order, and evaluate it on the test split.

    python recipe.py --config configs/nla_slr_wlasl_2000.yaml --dry_run
    python recipe.py --config configs/nla_slr_wlasl_2000.yaml [--torchrun="--nproc_per_node 8"] [key=value ...]
    python recipe.py --config configs/two_stream/phoenix2014t/translation/joint.yaml \
        --ensemble configs/two_stream/phoenix2014t/translation/rgb.yaml

A stage is found by the run folder that another one starts from: it is that of one of the configurations. Overrides hold
for all stages. The same command again continues where it stopped; a stage that is complete is left alone.
"""

import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType

from configs.schema import (
    Config,
    ContinuousConfig,
    IsolatedConfig,
    RecognitionConfig,
    TranslationConfig,
    load_experiment,
)
from report.runs import read_epochs
from training import INTERRUPTED
from utils.command_line import entry_point_parser
from utils.config_files import read_values
from utils.errors import UserError, run_entry_point

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Stage:
    """One training: its configuration, and the file of that."""

    path: Path
    config: Config

    @property
    def starts_from(self) -> list[str]:
        """Run folders, and files of weights."""
        config = self.config
        needed: list[str | None] = []
        if isinstance(config, TranslationConfig):
            needed = [config.recognition, config.gloss_to_text]
        elif isinstance(config, RecognitionConfig):
            needed = [config.init.encoder, *config.init.stages]
        return [name for name in needed if name is not None]

    @property
    def state(self) -> str:
        done, epochs = len(read_epochs(Path(self.config.run))), self.config.training.epochs
        return "complete" if done == epochs else f"{done} of {epochs} epochs" if done else "not begun"


def main() -> int:
    parser = entry_point_parser(__doc__, "data.workers=8")
    parser.add_argument("--config", type=Path, required=True, help="YAML file of the last stage")
    parser.add_argument(
        "--ensemble",
        type=Path,
        action="append",
        default=[],
        metavar="CONFIG",
        help="of translation: another model, trained too, which translates together with the last; may be repeated",
    )
    parser.add_argument(
        "--torchrun", metavar="OPTIONS", help='start by torchrun, such as "--nproc_per_node 8"'
    )
    parser.add_argument("--dry_run", action="store_true", help="only say what would be done")
    arguments = parser.parse_intermixed_args()
    stages = stages_of([*arguments.ensemble, arguments.config], arguments.overrides)
    missing = missing_weights(stages)
    if missing and not arguments.dry_run:
        raise UserError(missing[0])
    for number, stage in enumerate(stages, 1):
        print(f"{number}. {stage.path}: {stage.config.kind}, {stage.config.run}, {stage.state}", flush=True)
        if arguments.dry_run and isinstance(stage.config, IsolatedConfig | ContinuousConfig):
            from configs.cost import estimate

            print(f"   {estimate(stage.config)}")
    for line in missing:
        print(line)
    python = [sys.executable]
    if arguments.torchrun is not None:
        python += ["-m", "torch.distributed.run", *shlex.split(arguments.torchrun)]
    for command in commands(stages, arguments.ensemble, arguments.overrides):
        print(shlex.join(["python", *command]), flush=True)
        if not arguments.dry_run and (code := run([*python, *command])) != 0:
            print("stopped; the same command continues", file=sys.stderr)
            return code
    return 0


def stages_of(paths: Sequence[Path], overrides: list[str]) -> list[Stage]:
    """The experiments in some files and all that they stand on, each after those that it starts from.

    Raises:
        UserError: a run that is needed is that of no configuration, or of several.
    """
    if any(override.startswith("run=") for override in overrides):
        raise UserError("run=...: every stage has a folder of its own; change it in the files")
    found: dict[str, Stage] = {}

    def add(path: Path) -> None:
        stage = Stage(path, load_experiment(path, overrides))
        for run in filter(is_run, stage.starts_from):
            if run not in found and (file := file_of(run, path)) is not None:
                add(file)
        found[stage.config.run] = stage

    for path in paths:
        add(path)
    return list(found.values())


def is_run(name: str) -> bool:
    """Whether a stage starts from a run folder of this name, rather than from a file of weights."""
    return Path(name).suffix not in (".pt", ".pth", ".safetensors")


def file_of(run: str, needed_by: Path) -> Path | None:
    """The configuration of a run, among those of the folder `configs` (or else beside the one that needs it); None if
    there is none, but the trained run."""
    folders = [*needed_by.parents, *needed_by.resolve().parents]
    root = next((folder for folder in folders if folder.name == "configs"), needed_by.parent)
    files = runs_in(root).get(run, [])
    if not files and (Path(run) / "best.pt").is_file():
        return None
    if len(files) != 1:
        listed = ", ".join(map(str, files)) or f"none in {root}"
        raise UserError(f"{needed_by}: starts from {run}, the run of one configuration; found: {listed}")
    return files[0]


@cache
def runs_in(root: Path) -> dict[str, list[Path]]:
    """The configurations in a folder, by the runs that they name."""
    found: dict[str, list[Path]] = {}
    for path in sorted(root.rglob("*.yaml")):
        with suppress(UserError):  # a part of others, which needs them
            run = str(read_values(path, [])[0].get("run"))
            if path.resolve().parent != Path(run).resolve():  # a run keeps its own there
                found.setdefault(run, []).append(path)
    return found


def missing_weights(stages: Sequence[Stage]) -> list[str]:
    """One line for each file of weights that is not there."""
    return [
        f"{stage.path}: starts from {name}, which is not there"
        for stage in stages
        for name in stage.starts_from
        if not is_run(name) and not Path(name).is_file()
    ]


def commands(stages: Sequence[Stage], ensemble: Sequence[Path], overrides: list[str]) -> Iterator[list[str]]:
    """What is to be started, one after the other: arguments of python."""
    files = {stage.config.run: stage.path for stage in stages}
    with_features: set[str] = set()
    for stage in stages:
        recognition = stage.config.recognition if isinstance(stage.config, TranslationConfig) else None
        if recognition is not None and recognition not in with_features:
            with_features.add(recognition)
            config = files.get(recognition, Path(recognition) / "config.yaml")
            yield ["-m", "inference.features", "--config", str(config), *overrides]
        yield [str(HERE / "training.py"), "--config", str(stage.path), *overrides]
    last = stages[-1]
    evaluation = [str(HERE / "prediction.py"), "--config", str(last.path), *overrides]
    others = [stage.config.run for stage in stages if stage.path in ensemble]
    evaluation += [argument for run in others for argument in ("--ensemble", run)]
    for setting in ("origin", "3x_pad") if isinstance(last.config, IsolatedConfig) else (None,):
        yield evaluation if setting is None else [*evaluation, "--eval_setting", setting]


def run(command: Sequence[str]) -> int:
    """Run to the end, and pass signals on; a terminal sends Ctrl-C to the command by itself.

    Returns the command's exit code, or that of an interrupted training where it ended after a signal: torchrun has
    others for that.
    """
    process = subprocess.Popen(command)
    stopped = False

    def pass_on(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        if number != signal.SIGINT:
            process.send_signal(number)

    before = {
        number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    }
    try:
        code = process.wait()
        return INTERRUPTED if stopped and code else code
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    run_entry_point(main)
