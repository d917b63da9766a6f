"""What the command line needs, and a user of the link does not."""

from ..blas import one_blas_thread
from . import evaluation, snapshots, tables
from .arguments import build_parser, parse
from .fit import MisfitError, check_config, check_fit, check_room
from .interrupt import Interrupt, Stopped
from .lock import InUseError, RunLock
from .on_gpu import gpu_line
from .outputs import sturdy_outputs
from .picture import draw
from .session import Session, TrainingFailedError
from .settings import Settings
from .team import Team, gather
from .words import announce, conclude

__all__ = [
    "InUseError",
    "Interrupt",
    "MisfitError",
    "RunLock",
    "Session",
    "Settings",
    "Stopped",
    "Team",
    "TrainingFailedError",
    "announce",
    "build_parser",
    "check_config",
    "check_fit",
    "check_room",
    "conclude",
    "draw",
    "evaluation",
    "gather",
    "gpu_line",
    "one_blas_thread",
    "parse",
    "snapshots",
    "sturdy_outputs",
    "tables",
]
