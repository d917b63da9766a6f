"""What the command line needs, and a user of the link does not."""

from . import evaluation, snapshots, tables
from .arguments import build_parser, parse
from .blas import one_blas_thread
from .fit import describe, misfit
from .interrupt import Interrupt
from .picture import draw
from .session import Session, TrainingFailedError
from .settings import STARTING, Settings

__all__ = [
    "STARTING",
    "Interrupt",
    "Session",
    "Settings",
    "TrainingFailedError",
    "build_parser",
    "describe",
    "draw",
    "evaluation",
    "misfit",
    "one_blas_thread",
    "parse",
    "snapshots",
    "tables",
]
