"""What became of every clip of a data set that was prepared, for a person and for a program."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from dataset.annotations import SPLITS
from dataset.prepare.recordings import Note, Plan, Recording, shown
from utils.files import read_json, write_json

State = Literal["present", "missing", "broken"]
STATES: tuple[State, ...] = ("present", "missing", "broken")


@dataclass(frozen=True)
class Outcome:
    """Of one clip. problem: what was wrong with a broken one, or with one that is there but damaged."""

    state: State
    frames: int = 0
    problem: str | None = None


class PreparationReport:
    """Counts of the clips that were prepared, by split and gloss."""

    def __init__(self, plan: Plan, outcomes: dict[str, Outcome]):
        self.plan, self.outcomes = plan, outcomes

    def count(self, split: str) -> Counter[State]:
        """Clips of a split, by what became of them."""
        return Counter(self.outcomes[r.name].state for r in self.plan.recordings if r.split == split)

    def summary(self) -> str:
        """Counts by split, what is odd, and the first few problems."""
        width = max(8, len(self.plan.clips) + 1)
        lines = [f"{'':8}{self.plan.clips:>{width}}" + "".join(f"{state:>10}" for state in STATES)]
        for split in SPLITS:
            counts = self.count(split)
            lines.append(
                f"{split:8}{counts.total():{width}}" + "".join(f"{counts[state]:10}" for state in STATES)
            )
        untrained = self._untrained()
        glosses = len(self.plan.vocabulary)
        lines.append(f"{glosses} glosses, {glosses - len(untrained)} of them with training {self.plan.clips}")
        lines += map(str, self.plan.notes)
        for title, problems in (("broken", self._problems("broken")), ("damaged", self._problems("present"))):
            if problems:
                lines.append(
                    f"{title} {self.plan.clips}: " + shown([f"{r.name} ({p})" for r, p in problems], 3)
                )
        return "\n".join(lines)

    def text(self) -> str:
        """The whole report, Markdown."""
        lines = [
            f"# {self.plan.title}",
            "",
            f"| split | {self.plan.clips} | " + " | ".join(STATES) + " |",
            "| --- " * 5 + "|",
        ]
        for split in SPLITS:
            counts = self.count(split)
            lines.append(
                f"| {split} | {counts.total()} | " + " | ".join(str(counts[s]) for s in STATES) + " |"
            )
        if self.plan.notes:
            lines += ["", "## About the annotations", "", *map(_whole, self.plan.notes)]
        for heading, problems in (
            ("Broken: not in the prepared set", self._problems("broken")),
            ("Damaged: in the set, with what could be read", self._problems("present")),
        ):
            if problems:
                lines += ["", f"## {heading}", "", *(f"- {r.name} ({r.file}): {p}" for r, p in problems)]
        if untrained := self._untrained():
            lines += ["", f"## Glosses without training {self.plan.clips}", "", ", ".join(untrained)]
        if missing := {r.wanted for r in self.plan.recordings if self.outcomes[r.name].state == "missing"}:
            lines += ["", "## Missing videos", "", ", ".join(sorted(missing))]
        lines += ["", f"## {self.plan.clips.capitalize()} of each gloss: present / missing / broken", ""]
        lines += ["| gloss | " + " | ".join(SPLITS) + " |", "| --- " * 4 + "|"]
        counts_of: dict[tuple[str, str], Counter[State]] = {}
        for r in self.plan.recordings:
            for gloss in set(self.plan.glosses(r)):
                counts_of.setdefault((gloss, r.split), Counter())[self.outcomes[r.name].state] += 1
        for gloss in self.plan.vocabulary:
            cells = [counts_of.get((gloss, split), Counter()) for split in SPLITS]
            lines.append(
                f"| {gloss} | " + " | ".join(" / ".join(str(c[s]) for s in STATES) for c in cells) + " |"
            )
        return "\n".join(lines) + "\n"

    def write(self, path: Path) -> None:
        """As JSON."""
        clips = [{**asdict(r), **asdict(self.outcomes[r.name])} for r in self.plan.recordings]
        content = {"title": self.plan.title, "vocabulary": self.plan.vocabulary, "clips": clips}
        write_json(path, {**content, "notes": [asdict(note) for note in self.plan.notes]})

    def _untrained(self) -> list[str]:
        trained = {
            gloss
            for r in self.plan.recordings
            if r.split == "train" and self.outcomes[r.name].state == "present"
            for gloss in self.plan.glosses(r)
        }
        return [gloss for gloss in self.plan.vocabulary if gloss not in trained]

    def _problems(self, state: State) -> list[tuple[Recording, str]]:
        found = ((r, self.outcomes[r.name]) for r in self.plan.recordings)
        return [(r, o.problem) for r, o in found if o.state == state and o.problem is not None]


def read_outcomes(path: Path) -> dict[str, Outcome]:
    """What became of each clip, by name, from a report that was written."""
    keys = Outcome.__dataclass_fields__
    clips = read_json(path, dict)["clips"]
    return {clip["name"]: Outcome(**{key: clip[key] for key in keys}) for clip in clips}


def _whole(note: Note) -> str:
    return f"- {note.text}" + (f": {', '.join(note.items)}" if note.items else "")
