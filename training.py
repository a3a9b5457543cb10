"""Train one stage.

    python training.py --config configs/rgb_frame64.yaml [key=value ...]
    torchrun --nproc_per_node 8 training.py --config ...
    python -m torch.distributed.launch --nproc_per_node 8 --use_env training.py --config ...

The same command again continues where the run stopped. Ctrl-C (or SIGTERM, or SIGUSR1, of which SLURM can give notice)
saves and stops after the current step, with exit code 130.
"""

import math
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.schema import Config, load_experiment
from utils.command_line import entry_point_parser
from utils.config import to_dict
from utils.errors import UserError, run_entry_point

if TYPE_CHECKING:
    import torch
    from torch import nn

    from inference.evaluation import Evaluator, Results
    from report.tensorboard import Board
    from tasks.task import Task
    from utils.checkpoint import TrainState
    from utils.distributed import Processes
    from utils.progress import RunLog

INTERRUPTED = 130  # exit code of a run that was stopped and can be continued
ADVICE = (
    ". The checkpoint is of before this step; try a lower training.learning_rate, or runtime.precision=fp32, or let "
    "some steps be left out: training.skip_steps"
)


def main() -> int:
    parser = entry_point_parser(__doc__, "training.batch_size=4")
    parser.add_argument("--config", type=Path, required=True, help="YAML file of the experiment")
    arguments = parser.parse_intermixed_args()
    return train(load_experiment(arguments.config, arguments.overrides))


