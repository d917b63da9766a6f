"""The compiled loops against the plain functions, which share no code with them."""

import os
import subprocess
import sys
import textwrap
import threading

import chainer
import chainer.functions as F
import helpers
import numpy as np
import pytest
from helpers import Sizes

from lib import DNC, Adam, State
from lib.graph import lstm_sequence, sequence
from lib.graph.lstm_sequence import LSTMParameters, LSTMState
from lib.graph.sequence import Parameters
from lib.kernels import backends
from lib.memory import content, interface
from lib.memory.bounds import Options
from lib.memory.sparse_linkage import SparseLink
from lib.memory.step import MemoryState
from lib.state import concatenate_rows, select_rows

needs_numba = pytest.mark.skipif(
    backends.numba_problem() is not None, reason=str(backends.numba_problem())
)
SIZES = Sizes(N=37, W=5, R=3, H=4)


def states(sizes, B, dtype, seed=0):
    """A MemoryState, the row scales that go with it, and an interface vector."""
    fields = helpers.random_state(sizes, B, dtype, seed)
    link = fields["link"]
    if sizes.sparse:
        columns = helpers.top_columns(link, sizes.K)
        link = SparseLink(np.take_along_axis(link, columns, 2), columns)
    state = MemoryState(
        fields["memory"],
        fields["usage"],
        fields["precedence"],
        link,
        fields["write_weights"],
        fields["read_weights"],
    )
    rng = np.random.default_rng(seed)
    xi = rng.normal(0, 2, (B, interface.size(sizes.W, sizes.R))).astype(dtype)
    return state, content.inverse_norms(state.memory), xi


def leaves(state):
    """The fields of a MemoryState by name, a sparse link as its two parts."""
    fields = state._asdict()
    link = fields.pop("link")
    parts = link._asdict() if isinstance(link, SparseLink) else {"link": link}
    return {**fields, **parts}


def run_step(backend, state, scales, xi, seed=1):
    """All that one memory step gives, and the gradient of all that goes into it."""
    rng = np.random.default_rng(seed)

    def cotangent(x):
        return rng.normal(size=x.shape).astype(x.dtype)

    B, R, _ = state.read_weights.shape
    link = state.link.values if isinstance(state.link, SparseLink) else state.link
    g = MemoryState(*(cotangent(field) for field in state._replace(link=link)))
    g_vectors = cotangent(np.empty((B, R * state.memory.shape[2]), xi.dtype))
    if getattr(backend, "loops", None):
        after, vectors, g_before, g_xi = run_loops(state, xi, g, g_vectors)
    else:
        after, vectors, trace = backend.step(state, scales, xi)
        g_before, g_xi = backend.step_backward(trace, g, g_vectors)
    gradients = {f"gradient of {name}": field for name, field in g_before._asdict().items()}
    return {**leaves(after), "vectors": vectors, **gradients, "gradient of xi": g_xi}


def run_loops(state, xi, g, g_vectors):
    """A sequence of one step for each row, of a controller whose bias is what it says."""
    rows = [slice(b, b + 1) for b in range(len(xi))]
    done = [run_loop(select_rows(state, b), xi[b], select_rows(g, b), g_vectors[b]) for b in rows]
    states = [concatenate_rows(list(column)) for column in zip(*done)]
    return states


def run_loop(state, xi, g, g_vectors):
    parameters = silent_controller(xi[0], g_vectors.shape[1])
    zeros = np.zeros((1, 1), xi.dtype)
    before = State(*state, np.zeros_like(g_vectors), zeros, zeros)
    with chainer.using_config("dnc_backend", "numba"):
        _, after, trace = sequence.unroll(
            parameters, Options(), np.zeros((1, 1, 1), xi.dtype), before, [1], keep_trace=True
        )
        g_after = State(*map(np.copy, g), g_vectors.copy(), zeros.copy(), zeros.copy())
        _, records, g_before = sequence.unroll_backward(trace, zeros[None].copy(), g_after, False)
    after, g_before = (MemoryState(*each[:6]) for each in (after, g_before))
    return after, trace.over_time.reads[1], g_before, records[0].g_out[:, 1:]


def silent_controller(xi, width):
    """Parameters with X = Y = H = 1 that give ξ whatever comes in."""
    O, dtype = len(xi) + 1, xi.dtype  # noqa: E741
    return Parameters(
        upward_W=np.zeros((4, 1 + width), dtype),
        upward_b=np.zeros(4, dtype),
        lateral_W=np.zeros((4, 1), dtype),
        linear_W=np.zeros((O, 1), dtype),
        linear_b=np.concatenate([np.zeros(1, dtype), xi]),
        read_out_W=np.zeros((1, width), dtype),
        read_out_b=np.zeros(1, dtype),
    )


