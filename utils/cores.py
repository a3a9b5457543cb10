"""How many processor cores there are for this process, and whether others use them, too. Free of heavy imports."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

ENOUGH = 10.0  # seconds to judge by
BUSY = 0.65  # a computing thread that runs for less of the time waits for a core


def allowed_cores() -> int:
    """Cores that this process may run on, by its affinity (taskset, SLURM)."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def usable_cores(system: Path = Path("/")) -> int:
    """How many cores this process can keep busy: those allowed, within the limits of its container; at least 1.

    Args:
        system: the root of the file system.
    """
    return max(1, min([allowed_cores(), *map(math.floor, _quotas(system))]))


def _quotas(system: Path) -> Iterator[float]:
    """Limits in cores that control groups set: version 2, of this process's group and those above it, and version 1."""
    groups, root = [Path()], system / "sys/fs/cgroup"
    for line in _text(system / "proc/self/cgroup").splitlines():
        if line.startswith("0::/"):
            own = Path(line.removeprefix("0::/"))
            groups += [own, *own.parents]
    limits = [_text(root / group / "cpu.max").split() for group in groups]
    limits.append([_text(root / "cpu" / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")])
    for limit in limits:
        if len(limit) == 2 and limit[0].isdecimal() and limit[1].isdecimal():  # else "max", or -1: none
            yield int(limit[0]) / int(limit[1])


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


class CoreWatch:
    """Notices that other programs, or this one's own loading processes, hold the cores that it computes on."""

    def __init__(self) -> None:
        self.seconds = self.busy = 0.0
        self.told = False

    def note(self, seconds: float, busy: float) -> None:
        """Seconds in which the main thread computed, and for how many of them it ran on a core."""
        self.seconds += seconds
        self.busy += busy

    def warning(self) -> str | None:
        """What to say of the time since the last call or more, if it is long enough, and if it was not said before."""
        if self.told or self.seconds < ENOUGH:
            return None
        share = self.busy / self.seconds
        self.seconds = self.busy = 0.0
        if share >= BUSY:
            return None
        self.told = True
        return (
            f"the cores are taken: this training got one for only {share:.0%} of the time that it computed. Give each "
            "program cores of its own (taskset -c 0-3 python ...), or lower OMP_NUM_THREADS or data.workers"
        )
