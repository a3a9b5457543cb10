"""How many clips does the demo's last model name right with keypoints by MediaPipe, and with the true ones?

    python -m benchmarks.mediapipe_on_demo [runs/demo]

The first test clip of every gloss, one crop. It needs requirements-mediapipe.txt and a finished demo.
"""

import sys
import tempfile
import zipfile
from pathlib import Path

from tqdm import tqdm

from dataset.annotations import read_annotations
from inference.sign_recognizer import SignRecognizer
from utils.errors import run_entry_point


def main() -> int:
    demo = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/demo")
    recognizer = SignRecognizer.load(demo / "nla_slr")
    clips = {clip.gloss: clip for clip in reversed(read_annotations(recognizer.config.data).split("test"))}
    right = {"true": 0, "MediaPipe": 0}
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(demo / "data/clips.zip") as archive:
        for gloss, clip in tqdm(sorted(clips.items())):
            path = Path(archive.extract(clip.video, folder))
            for kind in right:
                video = recognizer.read(path, look_up=kind == "true")
                right[kind] += recognizer.best(recognizer.probabilities(video), 1)[0].gloss == gloss
    for kind, count in right.items():
        print(f"{kind} keypoints: {count} of {len(clips)} right")
    return 0


if __name__ == "__main__":
    run_entry_point(main)
