"""What was found, and how it is told."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from dataset.annotations import SPLITS, Clip

SHOWN = 5  # findings named of each kind

Level = Literal["fatal", "damage", "warning"]
_VERDICTS: dict[Level, str] = {
    "fatal": " - a run would fail",
    "damage": " - a run reports them, and stops if they are too many",
    "warning": "",
}


@dataclass(frozen=True)
class Finding:
    """Something about a clip, a gloss, or the set.

    kind: groups findings. level: a run fails on a `fatal` one, and on too many clips with `damage`.
    """

    kind: str
    subject: str
    detail: str
    level: Level = "warning"


@dataclass
class CheckReport:
    """All findings of a data set.

    clips: those checked. facts: what the set is like, line by line. max_damaged_share: as configured.
    """

    clips: Sequence[Clip]
    facts: list[str]
    findings: list[Finding]
    max_damaged_share: float

    @property
    def too_damaged(self) -> list[str]:
        """Splits of which a larger share is damaged than a run accepts."""
        damaged = {finding.subject for finding in self.findings if finding.level == "damage"}
        total = Counter(clip.split for clip in self.clips)
        found = Counter(clip.split for clip in self.clips if clip.name in damaged)
        return [split for split in SPLITS if found[split] > self.max_damaged_share * total[split]]

    @property
    def run_would_fail(self) -> bool:
        return bool(self.too_damaged) or any(finding.level == "fatal" for finding in self.findings)

    def text(self) -> str:
        kinds: dict[tuple[Level, str], list[Finding]] = defaultdict(list)
        for level in _VERDICTS:  # the worst first
            for finding in self.findings:
                if finding.level == level:
                    kinds[level, finding.kind].append(finding)
        lines = list(self.facts)
        for (level, kind), found in kinds.items():
            lines.append(f"{kind}: {len(found)}{_VERDICTS[level]}")
            lines += [f"  {finding.subject}: {finding.detail}" for finding in found[:SHOWN]]
            if len(found) > SHOWN:
                lines.append(f"  and {len(found) - SHOWN} more")
        for split in self.too_damaged:
            lines.append(
                f"more than data.max_damaged_share of the {split} clips are damaged - a run would stop"
            )
        if not kinds:
            lines.append("nothing wrong")
        return "\n".join(lines)

    def json(self) -> dict[str, Any]:
        return {
            "run_would_fail": self.run_would_fail,
            "clips": len(self.clips),
            "facts": self.facts,
            "counts": dict(Counter(finding.kind for finding in self.findings)),
            "findings": [asdict(finding) for finding in self.findings],
        }
