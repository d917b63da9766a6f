"""What every test shares: Chainer made importable, seeded hypothesis, GPU tests skipped."""

import hypothesis
import pytest

import lib  # noqa: F401 - before any test imports Chainer: it supplies what Chainer misses
from lib.backends import numba_problem
from lib.compat import cuda_problem

# isort: split

import chainer

# The same examples on every run: a failure can be repeated, and the time taken does not wander.
hypothesis.settings.register_profile(
    "repository", derandomize=True, deadline=None, max_examples=60, database=None
)
hypothesis.settings.load_profile("repository")


def pytest_collection_modifyitems(items):
    problem = cuda_problem()
    if problem is None:
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason=problem))


@pytest.fixture(
    scope="module",
    params=[
        "numpy",
        pytest.param(
            "numba",
            marks=pytest.mark.skipif(numba_problem() is not None, reason=str(numba_problem())),
        ),
    ],
)
def backend(request):
    """The test runs once with each implementation of the steps."""
    with chainer.using_config("dnc_backend", request.param):
        yield request.param
