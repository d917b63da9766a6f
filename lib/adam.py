"""Adam in one pass over the parameters: ``chainer.optimizers.Adam``, faster on a CPU."""

from types import SimpleNamespace

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
        NumPy's or not contiguous. And it says what is wrong with shapes or a vanishing ε.
        """
        arrays = (param.array, param.grad, self.state["m"], self.state["v"])
        hp = self.hyperparam.get_dict()
        if hp["amsgrad"] or hp["adabound"] or not (fit(arrays) and ordinary(hp, arrays[0].dtype)):
            return False
        from .kernels.adam_pass import update

        alpha_t = adam._learning_rate(SimpleNamespace(**hp), t)
        keep = 1 - hp["eta"] * hp["weight_decay_rate"]
        settings = alpha_t, 1 - hp["beta1"], 1 - hp["beta2"], hp["eps"], keep, hp["eta"]
        update(*(a.reshape(-1) for a in arrays), *map(arrays[0].dtype.type, settings))
        return True


def fit(arrays):
    """Whether a parameter, its gradient and its means can be updated by compiled loops."""
    first = arrays[0]
    alike = all(
        type(array) is np.ndarray
        and array.dtype == first.dtype
        and array.shape == first.shape
        and array.flags.carray
        for array in arrays
    )
    return alike and first.dtype.char in "fd" and use_compiled()


def ordinary(hyperparameters, dtype):
    """Whether they are Python's numbers, which NumPy rounds as the loops do, and ε stays."""
    names = "alpha", "beta1", "beta2", "eps", "eta", "weight_decay_rate"
    if not all(type(hyperparameters[name]) in (int, float) for name in names):
        return False
    return dtype.type(hyperparameters["eps"]) != 0 or hyperparameters["eps"] == 0


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