def train(config: Config) -> int:
    """Train as configured; returns the exit code: 0 when the run is complete, 130 when it was interrupted."""
    import torch

    from dataset.batch import DamageLog
    from dataset.loader import TrainingSchedule, training_loader
    from modeling.engine import accelerate, gradient_norm
    from modeling.optimizer import build_optimizer, learning_rate
    from modeling.whole_batch_norm import use_whole_batches
    from report.tensorboard import Board
    from tasks import build_task
    from utils.cores import CoreWatch
    from utils.distributed import distribute, start_processes, stop_processes
    from utils.profiling import profiled
    from utils.progress import RunLog, StopSignal
    from utils.run import Run
    from utils.seeding import compute_repeatably, generator

    if config.runtime.deterministic:
        compute_repeatably()
    processes = start_processes(config.runtime.device)
    training, seed, device = config.training, config.seed, processes.device
    training.refuse_uneven_batches(processes.count)
    task = build_task(config, processes)
    dataset = task.training_data()
    validation = validation_of(task, config)
    network = task.build_network()
    run = Run(Path(config.run), config, task.vocabulary)
    # Before anything is written: a missing file must leave no half-made run behind.
    reports = [] if run.can_continue else task.load_initial_weights(network)
    checkpoint = run.open(processes.is_main)
    processes.barrier()
    log = RunLog(run.folder, processes.is_main)
    for line in (introduction(config, task, network, processes), *task.announcements(), *map(str, reports)):
        log.print(line)
    for problem in run.problems:
        log.print(f"{problem}; the checkpoint before it is used")
    network.to(device=device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    optimizer = build_optimizer(network, training)
    if checkpoint is not None:
        network.load_state_dict(checkpoint["model"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        log.print("already trained" if run.complete else f"continuing after step {run.state.step}")
    state = run.state
    board = Board(run.folder, continue_after=state.step) if processes.is_main else None
    log.start_at(state, board)
    log.print(accelerate(network, config.runtime))
    parallel = distribute(network, processes)
    if training.normalizes_whole_batches:
        use_whole_batches(network)
    step = task.training_step(network, parallel, optimizer)
    schedule = TrainingSchedule(
        dataset, training.batch_size, training.epochs, seed, state.step, processes.rank, processes.count
    )
    per_epoch = schedule.steps_per_epoch
    loader = training_loader(dataset, schedule, config.data.workers, device.type == "cuda")
    damage = DamageLog(dataset.names, config.data.max_damaged_share)
    stop = StopSignal(announced=processes.is_main)
    cores = CoreWatch()

    recorded = run.folder / "profile" if training.profile and processes.is_main else None
    progress_bar = log.progress(training.epochs * per_epoch, state.step)
    with (
        processes.telling_the_lost(),
        run,
        closing(iter(loader)) as batches,
        progress_bar as progress,
        profiled(recorded) as record_step,
    ):
        while not run.complete:
            epoch = state.step // per_epoch
            if state.validated < epoch:  # the epoch is complete
                results = None
                if validation is not None and validates(config, epoch):
                    results = validation.run(network, stop)
                    if results is None:
                        break  # interrupted; the continued run validates again
                if (taken := cores.warning()) is not None:
                    log.print(taken)
                best = finish_epoch(state, learning_rate(training, epoch - 1, 1.0), task, results, log, board)
                if processes.is_main:
                    run.save(network, optimizer, best)
                continue
            started = time.perf_counter()
            batch = next(batches)
            for line in damage.note(batch):
                log.warn(line)
            batch = batch.to(device)
            waited, busy = time.perf_counter() - started, time.thread_time()
            if state.step % per_epoch == 0:
                pictures = task.pictures(next(task.parts(batch, state.step)))
                if board is not None:
                    board.pictures(pictures, state.step)
            share = (state.step % per_epoch + 0.5) / per_epoch
            # What torch draws, as dropout does, depends on the step alone, like all that is random.
            torch.manual_seed(int(generator(seed, "torch", state.step, processes.rank).integers(2**63)))
            # A skipped step must not leave its statistics of BatchNorm either.
            may_skip = state.skipped < training.skip_steps
            statistics = [buffer.clone() for buffer in network.buffers()] if may_skip else []
            losses = step.learn(task.parts(batch, state.step), epoch, share)
            losses["gradient_norm"] = gradient_norm(network)
            means, stopping = processes.agree(losses, stop.requested)
            if not all(map(math.isfinite, means.values())):  # in all processes
                clips = processes.gather([dataset.names[sample] for sample in batch.samples])
                problem = divergence(means, state.step, [name for part in clips for name in part])
                nothing_else = state.steps == 0 and (state.step + 1) % per_epoch == 0
                if not may_skip or nothing_else:
                    raise UserError(problem + ADVICE)
                for buffer, earlier in zip(network.buffers(), statistics, strict=True):
                    buffer.copy_(earlier)
                state.skip_step()
                log.print(
                    f"{problem}; skipped, as {state.skipped} of training.skip_steps={training.skip_steps}"
                )
                progress.update()
            else:
                step.update()
                norm, seconds = means.pop("gradient_norm"), time.perf_counter() - started
                if device.type == "cpu":
                    cores.note(seconds - waited, time.thread_time() - busy)
                state.finish_step(means, seconds, waited, training.batch_size)
                log.step(state, means, progress, step_figures(step.schedule(epoch, share), norm, device))
            record_step()
            if stopping:
                break
            if processes.is_main and run.save_is_due:
                run.save(network, optimizer)
        if not run.complete and processes.is_main:
            run.save(network, optimizer)
            log.print(f"stopped after step {state.step}; the same command continues")
    stop.release()
    if run.complete and board is not None:
        board.hyper_parameters(to_dict(config), {"best/validation_score": state.best_score})
    stop_processes()
    return 0 if run.complete and not stop.requested else INTERRUPTED


def validation_of(task: "Task", config: Config) -> "Evaluator[Any, Any] | None":
    """What predicts the validation split after every epoch, if there is to be one."""
    from dataset.annotations import NoClips

    split = config.evaluation.validation_split
    if split is None:
        return None
    try:
        return task.evaluator(split, task.settings[:1])
    except NoClips as error:
        raise UserError(f"evaluation.validation_split: {error}; name one of them, or null for none") from None


def validates(config: Config, epochs: int) -> bool:
    """Whether the validation split is read after so many epochs."""
    return epochs % config.evaluation.validate_every == 0 or epochs == config.training.epochs


def introduction(config: Config, task: "Task", network: "nn.Module", processes: "Processes") -> str:
    """The first line of the log: what is trained on what."""
    weights = sum(p.numel() for p in network.parameters()) / 1e6
    return (
        f"{config.run}: {task.summary()}, {weights:.1f} M weights, "
        f"{processes.count} process(es) on {processes.device.type}, "
        f"{task.precision()}"
    )


def finish_epoch(
    state: "TrainState",
    rate: float,
    task: "Task",
    found: "dict[str, Results] | None",
    log: "RunLog",
    board: "Board | None",
) -> bool:
    """Note a complete epoch and what its validation found, by evaluation setting; whether it is the best so far."""
    if found is None:
        log.epoch(state, rate, None, "")
        return state.finish_epoch(None)
    (results,) = found.values()
    log.epoch(state, rate, results.entry(), results.summary())
    if board is not None:
        board.evaluation("validation", results.scalars(), results.pictures(), state.step)
    return state.finish_epoch(results.score, task.higher_is_better)


def step_figures(
    schedule: dict[str, float], gradient_norm: float, device: "torch.device"
) -> dict[str, float]:
    """What TensorBoard shows of a step beside its losses."""
    import torch

    figures = {f"schedule/{name}": value for name, value in schedule.items()}
    figures["gradient_norm"] = gradient_norm
    if device.type == "cuda":
        figures["memory/gpu_peak_gib"] = torch.cuda.max_memory_allocated(device) / 2**30
    return figures


def divergence(figures: dict[str, float], step: int, clips: list[str]) -> str:
    """What is not finite in a step, in words; what is not finite in a clip itself is found where it is read."""
    broken = ", ".join(name for name, value in figures.items() if not math.isfinite(value))
    return (
        f"step {step}: not finite: {broken}, on the clips {', '.join(clips)}, in which everything is finite"
    )


if __name__ == "__main__":
    run_entry_point(main)
