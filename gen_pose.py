"""Find the whole-body keypoints of a data set's clips, or of one video.

    python gen_pose.py --config configs/nla_slr_wlasl_2000.yaml [--split train] [--estimator hrnet] [key=value ...]
    torchrun --nproc_per_node 8 gen_pose.py --config ...
    python gen_pose.py --video clip.mp4 --out clip.safetensors [--overlay clip_keypoints.mp4]

The keypoints of a data set go to the configuration's data.keypoints, or to --out. The same command again continues
where it stopped; clips that are done already are left alone. Exit code: 0, or 1 if something was wrong with a clip.
"""

import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from configs.schema import Config, PoseOnly, load_experiment
from utils.command_line import entry_point_parser
from utils.config import load_config
from utils.errors import UserError, run_entry_point

if TYPE_CHECKING:
    from dataset.annotations import Clip, Split
    from dataset.extraction import KeypointParts, RawClips
    from modeling.pose.estimator import Estimator
    from utils.distributed import Processes


def main() -> int:
    parser = entry_point_parser(__doc__, "pose.checkpoint=hrnet.pth")
    parser.add_argument("--config", type=Path, help="YAML file of the experiment")
    parser.add_argument("--split", choices=["train", "dev", "test"], help="only this split; default: all")
    parser.add_argument("--video", type=Path, help="find the keypoints of this video instead")
    parser.add_argument("--out", type=Path, help="file to write, .safetensors")
    parser.add_argument(
        "--format",
        choices=["safetensors", "pickle"],
        default="safetensors",
        help="pickle: the published format, written beside the safetensors file",
    )
    parser.add_argument(
        "--estimator", choices=["hrnet", "mmpose", "mediapipe"], help="same as pose.estimator="
    )
    parser.add_argument(
        "--overlay", type=Path, help="with --video: also write an mp4 with the keypoints drawn in"
    )
    arguments = parser.parse_intermixed_args()
    overrides = arguments.overrides
    if arguments.estimator is not None:
        overrides = [*overrides, f"pose.estimator={arguments.estimator}"]
    if arguments.video is not None:
        if arguments.out is None:
            raise UserError("--out: missing; name the .safetensors file for the keypoints of the video")
        if arguments.split is not None or arguments.format != "safetensors":
            raise UserError("--split and --format: are for data sets, not for --video")
        settings: PoseOnly | Config
        if arguments.config is None:
            settings = load_config(PoseOnly, None, overrides)
        else:
            settings = load_experiment(arguments.config, overrides)
        return extract_video(settings, arguments.video, arguments.out, arguments.overlay)
    if arguments.overlay is not None:
        raise UserError("--overlay: is for one video; give --video")
    if arguments.config is None:
        raise UserError("--config or --video: give one of them; --help shows how")
    config = load_experiment(arguments.config, overrides)
    store = store_path(config, arguments.out, arguments.format)
    return extract_data_set(config, store, arguments.split, arguments.format == "pickle")


def store_path(config: Config, out: Path | None, format: str) -> Path:
    """The safetensors file to make. A pickle stands beside it, and no pickle of other origin is written over."""
    if out is None and config.data.keypoints is None:
        raise UserError(
            "--out: missing; the configuration does not say where its keypoints are (data.keypoints)"
        )
    named = out or Path(str(config.data.keypoints))
    store = named.with_suffix(".safetensors")
    if named.suffix != ".safetensors" and format != "pickle":
        raise UserError(f"{named}: give --out with the suffix .safetensors, or --format pickle")
    pickle = store.with_suffix(".pkl")
    if format == "pickle" and pickle.exists() and not store.exists():
        raise UserError(
            f"{pickle}: is there already and was not made by this program; name another with --out"
        )
    return store


