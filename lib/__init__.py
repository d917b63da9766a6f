"""A Differentiable Neural Computer (Graves et al., Nature 538, 2016) as a Chainer link."""

from lib import compat as _compat  # before Chainer is first imported

_compat.apply()

from lib.adam import Adam  # noqa: E402
from lib.model import DNC  # noqa: E402

__all__ = ["Adam", "DNC"]
