"""Train one stage.

    python training.py --config configs/rgb_frame64.yaml [key=value ...]
    torchrun --nproc_per_node 8 training.py --config ...
    python -m torch.distributed.launch --nproc_per_node 8 --use_env training.py --config ...

The same command again continues where the run stopped. Ctrl-C (or SIGTERM) saves and stops after the current step.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from configs.schema import Config
from utils.command_line import entry_point_parser
from utils.config import load_config, to_dict
from utils.errors import UserError, run_entry_point

if TYPE_CHECKING:
    from modeling.engine import Prepared
    from report.tensorboard import Board

INTERRUPTED = 130  # exit code of a run that was stopped and can be continued


def main() -> int:
    parser = entry_point_parser(__doc__, "training.batch_size=4")
    parser.add_argument("--config", type=Path, required=True, help="YAML file of the experiment")
    arguments = parser.parse_intermixed_args()
    return train(load_config(Config, arguments.config, arguments.overrides))


def train(config: Config) -> int:
    """Train as configured; returns the exit code: 0 when the run is complete, 130 when it was interrupted."""
    import torch

    from configs.build import build_recognizer, clip_format, gloss_embeddings, load_initial_weights
    from dataset.annotations import read_annotations
    from dataset.clips import ClipDataset, ClipReader, DamageLog
    from dataset.loader import TrainingSchedule, training_loader
    from inference.evaluation import Evaluator
    from modeling.augment import draw_augmentation
    from modeling.engine import TrainingStep, accelerate, encoder_precision, gradient_norm
    from modeling.objective import Objective
    from modeling.optimizer import build_optimizer, learning_rate
    from utils.distributed import distribute, start_processes, stop_processes
    from utils.profiling import profiled
    from utils.progress import RunLog, StopSignal
    from utils.run import Run
    from utils.seeding import generator

    processes = start_processes(config.runtime.device)
    training, device = config.training, processes.device
    if training.batch_size % processes.count:
        raise UserError(
            f"training.batch_size: {training.batch_size} clips do not divide over {processes.count} processes"
        )
    local = training.batch_size // processes.count
    if local % training.accumulate:
        raise UserError(
            f"training.accumulate: the {local} clips of a process do not divide into {training.accumulate} parts"
        )
    together = training.batch_size // training.accumulate
    if together * config.model.last_places < 2:
        raise UserError(
            f"training.batch_size, training.accumulate: {together} clip at a time leaves BatchNorm a single value "
            "in the last maps of so small a model; take at least 2, or larger pictures or longer clips"
        )

    annotations = read_annotations(config.data)
    vocabulary = annotations.vocabulary
    clips = annotations.split("train")
    reader = ClipReader(config.data, clip_format(config.model))
    dataset = ClipDataset(clips, vocabulary, reader, crops=None)
    validation, validation_clips = None, []
    if (split := config.evaluation.validation_split) is not None:
        try:
            validation_clips = annotations.split(split)
        except UserError as error:
            raise UserError(
                f"evaluation.validation_split: {error}; name one of them, or null for none"
            ) from None
        validation = Evaluator(config, validation_clips, vocabulary, reader, ["central"], processes)
    embeddings = gloss_embeddings(config, vocabulary)

    recognizer = build_recognizer(config, len(vocabulary), embeddings)
    run = Run(Path(config.run), to_dict(config), vocabulary, Config)
    # Before anything is written: a missing file must leave no half-made run behind.
    reports = [] if run.can_continue else load_initial_weights(recognizer, config)
    checkpoint = run.open(processes.is_main)
    processes.barrier()
    log = RunLog(run.folder, processes.is_main)
    log.print(
        f"{config.run}: {len(clips)} training clips, {len(vocabulary)} glosses, "
        f"streams {', '.join(config.model.streams)}, "
        f"{sum(p.numel() for p in recognizer.parameters()) / 1e6:.1f} M weights, "
        f"{processes.count} process(es) on {device.type}, "
        f"{encoder_precision(config.runtime, device)} encoders"
    )
    if reader.cache is not None:
        log.print(reader.cache.announcement(reader.video_frames(clips + validation_clips)))
    for report in reports:
        log.print(str(report))
    if checkpoint is not None:
        recognizer.load_state_dict(checkpoint["model"])
    recognizer.to(device=device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    optimizer = build_optimizer(recognizer, training)
    if checkpoint is not None:
        optimizer.load_state_dict(checkpoint["optimizer"])
        log.print("already trained" if run.complete else f"continuing after step {run.state.step}")
    state = run.state
    log.start_at(state)

    objective = Objective(config.loss, len(vocabulary), embeddings).to(device)
    log.print(accelerate(recognizer, config.runtime))
    parallel = distribute(recognizer, processes)
    step = TrainingStep(recognizer, parallel, objective, optimizer, training, config.runtime)
    schedule = TrainingSchedule(
        len(clips),
        training.batch_size,
        training.epochs,
        config.seed,
        state.step,
        processes.rank,
        processes.count,
    )
    per_epoch = schedule.steps_per_epoch
    batches = iter(training_loader(dataset, schedule, config.data.workers, device.type == "cuda"))
    damage = DamageLog(clips, config.data.max_damaged_share)
    stop = StopSignal(announced=processes.is_main)

    recorded = run.folder / "profile" if training.profile and processes.is_main else None
    with log.progress(training.epochs * per_epoch, state.step) as progress, profiled(recorded) as record_step:
        while state.validated < training.epochs:
            epoch = state.step // per_epoch
            if state.validated < epoch:  # the epoch is complete
                accuracy = None
                if validation is not None:
                    results = validation.run(recognizer, stop)
                    if results is None:  # interrupted; the continued run validates again
                        break
                    accuracy = results.reported
                    if log.board is not None:
                        log.board.evaluation("validation", results, vocabulary, state.step)
                log.epoch(state, learning_rate(training, epoch - 1), accuracy)
                best = state.finish_epoch(None if accuracy is None else accuracy.per_instance[1])
                if processes.is_main:
                    run.save(recognizer, optimizer, best)
                continue
            started = time.perf_counter()
            batch = next(batches)
            for line in damage.note(batch):
                log.print(line)
            batch = batch.to(device)
            waited = time.perf_counter() - started
            first = processes.rank * local
            if config.augment.draw == "per_batch":
                rngs = [generator(config.seed, "augment", state.step)]
            else:
                rngs = [generator(config.seed, "augment", state.step, first + i) for i in range(local)]
            size = config.data.frame_size
            draws = [draw_augmentation(config.augment, config.model, size, rng) for rng in rngs]
            mixup_rng = generator(config.seed, "mixup", state.step)
            frames, keypoints = batch.crops()
            raw = frames, keypoints, batch.labels, draws, mixup_rng, processes.rank
            if log.board is not None and state.step % per_epoch == 0:
                show_clips(log.board, next(step.prepare(*raw)), config, vocabulary, state.step)
            losses = step(step.prepare(*raw), epoch)
            # One reduction carries the losses of all processes and whether any was asked to stop.
            values = [*losses.values(), gradient_norm(recognizer)]
            values.append(torch.tensor(float(stop.requested), device=device))
            *means, norm, stopping = processes.mean(torch.stack(values)).tolist()
            named = dict(zip(losses, means, strict=True))
            if not all(map(torch.isfinite, torch.tensor(means))):
                raise UserError(
                    f"the loss at step {state.step} is not finite; try a lower training.learning_rate"
                )
            state.finish_step(named, time.perf_counter() - started, waited, training.batch_size)
            scalars = {f"schedule/{name}": value for name, value in step.schedule(epoch).items()}
            scalars["gradient_norm"] = norm
            if device.type == "cuda":
                scalars["memory/gpu_peak_gib"] = torch.cuda.max_memory_allocated(device) / 2**30
            log.step(state, named, progress, scalars)
            record_step()
            if stopping:
                break
    stop.release()
    if run.complete and log.board is not None:
        log.board.hyper_parameters(to_dict(config), {"best/validation_top1": state.best_accuracy})
    if not run.complete and processes.is_main:
        run.save(recognizer, optimizer)
        log.print(f"stopped after step {state.step}; the same command continues")
    stop_processes()
    return 0 if run.complete and not stop.requested else INTERRUPTED


def show_clips(board: "Board", batch: "Prepared", config: Config, vocabulary: list[str], step: int) -> None:
    """The first clips of a batch in TensorBoard, as the network is about to see them."""
    from modeling.augment import visible_inputs
    from modeling.objective import MixedLabels

    labels = batch.labels
    if isinstance(labels, MixedLabels):
        pairs = zip(labels.first.tolist(), labels.second.tolist(), strict=True)
        captions = [
            f"{labels.share:.0%} {vocabulary[i]}, {1 - labels.share:.0%} {vocabulary[j]}" for i, j in pairs
        ]
    else:
        captions = [vocabulary[label] for label in labels.tolist()]
    frames, heatmaps = (None if x is None else x.numpy() for x in visible_inputs(batch.inputs, config.model))
    board.clips(frames, heatmaps, captions, step)


if __name__ == "__main__":
    run_entry_point(main)
