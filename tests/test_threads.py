"""Parts of a batch handed out to threads: each is done once, whatever fails."""

import gc
import importlib
import os
import subprocess
import sys
import textwrap
import threading
import time
import warnings
import weakref

import numpy as np
import pytest

threads = pytest.importorskip("lib.kernels.threads", reason="needs Numba")
products = importlib.import_module("lib.kernels.products")


@pytest.fixture(autouse=True)
def four(monkeypatch):
    """Four parts, and threads of the test's own."""
    monkeypatch.setattr(threads.config, "NUMBA_NUM_THREADS", 4)
    threads.helpers.cache_clear()
    yield
    dismiss()


def dismiss():
    """End the threads; those of the next test are others."""
    helpers = threads.helpers()
    for _ in helpers.threads:
        helpers.jobs.put(None)
    threads.helpers.cache_clear()


class Kernel:
    """Notes which parts it was called for; the last argument is what the kernel works on."""

    def __init__(self, pause=0.0):
        self.parts, self._pause = [], pause

    def __call__(self, begin, end, *arguments):
        time.sleep(self._pause)
        self.parts.append((begin, end))

    def share(self, B=4):
        array = np.zeros(1000)
        threads.share_batch(self, B, 1024, array)
        return weakref.ref(array)


def room_for(monkeypatch, count, error=RuntimeError):
    """Let so many more threads start."""
    start, left = threads.start_new_thread, [None] * count

    def limited(*arguments):
        if not left:
            raise error("can't start new thread")
        left.pop()
        return start(*arguments)

    monkeypatch.setattr(threads, "start_new_thread", limited)


@pytest.mark.parametrize("error", [RuntimeError, MemoryError])
@pytest.mark.parametrize("room", [0, 1, 2, 3])
def test_each_part_is_done_once_where_threads_cannot_start(room, error, monkeypatch):
    room_for(monkeypatch, room, error)
    for B, ends in ((4, (1, 2, 3, 4)), (5, (1, 2, 3, 5)), (31, (8, 16, 24, 31))):
        kernel = Kernel()
        kernel.share(B)
        assert sorted(kernel.parts) == list(zip((0, *ends), ends))


@pytest.mark.parametrize("room", [0, 1, 3])
def test_nothing_is_kept_of_what_is_done(room, monkeypatch):
    room_for(monkeypatch, room)
    arrays = [Kernel().share() for _ in range(20)]
    deadline = time.monotonic() + 10
    while any(array() is not None for array in arrays):
        assert time.monotonic() < deadline
        time.sleep(0.01)
        gc.collect()
    assert threads.helpers().jobs.qsize() == 0


def test_they_start_once_there_is_room_again(monkeypatch):
    with monkeypatch.context() as patch:
        room_for(patch, 0)
        Kernel().share()
    assert not threads.helpers().threads
    Kernel().share()
    assert len(threads.helpers().threads) == 3


def test_threads_that_others_keep_busy_are_not_waited_for():
    blocked = threading.Event()
    threads.hand_out(blocked.wait, 3)
    kernel = Kernel()
    kernel.share()
    assert len(kernel.parts) == 4
    blocked.set()


def test_nothing_ends_a_thread():
    def fail():
        raise SystemExit

    threads.hand_out(fail, 3)
    done = threading.Semaphore(0)
    threads.hand_out(done.release, 3)
    assert all(done.acquire(timeout=10) for _ in range(3))


def test_several_may_share_their_work_at_once():
    kernels = [Kernel(pause=0.01) for _ in range(4)]
    callers = [threading.Thread(target=kernel.share, args=(31,)) for kernel in kernels]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    for kernel in kernels:
        assert sorted(kernel.parts) == [(0, 8), (8, 16), (16, 24), (24, 31)]


class Interrupt:
    """Ctrl-C at one event of the Python code that is traced: a call, a line or a return."""

    def __init__(self, at):
        self._left = at

    def __call__(self, frame, event, argument):
        self._left -= 1
        if self._left == 0:
            sys.settrace(None)
            raise KeyboardInterrupt
        return self


@pytest.mark.parametrize("started", [False, True])
def test_an_interrupt_anywhere_leaves_nothing_locked(started):
    interrupted, at = True, 0
    while interrupted:
        at += 1
        if not started:
            dismiss()
        before = sys.gettrace()
        sys.settrace(Interrupt(at))
        try:
            Kernel().share()
            interrupted = False
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        kernel = Kernel()
        after = threading.Thread(target=kernel.share, daemon=True)
        after.start()
        after.join(10)
        assert sorted(kernel.parts) == [(0, 1), (1, 2), (2, 3), (3, 4)], at
    assert at > 50


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit, KeyboardInterrupt])
def test_what_another_thread_raises_is_raised_and_the_rest_is_done(error):
    caller, failed, done = threading.get_ident(), threading.Event(), []

    def kernel(begin, end):
        if threading.get_ident() == caller:
            failed.wait(10)
        elif not failed.is_set():
            failed.set()
            raise error
        done.append(begin)

    with pytest.raises(error):
        threads.share_batch(kernel, 31, 1024)
    assert len(done) == 3 and len(threads.helpers().threads) == 3


def test_where_the_caller_fails_nobody_begins_another_part():
    caller, failed, done = threading.get_ident(), threading.Event(), []

    def kernel(begin, end):
        if threading.get_ident() == caller:
            time.sleep(0.1)
            raise ZeroDivisionError
        failed.wait(10)
        done.append(begin)

    with pytest.raises(ZeroDivisionError):
        threads.share_batch(kernel, 8 * 12, 1024)
    failed.set()
    time.sleep(0.3)
    assert len(done) <= 3


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
@pytest.mark.parametrize("room, some", [(600, True), (300, True), (100, False)])  # MiB
def test_under_a_real_limit_the_numbers_are_the_same(room, some):
    code = f"""
    import resource, threading
    import numpy as np
    import chainer.functions as F
    from lib import DNC
    from lib.kernels import threads

    def gradient(model):
        model.reset_state()
        model.cleargrads()
        F.sum(model.unroll(np.ones((3, 9, 3), "f"))).backward()
        return [param.grad.copy() for param in model.params()]

    model = DNC(3, 2, 1024, 4, 1, 4)
    threads.config.NUMBA_NUM_THREADS = 1
    want = gradient(model)
    threads.config.NUMBA_NUM_THREADS = 4
    pages = int(open("/proc/self/statm").read().split()[0])
    threading.stack_size(256 << 20)
    limit = pages * resource.getpagesize() + ({room} << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, -1))
    assert all((a == b).all() for a, b in zip(gradient(model), want))
    print(len(threads.helpers().threads))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "MALLOC_ARENA_MAX": "1"},  # else each thread asks for one of its own
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert (int(done.stdout) > 0) == some


@pytest.mark.parametrize("worth", [0, 10**12])
def test_gradients_of_weights_shared_among_threads(worth, monkeypatch):
    monkeypatch.setattr(products, "WORK_WORTH_THREADS", worth)
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(size=(40, width)), rng.normal(size=(40, 9))) for width in (3, 50, 20, 7)]
    for (g, x), product in zip(pairs, products.gradients_of_weights(pairs)):
        np.testing.assert_array_equal(product, g.T @ x)


def test_every_thread_has_the_error_state_of_the_caller(monkeypatch):
    monkeypatch.setattr(products, "WORK_WORTH_THREADS", 0)
    large = np.full((400, 300), 1e30, "f")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error")
        for _ in range(5):
            products.gradients_of_weights([(large, large)] * 3)
