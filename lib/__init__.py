"""A Differentiable Neural Computer (Graves et al., Nature 538, 2016) as a Chainer link.

``DNC`` is the link, called like ``chainer.links.LSTM``, and ``Adam`` an optimiser that goes with
it. ``State`` is what a DNC keeps from one step to the next, ``take_rows`` and ``join_rows`` make
states of others. ``initialize`` sets what training starts with, ``trace`` shows what a DNC does.
"""

from . import compat as _compat

_compat.answer_to_both(__name__)
_compat.apply()  # before anything here imports Chainer

from .adam import Adam  # noqa: E402
from .link import DNC  # noqa: E402
from .rows import join_rows, take_rows  # noqa: E402
from .start import initialize  # noqa: E402
from .state import State  # noqa: E402
from .tracing import Trace, trace  # noqa: E402

__all__ = ["DNC", "Adam", "State", "Trace", "initialize", "join_rows", "take_rows", "trace"]

_compat.chainerrl.register(DNC)
