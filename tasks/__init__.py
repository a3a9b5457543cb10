"""The tasks of this project, each in a room of its own behind one interface (`tasks.task`); `task:` in a configuration
names one."""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from utils.errors import UserError

if TYPE_CHECKING:
    from configs.schema import Config
    from tasks.task import Task
    from utils.distributed import Processes


def _isolated(config: "Config", processes: "Processes") -> "Task":
    # Imported when it is chosen: what a task needs takes seconds to import.
    return import_module("tasks.isolated").IsolatedRecognition(config, processes)


def _continuous(config: "Config", processes: "Processes") -> "Task":
    return import_module("tasks.continuous").ContinuousRecognition(config, processes)


def _translation(config: "Config", processes: "Processes") -> "Task":
    return import_module("tasks.translation").Translation(config, processes)


# Add your own before you call `training.train`: TASKS["fingerspelling"] = Fingerspelling
TASKS: "dict[str, Callable[[Config, Processes], Task]]" = {
    "isolated": _isolated,
    "continuous": _continuous,
    "translation": _translation,
}


def build_task(config: "Config", processes: "Processes") -> "Task":
    """The task that a configuration names.

    Raises:
        UserError: there is no such task, or its data cannot be used.
    """
    if config.task not in TASKS:
        raise UserError(f"task: {config.task!r} is not known; known: {', '.join(TASKS)}")
    return TASKS[config.task](config, processes)
