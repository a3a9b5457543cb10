"""MS-ASL as its owners ship it: MSASL_{train,val,test}.json, MSASL_classes.json, and videos from YouTube."""

from pathlib import Path
from typing import Any

from dataset.annotations import Split
from dataset.prepare.recordings import Note, Plan, Recording, SourceFiles, youtube_id
from utils.errors import UserError
from utils.files import read_json

_SPLITS: dict[Split, str] = {"train": "train", "dev": "val", "test": "test"}


def plan_msasl(annotations: Path, classes: int, files: SourceFiles) -> Plan:
    """The clips of the first so many classes.

    Args:
        annotations: folder of the JSON files. Clips are named after their split and place in its file, `train_00012`.

    Raises:
        UserError: MSASL_classes.json or all three splits are missing, or a file has another layout.
    """
    class_path = annotations / "MSASL_classes.json"
    vocabulary = [str(gloss) for gloss in read_json(class_path, list)]
    if not 1 <= classes <= len(vocabulary):
        raise UserError(f"--classes: must be from 1 to {len(vocabulary)}, as many as {class_path} has")
    vocabulary = vocabulary[:classes]
    paths = {split: annotations / f"MSASL_{name}.json" for split, name in _SPLITS.items()}
    notes = [
        Note(f"{path.name} is not there: no {split} clips")
        for split, path in paths.items()
        if not path.is_file()
    ]
    if len(notes) == len(paths):
        raise UserError(
            f"{annotations}: none of MSASL_train.json, MSASL_val.json and MSASL_test.json is there"
        )
    recordings = []
    seen: dict[Any, str] = {}
    relabelled, repeated = [], []
    for split, path in paths.items():
        if not path.is_file():
            continue
        for number, entry in enumerate(read_json(path, list)):
            name = f"{split}_{number:05d}"
            try:
                if entry["label"] >= classes:
                    continue
                video = youtube_id(entry["url"])
                top, left, bottom, right = entry["box"]
                times = (float(entry["start_time"]), float(entry["end_time"]))
                gloss, text, signer = vocabulary[entry["label"]], entry.get("clean_text"), entry.get("signer")
            except (KeyError, TypeError, ValueError, IndexError) as error:
                raise UserError(
                    f"{path}: entry {number} is not in the layout of MS-ASL ({type(error).__name__}: {error})"
                ) from None
            if text != gloss:
                relabelled.append(f"{name} ({text}, class {gloss})")
            if (place := (video, *times)) in seen:
                repeated.append(f"{name} (as {seen[place]})")
            seen.setdefault(place, name)
            recordings.append(
                Recording(
                    name,
                    gloss,
                    split,
                    files.find(video) if video else None,
                    None if signer in (None, -1) else str(signer),
                    times=times,
                    box=(top, left, bottom, right),
                    wanted=video or entry["url"],
                )
            )
    if relabelled:
        notes.append(Note("another text than their class, which counts", relabelled))
    if repeated:
        notes.append(Note("the same part of the same video as another clip", repeated))
    return Plan(f"MSASL-{classes}", recordings, vocabulary, notes)
