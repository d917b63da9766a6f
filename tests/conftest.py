"""What every test shares: Chainer made importable, seeded draws, GPU tests skipped.

DNC_TEST_NAME=chainer_dnc in the environment has the package imported under its installed name
first, so that all tests run on that: ``lib`` is then the second name.

DNC_TEST_CUPY=14.2 has the tests that need a GPU run on a stand-in for that version of CuPy, see
``stand_in``; ``test_on_the_stand_in.py`` does so.
"""

import importlib
import os
import signal

import hypothesis
import numpy as np
import pytest

if "DNC_TEST_CUPY" in os.environ:
    importlib.import_module("stand_in").install(os.environ["DNC_TEST_CUPY"])

# Before any test imports Chainer: it supplies what Chainer misses.
NAME = importlib.import_module(os.environ.get("DNC_TEST_NAME", "lib")).__name__

# isort: split

from lib.compat import cuda_problem
from lib.kernels.backends import numba_problem

# isort: split

import chainer
import command_line

# What is ignored where the tests were started (nohup, a background job) a program would go on to
# ignore, and its tests wait for what never comes.
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples on every run: a failure can be repeated, and the time taken does not wander.
# DNC_EXAMPLES=5000 in the environment draws as many for each test, and others on every run.
EXAMPLES = int(os.environ.get("DNC_EXAMPLES", 60))
hypothesis.settings.register_profile(
    "repository",
    derandomize="DNC_EXAMPLES" not in os.environ,
    deadline=None,
    max_examples=EXAMPLES,
    database=None,
)
hypothesis.settings.load_profile("repository")


def pytest_runtest_setup():
    """Chainer draws weights from NumPy's own generator: from here on the same in every run."""
    np.random.seed(0)


def pytest_collection_modifyitems(items):
    problems = {
        "gpu": cuda_problem(0),
        "two_gpus": cuda_problem(1),
        "stand_in": None if "DNC_TEST_CUPY" in os.environ else "not on the stand-in for CuPy",
    }
    for item in items:
        for marker, problem in problems.items():
            if problem is not None and item.get_closest_marker(marker):
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


@pytest.fixture(scope="session", autouse=True)
def compiled(tmp_path_factory):
    """Have the kernels compiled before any test, whichever comes first: the program says so."""
    folder = tmp_path_factory.mktemp("compiled")
    for given in (["--iterations", "1"], ["--iterations", "1", "--test_seq_len", "3"]):
        assert command_line.dnc.main([*command_line.TINY, "--out", str(folder), *given]) == 0


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A folder with snapshots of iterations 4, 8 and 10."""
    folder = tmp_path_factory.mktemp("trained")
    given = [*command_line.TINY, "--out", str(folder), "--seed", "1", "--log_interval", "3"]
    assert command_line.dnc.main([*given, "--iterations", "10", "--snapshot_interval", "4"]) == 0
    return folder


@pytest.fixture
def folder(trained, tmp_path):
    """The same for a test to damage; an older file's time must not matter, so all have one."""
    for file in trained.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path
