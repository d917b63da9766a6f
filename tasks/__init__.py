"""Toy tasks to train a memory on. NumPy only; every random draw comes from a given generator."""

from . import show
from .addition import Addition
from .contract import Task
from .priority_sort import PrioritySort
from .repeat import Repeat

TASKS = {task.name: task for task in (Addition, Repeat, PrioritySort)}


def make_task(name, max_seq_len, max_seq_wid):
    """Build a task by name; ValueError on an unknown name or sizes below the task's least."""
    if name not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}, got {name!r}")
    return TASKS[name](max_seq_len, max_seq_wid)


__all__ = ["TASKS", "Addition", "PrioritySort", "Repeat", "Task", "make_task", "show"]
