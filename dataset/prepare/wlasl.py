"""WLASL as its owners ship it: WLASL_v0.3.json, nslt_<N>.json, and videos named by their ids or by YouTube's."""

from collections import Counter
from pathlib import Path
from typing import Any

from dataset.annotations import Split
from dataset.prepare.recordings import Note, Plan, Recording, SourceFiles, youtube_id
from utils.errors import UserError
from utils.files import read_json

SUBSETS = (2000, 1000, 300, 100)
_SPLITS: dict[str, Split] = {"train": "train", "val": "dev", "test": "test"}


def plan_wlasl(annotations: Path, subset: int, files: SourceFiles) -> Plan:
    """The clips of an official subset.

    Args:
        annotations: WLASL_v0.3.json; nslt_<subset>.json, and if there wlasl_class_list.txt, lie beside it.

    The split and the class come from nslt_<subset>.json, gloss, signer and part of the video from the annotations.
    A clip that only the split file has gets the gloss of its class, and the whole of its video.
    """
    glosses = read_json(annotations, list)
    split_path = annotations.with_name(f"nslt_{subset}.json")
    official = read_json(split_path, dict)
    if not official:
        raise UserError(f"{split_path}: names no clips")
    try:
        instances: dict[str, tuple[str, dict[str, Any]]] = {
            instance["video_id"]: (entry["gloss"], instance)
            for entry in glosses
            for instance in entry["instances"]
        }
        splits = {name: _SPLITS[entry["subset"]] for name, entry in official.items()}
        classes = {name: int(entry["action"][0]) for name, entry in official.items()}
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise UserError(
            f"{annotations} or {split_path}: not in the layout of WLASL v0.3 ({type(error).__name__}: {error})"
        ) from None
    gloss_of_class = {classes[name]: instances[name][0] for name in official if name in instances}
    if len(set(gloss_of_class.values())) < len(gloss_of_class):
        raise UserError(f"{split_path}: two of its classes have the same gloss in {annotations}")

    recordings = []
    unknown = []
    for name in sorted(official):
        if name not in instances:
            unknown.append(name)
            if classes[name] in gloss_of_class:
                gloss = gloss_of_class[classes[name]]
                recordings.append(Recording(name, gloss, splits[name], files.find(name), wanted=name))
            continue
        gloss, instance = instances[name]
        file, video = files.find(name), youtube_id(instance.get("url", ""))
        cut_before = file is not None  # under the clip's own name; under YouTube's lies the whole video
        if file is None and video is not None:
            file = files.find(video)
        last = instance.get("frame_end", -1)
        signer = instance.get("signer_id")
        recordings.append(
            Recording(
                name,
                gloss,
                splits[name],
                file,
                None if signer is None else str(signer),
                start=max(0, instance.get("frame_start", 1) - 1),  # theirs count from 1 and include the end
                end=None if last < 0 else last,
                cut_before=cut_before,
                wanted=f"{name} or {video}" if video else name,
            )
        )
    vocabulary = sorted({r.gloss for r in recordings if r.split == "train"})
    notes = _notes(annotations, split_path, instances, official, unknown, gloss_of_class)
    if several := sorted(set(files.repeated()) & official.keys()):
        notes.append(Note("several files of one name, of which the first is taken", several))
    return Plan(f"WLASL-{subset}", recordings, vocabulary, notes)


def _notes(
    annotations: Path,
    split_path: Path,
    instances: dict[str, tuple[str, dict[str, Any]]],
    official: dict[str, Any],
    unknown: list[str],
    gloss_of_class: dict[int, str],
) -> list[Note]:
    notes = []
    if unknown:
        text = f"in {split_path.name} but not in {annotations.name} (given the gloss of their class)"
        notes.append(Note(text, unknown))
    moved = [
        name
        for name, entry in official.items()
        if name in instances and instances[name][1].get("split") not in (None, entry["subset"])
    ]
    if moved:
        notes.append(Note(f"in another split by {annotations.name}, which is not followed", moved))
    class_list = annotations.with_name("wlasl_class_list.txt")
    if class_list.is_file():
        rows = [line.split(maxsplit=1) for line in class_list.read_text(encoding="utf-8").splitlines()]
        names = {int(row[0]): row[1].strip() for row in rows if len(row) == 2 and row[0].isdecimal()}
        other = [
            f"{gloss} ({names[number]})"
            for number, gloss in sorted(gloss_of_class.items())
            if names.get(number, gloss) != gloss
        ]
        if other:
            notes.append(Note(f"called otherwise in {class_list.name}, which is not followed", other))
    clips = Counter(gloss for gloss, _ in instances.values())
    rare = [gloss for gloss in gloss_of_class.values() if clips[gloss] < 2]
    if rare:
        notes.append(Note("glosses with a single clip", rare))
    return notes