def extract_data_set(config: Config, store: Path, split: "Split | None", pickle: bool) -> int:
    """Find the keypoints of all clips, or of one split; returns the exit code."""
    from configs.build import build_estimator
    from dataset.extraction import KeypointParts, RawClips
    from dataset.keypoint_summary import summarise_keypoints
    from dataset.keypoints import SafetensorsKeypoints, write_published_keypoints
    from dataset.sentences import read_clips
    from utils.distributed import start_processes, stop_processes

    # A process that is done waits for the slowest one.
    processes = start_processes(config.runtime.device, timeout=timedelta(days=7))
    annotations = read_clips(config.data)
    clips = annotations.clips if split is None else annotations.split(split)
    raw = RawClips(config.data)
    estimator = build_estimator(config.pose, processes.device)
    parts = KeypointParts(store, estimator.name, estimator.version)
    waiting = [(raw.length(clip), clip) for clip in clips if clip.name not in parts]
    waiting.sort(key=lambda item: (-item[0], item[1].name))  # longest first: all processes end together
    processes.barrier()  # nobody may write before all have looked
    if processes.is_main:
        print(
            f"{store}: {len(waiting)} of {len(clips)} clips to do, {sum(length for length, _ in waiting)} frames, "
            f"with {estimator.name} {estimator.version}, {processes.count} process(es) on {processes.device.type}",
            flush=True,
        )
    lost = extract_clips(raw, estimator, parts, waiting[processes.rank :: processes.count], processes)
    problems = {name: problem for part in processes.gather(lost) for name, problem in part.items()}
    if processes.is_main:
        parts.merge()
        if store.is_file():
            made = SafetensorsKeypoints(store)
            found = [clip.name for clip in clips if clip.name in made]
            problems |= {name: made.problems[name] for name in found if name in made.problems}
            print(f"{store}: {summarise_keypoints(made.read(name) for name in found)}")
            if pickle:
                write_published_keypoints(store.with_suffix(".pkl"), made, config.data.keypoints_picture)
        for name, problem in sorted(problems.items()):
            print(f"  {name} {problem}{'; it has no keypoints' if name in lost else ''}")
    stop_processes()
    return 1 if problems else 0


def extract_clips(
    raw: "RawClips",
    estimator: "Estimator",
    parts: "KeypointParts",
    work: "list[tuple[int, Clip]]",
    processes: "Processes",
) -> dict[str, str]:
    """Find and keep the keypoints of clips (each with its length); what was wrong with those that gave none."""
    from modeling.pose.estimator import estimate_clip
    from utils.progress import progress_bar

    lost: dict[str, str] = {}
    with progress_bar(sum(length for length, _ in work), 0, "frame", processes.is_main) as progress:
        for _, clip in work:
            frames = raw.frames(clip)
            keypoints, size = estimate_clip(estimator, frames, progress.update)
            if frames.problem is not None:
                progress.write(f"{clip.name} ({clip.video}) {frames.problem}", file=sys.stderr)
            if len(keypoints):
                parts.keep(clip.name, keypoints, size, frames.problem)
            else:
                lost[clip.name] = frames.problem or "has no frames"
    return lost


def extract_video(settings: "Config | PoseOnly", video: Path, out: Path, overlay: Path | None) -> int:
    """Find the keypoints of one video file; returns the exit code."""
    from configs.build import build_estimator
    from dataset.keypoint_summary import summarise_keypoints
    from dataset.keypoints import SafetensorsKeypoints, write_keypoints
    from dataset.video import VideoFrames, video_facts
    from modeling.pose.estimator import estimate_clip
    from report.overlay import check_overlay, write_overlay
    from utils.distributed import start_processes
    from utils.progress import progress_bar

    if not video.is_file():
        raise UserError(f"{video}: no such video")
    if out.suffix != ".safetensors":
        raise UserError(f"{out}: the file for the keypoints must end in .safetensors")
    if out.exists() and SafetensorsKeypoints(out).names != {video.stem}:
        raise UserError(f"{out}: is there already and holds other clips; name another file")
    if overlay is not None:
        check_overlay(overlay, video)
    content = video.read_bytes()
    estimator = build_estimator(settings.pose, start_processes(settings.runtime.device).device)
    frames, facts = VideoFrames(content), video_facts(content)
    started = time.perf_counter()
    with progress_bar(facts.frames, 0, "frame", shown=True) as progress:
        keypoints, size = estimate_clip(estimator, frames, progress.update)
    if not len(keypoints):
        raise UserError(f"{video}: {frames.problem}")
    rate = len(keypoints) / (time.perf_counter() - started)
    problems = {video.stem: frames.problem} if frames.problem else {}
    out.parent.mkdir(parents=True, exist_ok=True)
    write_keypoints(
        out, {video.stem: keypoints}, {video.stem: size}, estimator.name, estimator.version, problems
    )
    print(f"{out}: {summarise_keypoints([keypoints])}; {rate:.1f} frames/s with {estimator.name}")
    if overlay is not None:
        write_overlay(overlay, VideoFrames(content), keypoints, facts.rate)
        print(f"{overlay}: the keypoints drawn over the video")
    if frames.problem:
        print(f"{video}: {frames.problem}", file=sys.stderr)
    return 1 if frames.problem else 0


if __name__ == "__main__":
    run_entry_point(main)
