"""Does our HRNet give the keypoints of mmpose? The same random weights, the same videos.

    .venv-mmpose/bin/python -m benchmarks.hrnet_against_mmpose weights runs/pose/random.pth PICTURE
    .venv-mmpose/bin/python -m benchmarks.hrnet_against_mmpose keypoints mmpose runs/pose/random.pth A FILE...
    .venv-mmpose/bin/python -m benchmarks.hrnet_against_mmpose keypoints hrnet  runs/pose/random.pth B FILE...
    .venv-mmpose/bin/python -m benchmarks.hrnet_against_mmpose compare A B

A and B are .safetensors files; FILE is a video or a picture. `keypoints` takes --no-flip, and --plainly: frame by
frame in mmpose's memory layout, where the heatmaps of `hrnet` equal mmpose's bit for bit. In batches and channels-last
they are rounded differently, and where two maxima are equally high either may win.
Everything runs in mmpose's environment, since OpenCV 5 cuts the crops out with slightly different rounding than 4. Like
trained ones, the random heatmaps are positive in few places; the refinement of a maximum in a plain of noise would
magnify every rounding.
"""

import argparse
import time
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import torch

from configs.build import build_estimator
from dataset.keypoints import SafetensorsKeypoints, write_keypoints
from dataset.video import VideoFrames
from modeling.pose.config import EstimatorName, PoseConfig
from modeling.pose.hrnet import HRNetW48
from modeling.pose.top_down import crop_around, cut_out

MAX_FRAMES = 16  # of each video


POSITIVE = 0.01  # share of each heatmap


def save_random_weights(path: Path, picture: Path) -> None:
    """A checkpoint of mmpose's own model with random weights and BatchNorm statistics.

    The bias of each heatmap is set so that it is positive in few places of the picture.
    """
    import mmpose
    from mmengine.config import Config
    from mmpose.apis import init_model

    from modeling.pose.mmpose_model import MODEL_CONFIG

    config = Config.fromfile(Path(mmpose.__file__).parent / MODEL_CONFIG)
    config.model.backbone.init_cfg = None
    torch.manual_seed(0)
    model = init_model(config, None, "cpu")
    for name, value in model.state_dict().items():
        if name.endswith("running_mean"):
            value.normal_(0, 0.1)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 2)
    torch.nn.init.normal_(model.head.final_layer.weight, std=0.1)
    torch.nn.init.zeros_(model.head.final_layer.bias)
    (frame,) = frames_of(picture)
    seen = cut_out(frame, crop_around(np.array([0, 0, frame.shape[1], frame.shape[0]])))
    ours = HRNetW48().eval()
    ours.load_mmpose(model.state_dict(), "random weights")
    with torch.no_grad():
        heatmaps = ours(torch.from_numpy(seen)[None].permute(0, 3, 1, 2))
        model.head.final_layer.bias.copy_(-heatmaps.flatten(2)[0].quantile(1 - POSITIVE, dim=1))
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": model.state_dict()}, path)
    print(f"{path}: {len(model.state_dict())} tensors")


def frames_of(path: Path) -> list[np.ndarray]:
    picture = cv2.imread(str(path))
    if picture is not None:
        return [cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)]
    return [frame for frame, _ in zip(VideoFrames(path.read_bytes()), range(MAX_FRAMES), strict=False)]


def find_keypoints(
    name: EstimatorName, checkpoint: str, out: Path, files: list[Path], flip: bool, plainly: bool
) -> None:
    config = PoseConfig(
        estimator=name, checkpoint=checkpoint, flip_test=flip, batch_size=1 if plainly else 16
    )
    estimator: Any = build_estimator(config, torch.device("cpu"))
    if plainly:
        estimator.model.to(memory_format=torch.contiguous_format)
        estimator.model.register_forward_pre_hook(lambda _, pictures: (pictures[0].contiguous(),))
    keypoints, sizes, seconds = {}, {}, 0.0
    for path in files:
        frames = frames_of(path)
        started = time.perf_counter()
        keypoints[path.name] = np.stack(list(estimator.estimate(frames)))
        seconds += time.perf_counter() - started
        sizes[path.name] = (frames[0].shape[1], frames[0].shape[0])
    write_keypoints(out, keypoints, sizes, estimator.name, estimator.version)
    count = sum(map(len, keypoints.values()))
    print(f"{out}: {count} frames, {count / seconds:.2f} frames/s, {estimator.name} {estimator.version}")


def compare(first: Path, second: Path) -> None:
    a, b = SafetensorsKeypoints(first), SafetensorsKeypoints(second)
    print(f"{a.estimator}\n{b.estimator}\ndistances in pixels of the frame, confidences as they are")
    for name in sorted(a.names & b.names):
        apart = a.read(name) - b.read(name)
        pixels = np.linalg.norm(apart[..., :2], axis=2)
        print(
            f"{name:24} {len(apart):3} frames  distance: median {np.median(pixels):.6f}, largest {pixels.max():.6f}, "
            f"above 0.05: {100 * (pixels > 0.05).mean():.2f} %  "
            f"confidence: largest {np.abs(apart[..., 2]).max():.2e}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    weights = commands.add_parser("weights")
    weights.add_argument("out", type=Path)
    weights.add_argument("picture", type=Path)
    keypoints = commands.add_parser("keypoints")
    keypoints.add_argument("estimator", choices=get_args(EstimatorName))
    keypoints.add_argument("checkpoint")
    keypoints.add_argument("out", type=Path)
    keypoints.add_argument("files", type=Path, nargs="+")
    keypoints.add_argument("--no-flip", action="store_true")
    keypoints.add_argument("--plainly", action="store_true")
    both = commands.add_parser("compare")
    both.add_argument("first", type=Path)
    both.add_argument("second", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "weights":
        save_random_weights(arguments.out, arguments.picture)
    elif arguments.command == "keypoints":
        options = (not arguments.no_flip, arguments.plainly)
        find_keypoints(arguments.estimator, arguments.checkpoint, arguments.out, arguments.files, *options)
    else:
        compare(arguments.first, arguments.second)


if __name__ == "__main__":
    main()
