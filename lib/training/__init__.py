"""What the command line needs, and a user of the link does not."""

from . import evaluation, snapshots, tables
from .arguments import build_parser, parse
from .blas import one_blas_thread
from .fit import check_room, describe, misfit, weight_shapes
from .interrupt import Interrupt, Stopped
from .lock import InUseError, RunLock
from .outputs import sturdy_outputs
from .picture import draw
from .session import Session, TrainingFailedError
from .settings import STARTING, Settings, of_config

__all__ = [
    "STARTING",
    "InUseError",
    "Interrupt",
    "RunLock",
    "Session",
    "Settings",
    "Stopped",
    "TrainingFailedError",
    "build_parser",
    "check_room",
    "describe",
    "draw",
    "evaluation",
    "misfit",
    "of_config",
    "one_blas_thread",
    "parse",
    "snapshots",
    "sturdy_outputs",
    "tables",
    "weight_shapes",
]
