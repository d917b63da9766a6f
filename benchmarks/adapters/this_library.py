"""This library, served like the others."""

import sys


def load(path, stepwise=False):
    """As ``benchmarks.library`` measures it."""
    sys.path.insert(0, path)
    from benchmarks import library
    from benchmarks.plan import Sizes

    make = library.stepwise_iteration if stepwise else library.training_iteration
    return lambda sizes: make(Sizes(**sizes))


LOADERS = {
    "this library": load,
    "this library, step by step": lambda path: load(path, stepwise=True),
}