@needs_numba
@pytest.mark.parametrize("B", [1, 3])
@pytest.mark.parametrize("K", [0, 1, 8, 36])
def test_a_memory_step(K, B):
    arguments = states(SIZES._replace(K=K), B, np.float64)
    got = run_step(backends.compiled(), *arguments)
    helpers.assert_same(got, run_step(backends.PLAIN, *arguments))


@needs_numba
def test_a_memory_step_that_keeps_many_entries_a_row():
    arguments = states(SIZES._replace(N=150, K=140), 1, np.float64)
    got = run_step(backends.compiled(), *arguments)
    helpers.assert_same(got, run_step(backends.PLAIN, *arguments))


@needs_numba
@pytest.mark.parametrize("clip", [None, 0.5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_controller_step(dtype, clip):
    """Gates from tiny to saturated, and the gradient of each."""
    rng = np.random.default_rng(0)
    B, H = 3, 6
    c, h, g_c, g_h = (rng.normal(0, 2, (B, H)).astype(dtype) for _ in range(4))
    xs = rng.normal(0, 2, (1, B, 4 * H)).astype(dtype)
    xs[0, 0] *= 1e-5
    xs[0, 1] *= 50
    lateral_W, linear_W = np.zeros((4 * H, H), dtype), np.zeros((1, H), dtype)
    weights = LSTMParameters(
        np.eye(4 * H, dtype=dtype),
        *np.zeros((1, 4 * H), dtype),
        lateral_W,
        linear_W,
        np.zeros(1, dtype),
    )
    results = []
    for choice in ("numpy", "numba"):
        with chainer.using_config("dnc_backend", choice):
            _, state, trace = lstm_sequence.unroll(
                weights, Options(clip), xs, LSTMState(c, h), [B], keep_trace=True
            )
            g_xs, _, g_state = lstm_sequence.unroll_backward(
                trace, np.zeros((1, B, 1), dtype), LSTMState(g_c.copy(), g_h.copy()), True
            )
        results.append({**state._asdict(), "g c": g_state.c, "g h": g_state.h, "g z": g_xs})
    tolerance = 1e-6 if dtype == np.float32 else 1e-12
    helpers.assert_same(results[1], results[0], rtol=tolerance)


def ties_zeros_and_ones(K):
    """Equal usages, weights and precedences; empty rows; usages of exactly 0 and 1."""
    state, _, xi = states(SIZES._replace(K=K), 2, np.float64)
    for field in (state.usage, state.precedence, state.write_weights):
        field[:, 5:20] = field[:, 5:6]
    state.usage[:, 20:25], state.usage[:, 25:30] = 0, 1
    state.precedence[:, 20:] = 0
    state.write_weights[:, 20:] = 0
    state.memory[:, 10:20] = 0
    return state, content.inverse_norms(state.memory), xi


@needs_numba
@pytest.mark.parametrize("K", [0, 4])
def test_ties_zeros_and_ones(K):
    arguments = ties_zeros_and_ones(K)
    got = run_step(backends.compiled(), *arguments)
    helpers.assert_same(got, run_step(backends.PLAIN, *arguments))


@needs_numba
@pytest.mark.parametrize("K", [0, 8])
def test_single_precision_is_as_good_as_the_plain_ones(K):
    """Its error against float64 is at most twice that of the plain code, at a real size."""
    sizes = Sizes(N=256, W=64, R=4, H=4, K=K)
    errors = {"numpy": 0.0, "numba": 0.0}
    for seed in range(3):
        single = states(sizes, 1, np.float32, seed)
        exact = run_step(backends.PLAIN, *map(widen, single))
        for backend in (backends.PLAIN, backends.compiled()):
            got = run_step(backend, *single)
            for name, want in exact.items():
                error = np.abs(got[name] - want).max() / np.abs(want).max()
                errors[backend.name] = max(errors[backend.name], error)
    assert errors["numba"] <= 2 * errors["numpy"] + 1e-6


def widen(argument):
    """The same numbers in float64."""
    if isinstance(argument, tuple):
        return type(argument)(*map(widen, argument))
    return argument.astype(np.float64) if argument.dtype == np.float32 else argument


@needs_numba
def test_the_number_of_threads_changes_nothing(monkeypatch):
    from lib.kernels import threads

    sizes = Sizes(X=3, Y=2, N=600, W=4, R=2, H=40, K=4)
    model, xs = helpers.build(sizes, np.float32), helpers.inputs(sizes, 21, 4, np.float32)
    results = []
    for count in (1, 2, 5):
        monkeypatch.setattr(threads.config, "NUMBA_NUM_THREADS", count)
        model.reset_state()
        model.cleargrads()
        F.sum(model.unroll(xs, lengths=[4, 1] * 10 + [0])).backward()
        results.append([model.get_state().memory.array, *(p.grad for p in model.params())])
    for other in results[1:]:
        for want, got in zip(results[0], other):
            np.testing.assert_array_equal(got, want)


@needs_numba
@pytest.mark.parametrize("B", [7, 8, 19])
def test_a_sequence_does_not_depend_on_the_others(B):
    """Its numbers are the same bit by bit, whichever part or group of a batch it is in."""
    sizes = Sizes(X=3, Y=2, N=16, W=4, R=2, H=40, K=4)
    model, xs = helpers.build(sizes, np.float32), helpers.inputs(sizes, B, 4, np.float32)
    with chainer.using_config("dnc_backend", "numba"):
        together = model.unroll(xs).array
        state = model.get_state()
        for b in range(B):
            model.reset_state()
            alone = model.unroll(xs[:, b : b + 1]).array
            np.testing.assert_array_equal(alone[:, 0], together[:, b])
            after = model.get_state().memory.array[0]
            np.testing.assert_array_equal(after, state.memory.array[b])


@needs_numba
@pytest.mark.parametrize("B, parts", [(1, 1), (7, 3), (8, 2), (9, 5), (64, 8)])
def test_no_part_cuts_a_group(B, parts):
    from lib.kernels import threads
    from lib.kernels.controller import GROUP

    found = threads.parts_of(B, parts, GROUP if B >= 8 else 1)
    ends = [0, *(end for _, end in found)]
    assert [begin for begin, _ in found] == ends[:-1]
    assert ends[0] == 0 and ends[-1] == B and sorted(set(ends)) == ends
    assert len(ends) <= parts + 1
    assert B < 8 or all(end % GROUP == 0 for end in ends[:-1])


# Choosing


def test_every_choice_and_a_wrong_one():
    array = np.zeros(1, "f")
    best = "numpy" if backends.numba_problem() else "numba"
    assert backends.backend_for(array, 0).name == best
    with chainer.using_config("dnc_backend", "numpy"):
        assert backends.backend_for(array, 0).name == "numpy"
    with chainer.using_config("dnc_backend", "cuda"):  # which is for CuPy arrays
        assert backends.backend_for(array, 0).name == best
    with chainer.using_config("dnc_backend", "fortran"):
        with pytest.raises(ValueError, match="dnc_backend.*auto.*numpy.*numba.*cuda.*'fortran'"):
            backends.backend_for(array, 0)


@pytest.mark.parametrize(("given", "chosen"), [("cuda", "cuda"), ("", "auto")])
def test_the_environment_chooses_what_a_program_begins_with(given, chosen):
    code = "import lib, chainer; print(chainer.config.dnc_backend)"
    given = {**os.environ, "CHAINER_DNC_BACKEND": given}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == chosen, done.stderr


@needs_numba
def test_many_entries_a_row_are_sorted_by_numpy():
    array, most = np.zeros(1, "f"), backends.LARGEST_K
    assert backends.backend_for(array, most).name == "numba"
    assert backends.backend_for(array, most + 1).name == "numpy"
    with chainer.using_config("dnc_backend", "numba"):
        assert backends.backend_for(array, most + 1).name == "numba"


def test_a_numba_that_cannot_be_imported(tmp_path):
    """As one that does not go with this NumPy: the plain code serves, with one warning."""
    (tmp_path / "numba").mkdir()
    (tmp_path / "numba" / "__init__.py").write_text("raise ImportError('needs another NumPy')")
    done = run_python(
        f"""
        import sys, warnings
        sys.path.insert(0, {str(tmp_path)!r})
        from lib import Adam, DNC
        import chainer, chainer.functions as F, numpy as np
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = DNC(3, 2, 8, 4, 1, 4)
            optimizer = Adam().setup(model)
            for _ in range(2):
                F.sum(model(np.ones((1, 3), "f"))).backward()
                optimizer.update()
        said = [str(w.message) for w in caught if "Numba" in str(w.message)]
        assert len(said) == 1 and "needs another NumPy" in said[0], said
        try:
            with chainer.using_config("dnc_backend", "numba"):
                model(np.ones((1, 3), "f"))
        except ValueError as error:
            assert "needs another NumPy" in str(error)
        else:
            raise SystemExit("no ValueError")
        """
    )
    assert done.returncode == 0, done.stderr


def test_a_numba_that_leaks_is_not_used(tmp_path):
    (tmp_path / "numba").mkdir()
    (tmp_path / "numba" / "__init__.py").write_text("__version__ = '0.60.0'")
    done = run_python(
        f"""
        import sys, warnings
        sys.path.insert(0, {str(tmp_path)!r})
        from lib.kernels import backends
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert "0.60.0 leaks" in backends.numba_problem()
        assert len(caught) == 1
        """
    )
    assert done.returncode == 0, done.stderr


@needs_numba
def test_no_folder_to_keep_what_was_compiled():
    done = run_python(
        """
        from numba.core import caching
        caching.CacheImpl._locator_classes = []
        if hasattr(caching.CacheImpl, "_locator_classes_user"):
            caching.CacheImpl._locator_classes_user = []
        from lib.kernels.compiled import kernel

        @kernel
        def double(x):
            return 2 * x

        assert double(3) == 6
        """
    )
    assert done.returncode == 0, done.stderr


@needs_numba
def test_threads_that_outlive_the_program():
    done = run_python(
        """
        import threading, time
        from lib import DNC, Adam
        import numpy as np
        model = DNC(3, 2, 1024, 4, 1, 4)
        model.unroll(np.ones((1, 1, 3), "f"))
        model.reset_state()

        def later():
            time.sleep(0.5)
            print(model.unroll(np.ones((1, 4, 3), "f")).shape)

        threading.Thread(target=later).start()
        """
    )
    assert (done.returncode, done.stdout) == (0, "(1, 4, 2)\n"), done.stderr


@needs_numba
def test_read_only_states_need_no_compilation():
    from lib.kernels import sequence_loops

    state, scales, xi = states(SIZES, 1, np.float64)
    run_step(backends.compiled(), state, scales, xi)
    before = len(sequence_loops.advance.signatures)
    state.usage.flags.writeable = False
    state = state._replace(memory=np.asfortranarray(state.memory))
    run_step(backends.compiled(), state, scales, xi)
    assert len(sequence_loops.advance.signatures) == before


@needs_numba
def test_lengths_that_overflow_count_as_similarity_zero():
    state, _, xi = states(SIZES, 1, np.float32)
    state.memory[:, 3] = 1e30
    xi[:, :5] = 1e30
    with np.errstate(over="ignore"):
        arguments = state, content.inverse_norms(state.memory), xi
        plain = run_step(backends.PLAIN, *arguments)["vectors"]
        loops = run_step(backends.compiled(), *arguments)["vectors"]
    assert np.isfinite(plain).all()
    np.testing.assert_allclose(loops, plain, rtol=1e-4, atol=1e-6)


def test_without_numba(monkeypatch):
    monkeypatch.setattr(backends, "numba_problem", lambda: "Numba is not installed")
    assert backends.backend_for(np.zeros(1, "f"), 0).name == "numpy"
    with chainer.using_config("dnc_backend", "numba"):
        with pytest.raises(ValueError, match="Numba is not installed"):
            backends.backend_for(np.zeros(1, "f"), 0)


def test_a_gradient_keeps_to_the_backend_of_its_sequence():
    model = helpers.build(Sizes(), np.float32)
    with chainer.using_config("dnc_backend", "numpy"):
        ys = model.unroll(helpers.inputs(Sizes(), 1, 2, np.float32))
    F.sum(ys).backward()
    assert model.read_out.W.grad.any()


def run_python(code):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_importing_lib_does_not_import_numba():
    """It takes a while, and a model on a GPU never needs it."""
    done = run_python("import lib, sys; assert 'numba' not in sys.modules")
    assert done.returncode == 0, done.stderr


@needs_numba
def test_a_forked_process_computes_on():
    """Threads do not survive a fork: the child starts its own."""
    done = run_python(
        """
        import os, sys
        from lib import DNC, Adam
        from lib.kernels import threads
        import numpy as np
        threads.config.NUMBA_NUM_THREADS = 2
        model = DNC(3, 2, 1024, 4, 1, 4)
        xs = np.ones((1, 4, 3), "f")
        before = model.unroll(xs).array
        parent = threads.helpers()
        assert len(parent.threads) == 1
        child = os.fork()
        if child == 0:
            model.reset_state()
            same = (model.unroll(xs).array == before).all()
            own = threads.helpers() is not parent and len(threads.helpers().threads) == 1
            os._exit(0 if same and own else 1)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
    )
    assert done.returncode == 0, done.stderr


@needs_numba
def test_models_in_threads_of_the_users():
    model = DNC(3, 2, 1024, 4, 1, 4)
    xs = np.ones((3, 4, 3), "f")
    want, found = model.copy().unroll(xs).array, []

    def run():
        found.append(model.copy().unroll(xs).array)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and all((ys == want).all() for ys in found)


@needs_numba
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_during_the_first_call_of_another_thread():
    """The locks of an import, or of the compiler, are copied; the thread that holds them is not."""
    done = run_python(
        """
        import os, signal, sys, threading, time
        from lib import DNC, Adam
        import numpy as np
        model, xs = DNC(3, 2, 16, 4, 1, 4), np.ones((2, 4, 3), "f")
        other = threading.Thread(target=model.copy().unroll, args=[xs])
        other.start()
        children = []
        while other.is_alive():
            child = os.fork()
            if child == 0:
                signal.alarm(100)
                os._exit(0 if np.isfinite(model.unroll(xs).array).all() else 1)
            children.append(child)
            time.sleep(0.02)
        states = [os.waitpid(child, 0)[1] for child in children]
        print(states, file=sys.stderr)
        assert len(states) > 1 and not any(states)
        """
    )
    assert done.returncode == 0 and "Exception" not in done.stderr, done.stderr


# Under other rules


@pytest.mark.parametrize("choice", ["numpy", pytest.param("numba", marks=needs_numba)])
@pytest.mark.parametrize("K", [0, 3])
@pytest.mark.parametrize("scale", [1, 30])
def test_underflow_is_no_error_where_a_user_has_it_raised(choice, K, scale):
    """The tails of weightings, and the squares of what is left of a gradient, are below all."""
    model = DNC(3, 2, 16, 4, 2, 8, K=K, cell_clip=1.0, bounded_reads=True)
    for param in model.params():
        param.array *= scale
    optimizer = Adam().setup(model)
    xs = np.random.default_rng(0).normal(size=(20, 6, 3, 3)).astype("f")
    with chainer.using_config("dnc_backend", choice), np.errstate(all="raise"):
        for x in xs:
            model.reset_state()
            ys = [*model.unroll(x, lengths=[6, 3, 1]), model(x[0])]
            model.cleargrads()
            sum(map(F.sum, ys)).backward()
            optimizer.update()


# Cost


@pytest.mark.parametrize("choice", ["numpy", pytest.param("numba", marks=needs_numba)])
def test_a_sparse_link_never_becomes_dense(choice):
    """With N = 16,384 a step stays far below one N x N array (1 GiB), forward and backward."""
    done = run_python(
        f"""
        import resource
        from lib import DNC, Adam
        import chainer
        import chainer.functions as F
        import numpy as np

        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # MiB on Linux

        xs = np.ones((3, 1, 2), "f")
        with chainer.using_config("dnc_backend", {choice!r}):
            F.sum(DNC(2, 1, 64, 4, 2, 8, K=8).unroll(xs)).backward()  # imports, compilation
            before = peak()
            model = DNC(2, 1, 16384, 4, 2, 8, K=8)
            F.sum(model.unroll(xs)).backward()
            F.sum(model(xs[0])).backward()
            print(peak() - before)
        """
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 100


# Planted bugs


def link_from_the_new_precedence(right, *arguments):
    right(*arguments)
    initial, states = arguments[8], arguments[9]
    late = (*initial[:3], states[3][0].copy(), *initial[4:])
    right(*arguments[:8], late, *arguments[9:])


def no_gradient_of_the_read_keys(right, *arguments):
    right(*arguments)
    (_, _, (_, g_out, _)), at = arguments[10], arguments[12]
    g_out[:, :, 1 : 1 + at[1]] = 0


def no_gradient_of_the_usage(right, *arguments):
    right(*arguments)
    arguments[10][0][1][...] = 0


@needs_numba
@pytest.mark.parametrize(
    "name, bug",
    [
        ("advance", link_from_the_new_precedence),
        ("retreat", no_gradient_of_the_read_keys),
        ("retreat", no_gradient_of_the_usage),
    ],
)
def test_a_planted_bug_is_caught(monkeypatch, name, bug):
    from lib.kernels import sequence_loops

    right = getattr(sequence_loops, name)
    monkeypatch.setattr(sequence_loops, name, lambda *arguments: bug(right, *arguments))
    arguments = states(SIZES, 2, np.float64)
    got = run_step(backends.compiled(), *arguments)
    with pytest.raises(AssertionError, match="off by"):
        helpers.assert_same(got, run_step(backends.PLAIN, *arguments))
