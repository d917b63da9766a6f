"""Threads of BLAS: one for small products, and afterwards what there was before."""

import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_info, threadpool_limits

from lib import blas


def counts():
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}


pytestmark = pytest.mark.skipif(not counts(), reason="threadpoolctl knows no BLAS here")


@pytest.fixture(autouse=True)
def three():
    """NumPy has loaded its BLAS, which would take three threads."""
    np.ones((2, 2)) @ np.ones((2, 2))
    libraries = ThreadpoolController().select(user_api="blas").lib_controllers
    before = [library.num_threads for library in libraries]
    set_in_a_thread(libraries, [3] * len(libraries))
    yield
    assert counts() == {3}
    set_in_a_thread(libraries, before)


def set_in_a_thread(libraries, numbers):
    """One that ends: threadpoolctl lets no other thread set what a living one has set."""

    def set_all():
        for library, number in zip(libraries, numbers):
            library.set_num_threads(number)

    thread = threading.Thread(target=set_all)
    thread.start()
    thread.join()


def test_few_rows_are_multiplied_in_one_thread():
    with blas.threads_for(blas.ROWS_WORTH_THREADS - 1):
        assert counts() == {1}
        with blas.threads_for(1):
            assert counts() == {1}
        assert counts() == {1}
    assert counts() == {3}
    with blas.threads_for(blas.ROWS_WORTH_THREADS):
        assert counts() == {3}


def test_an_error_inside_changes_nothing():
    with pytest.raises(ZeroDivisionError), blas.threads_for(1):
        raise ZeroDivisionError
    assert counts() == {3}


def test_where_there_is_one_thread_it_stays_so():
    with threadpool_limits(limits=1, user_api="blas"):
        with blas.threads_for(1):
            assert counts() == {1}
        assert counts() == {1}


def test_threads_that_overlap_leave_what_was_before():
    """One goes in, the other goes in, the first goes out, the other goes out."""
    inside, go_out, done = threading.Event(), threading.Event(), threading.Event()

    def first():
        with blas.threads_for(1):
            inside.set()
            go_out.wait(10)
        done.set()

    other = threading.Thread(target=first)
    other.start()
    inside.wait(10)
    with blas.threads_for(1):
        assert counts() == {1}
        go_out.set()
        done.wait(10)
        assert counts() == {3}  # that of whoever set it
    other.join()
    assert counts() == {3}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_process_forked_while_another_thread_is_inside_does_not_wait_for_it():
    inside, go_out = threading.Event(), threading.Event()

    def hold():
        with blas.threads_for(1):
            inside.set()
            go_out.wait(10)

    other = threading.Thread(target=hold)
    other.start()
    inside.wait(10)
    child = os.fork()
    if child == 0:
        with blas.threads_for(1):
            os._exit(0 if counts() == {1} and blas._setting.acquire(blocking=False) else 1)
    go_out.set()
    other.join()
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.slow
def test_numbers_do_not_depend_on_the_threads_of_blas():
    code = """
        import hashlib
        import numpy as np
        import chainer.functions as F
        from lib import DNC

        np.random.seed(0)
        model = DNC(3, 2, 64, 16, 4, 200, 4)
        xs = np.random.normal(size=(20, 3, 3)).astype("f")
        F.sum(model.unroll(xs) ** 2 + model(xs[0])).backward()
        print(hashlib.sha256(b"".join(p.grad.tobytes() for p in model.params())).hexdigest())
    """
    found = {
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            env={**os.environ, "OPENBLAS_NUM_THREADS": count},
            check=True,
            capture_output=True,
            text=True,
            timeout=300,
        ).stdout
        for count in ("1", "2", "5")
    }
    assert len(found) == 1
