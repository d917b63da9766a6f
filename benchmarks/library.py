"""Training iterations of this library, as callables of no arguments."""

import importlib.util

import lib  # before Chainer: it supplies what Chainer misses

# isort: split

import chainer
import chainer.functions as F
import numpy as np

from lib.baseline import LSTMBaseline
from lib.training.loop import squared_error

BACKENDS = ("numba", "numpy") if importlib.util.find_spec("numba") else ("numpy",)


def make_model(sizes):
    """A model with the same weights in each run."""
    np.random.seed(0)  # Chainer draws its weights from there
    return lib.DNC(sizes.X, sizes.Y, sizes.N, sizes.W, sizes.R, sizes.H, sizes.K)


def make_data(sizes):
    """Inputs (T, B, X), one column of each row set, and targets (T, B, Y)."""
    rng = np.random.default_rng(0)
    columns = rng.integers(sizes.X, size=(sizes.T, sizes.B))
    targets = rng.random((sizes.T, sizes.B, sizes.Y), dtype=np.float32)
    return np.eye(sizes.X, dtype=np.float32)[columns], targets


def on_device(sizes, gpu):
    """Model, inputs and targets, on a GPU or (-1) on the CPU."""
    model, (xs, targets) = make_model(sizes), make_data(sizes)
    if gpu >= 0:
        model.to_device(f"@cupy:{gpu}")
        xs, targets = map(model.device.send, (xs, targets))
    return model, xs, targets


def optimizer_for(model, adam):
    """ "lib" is ``lib.Adam``, "chainer" is Chainer's own, None is none."""
    if adam is None:
        return None
    return {"lib": lib.Adam, "chainer": chainer.optimizers.Adam}[adam](alpha=1e-4).setup(model)


def training_iteration(sizes, backend="auto", adam="lib", recompute=False, gpu=-1):
    """What ``dnc.py`` does once an iteration: reset, unroll, loss, backward, update."""
    model, xs, targets = on_device(sizes, gpu)
    optimizer = optimizer_for(model, adam)

    def run():
        with chainer.using_config("dnc_backend", backend):
            model.reset_state()
            ys = model.unroll(xs, recompute=recompute)
            _, ys.grad = squared_error(ys.array, targets)
            model.cleargrads()
            ys.backward()
            if optimizer is not None:
                optimizer.update()
        if gpu >= 0:
            model.device.device.synchronize()

    return run


def lstm_iteration(sizes):
    """The same of the controller without a memory, as ``dnc.py --lstm_only`` trains it."""
    np.random.seed(0)
    model, (xs, targets) = LSTMBaseline(sizes.X, sizes.Y, sizes.H), make_data(sizes)
    optimizer = optimizer_for(model, "lib")

    def run():
        model.reset_state()
        ys = model.unroll(xs)
        _, ys.grad = squared_error(ys.array, targets)
        model.cleargrads()
        ys.backward()
        optimizer.update()

    return run


def stepwise_iteration(sizes, backend="auto", adam="lib"):
    """The same as one call of the link a time step, the loss summed up in Chainer's graph."""
    model, (xs, targets) = make_model(sizes), make_data(sizes)
    optimizer = optimizer_for(model, adam)

    def run():
        with chainer.using_config("dnc_backend", backend):
            model.reset_state()
            loss = 0
            for x, target in zip(xs, targets):
                loss += F.sum((model(x) - target) ** 2)
            model.cleargrads()
            loss.backward()
            if optimizer is not None:
                optimizer.update()

    return run
