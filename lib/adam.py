"""Adam in one pass over the parameters: ``chainer.optimizers.Adam``, faster on a CPU."""

import math

import chainer
import numpy as np
from chainer.optimizers import adam

from .arrays import underflowing
from .kernels.backends import use_compiled


class AdamRule(adam.AdamRule):
    """Chainer's update rule, but for what one pass can do of it."""

    def update(self, param):
        """Update a parameter, at once where Chainer has nothing to do before or after."""
        hooks = self._hookable
        nothing_else = (
            type(self) is AdamRule
            and self.enabled
            and self.state is not None
            and param._loss_scale is None
            and not hooks._pre_update_hooks
            and not hooks._post_update_hooks
        )
        if nothing_else and self._pass_over(param, self.t + 1):
            self.t += 1
        else:
            super().update(param)

    def update_core_cpu(self, param):
        """Update a parameter of NumPy arrays, between what Chainer does before and after."""
        if not self._pass_over(param, self.t):
            underflowing(super().update_core_cpu)(param)

    def _pass_over(self, param, t):
        """Update a parameter in one pass, and return True; False where Chainer's code is needed.

        It serves AMSGrad, AdaBound, other dtypes than float32 and float64, and arrays that are not
        NumPy's or not contiguous. And it says what is wrong with a vanishing ε.
        """
        arrays = (param.array, param.grad, self.state["m"], self.state["v"])
        real = getattr(arrays[0], "dtype", np.dtype(object)).type
        hp = self.hyperparam.get_dict()
        if hp["amsgrad"] or hp["adabound"] or not fit(arrays) or (real(hp["eps"]) == 0 < hp["eps"]):
            return False
        from .kernels.adam_pass import update

        alpha_t = hp["alpha"] * math.sqrt(1 - hp["beta2"] ** t) / (1 - hp["beta1"] ** t)
        keep = 1 - hp["eta"] * hp["weight_decay_rate"]
        settings = alpha_t, 1 - hp["beta1"], 1 - hp["beta2"], hp["eps"], keep, hp["eta"]
        update(*(a.reshape(-1) for a in arrays), *map(real, settings))
        return True


def fit(arrays):
    """Whether a parameter, its gradient and its means can be updated by compiled loops."""
    dtype = getattr(arrays[0], "dtype", None)
    return (
        all(
            type(array) is np.ndarray and array.dtype == dtype and array.flags.c_contiguous
            for array in arrays
        )
        and dtype.char in "fd"
        and use_compiled()
    )


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
