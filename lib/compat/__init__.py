"""Other software: Chainer on today's Python, CuPy, ChainerRL; and the names of this package."""

from . import chainerrl, shims
from .gpu import cuda_problem
from .names import answer_to_both

__all__ = ["answer_to_both", "apply", "chainerrl", "cuda_problem"]


def apply():
    """Supply what Chainer misses, and import it. Calling this again does nothing.

    Raises:
        ImportError: Chainer is not installed.
    """
    shims.install()
    shims.supply_numpy_names()  # also where Chainer was imported before, by itself
    try:
        import chainer  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "chainer":
            raise
        raise ImportError(
            "Chainer is not installed. Plain `pip install chainer` fails today: run `make run`"
            " once, or see 'Installing' in README.md"
        ) from None
