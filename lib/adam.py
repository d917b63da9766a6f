"""Adam in one pass over the parameters: ``chainer.optimizers.Adam``, faster on a CPU."""

from types import SimpleNamespace

import chainer
import numpy as np
from chainer.optimizers import adam

from .arrays import underflowing
from .kernels.backends import use_compiled


class AdamRule(adam.AdamRule):
    """Chainer's update rule, but for what one pass can do of it."""

    def update_core_cpu(self, param):
        """Update a parameter of NumPy arrays.

        Chainer's own code serves AMSGrad, AdaBound, other dtypes than float32 and float64, and
        arrays that are not contiguous.
        """
        hp = SimpleNamespace(**self.hyperparam.get_dict())  # an attribute of the other is slow
        arrays = (param.data, param.grad, self.state["m"], self.state["v"])
        if hp.amsgrad or hp.adabound or not all(map(fits(param.dtype), arrays)):
            return underflowing(super().update_core_cpu)(param)
        from .kernels.adam_pass import update

        self._check_eps(param.dtype.type)
        keep = 1 - hp.eta * hp.weight_decay_rate
        settings = (self.alpha_t, 1 - hp.beta1, 1 - hp.beta2, hp.eps, keep, hp.eta)
        update(*(a.reshape(-1) for a in arrays), *map(param.dtype.type, settings))


def fits(dtype):
    """What tells whether an array can be updated by compiled loops."""
    compiled = dtype.char in "fd" and use_compiled()

    def check(array):
        return (
            compiled
            and type(array) is np.ndarray
            and array.dtype == dtype
            and array.flags.c_contiguous
        )

    return check


class Adam(chainer.optimizers.Adam):
    """A drop-in for ``chainer.optimizers.Adam``, with its arguments, numbers, hooks and snapshots.

    On NumPy arrays, with Numba installed, an update takes one pass over the memory in place of a
    dozen. Elsewhere it is Chainer's own.
    """

    def reallocate_cleared_grads(self):
        """Gradients of zeros where there are none; Chainer looks for them in a slower way."""
        if any(param.grad is None for param in self.target.params(False)):
            super().reallocate_cleared_grads()

    def create_update_rule(self):
        """The rule of one parameter."""
        return AdamRule(self.hyperparam)
