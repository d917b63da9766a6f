"""What a DNC shows of itself, and the picture that is drawn of it."""

import helpers
import numpy as np
import pytest
import reference
from command_line import run, train
from helpers import Sizes

from lib import Trace, trace
from lib.training import picture

SIZES = [Sizes(K=0), Sizes(K=2)]


@pytest.mark.parametrize("sizes", SIZES, ids=["dense", "sparse"])
def test_the_trace_is_what_the_steps_did(sizes):
    model, xs = helpers.build(sizes), helpers.inputs(sizes, 2, 4)
    seen = trace(model, xs)
    assert isinstance(seen, Trace)
    after = helpers.state_arrays(model.get_state())
    model.reset_state()
    for t, x in enumerate(xs):
        y = model(x).array
        state = model.get_state()
        np.testing.assert_allclose(seen.ys[t], y, rtol=1e-12)
        for name in ("usage", "write_weights", "read_weights", "read_vectors"):
            np.testing.assert_allclose(getattr(seen, name)[t], getattr(state, name).array)
    helpers.assert_same(after, helpers.state_arrays(state))


def test_the_interface_is_the_one_that_the_step_used():
    """Against the reference, which parses it by itself."""
    sizes = Sizes(K=0)
    model, xs = helpers.build(sizes), helpers.inputs(sizes, 1, 3)
    said = trace(model, xs).interface
    h = model.get_state().h.array[0]
    linear = model.controller.linear
    xi = linear.W.array[sizes.Y :] @ h + linear.b.array[sizes.Y :]
    expected = reference.interface(xi, sizes.W, sizes.R)
    for name in ("read_strengths", "erase", "write_vector", "free_gates", "read_modes"):
        got = getattr(said, name)[-1, 0]
        np.testing.assert_allclose(got, helpers.host(expected[name]), rtol=1e-12, err_msg=name)
    assert said.read_modes.shape == (3, 1, sizes.R, 3)
    np.testing.assert_allclose(said.read_modes.sum(axis=3), 1)


def test_a_trace_makes_no_graph_and_goes_on_from_the_state():
    sizes = Sizes(K=2)
    model, xs = helpers.build(sizes), helpers.inputs(sizes, 2, 4)
    whole = model.unroll(xs).array
    model.reset_state()
    trace(model, xs[:2])
    assert model.h.creator is None
    np.testing.assert_allclose(trace(model, xs[2:]).ys, whole[2:], rtol=1e-12)


@pytest.mark.parametrize("T, B, word", [(0, 2, "step"), (3, 0, "sequence")])
def test_there_must_be_something_to_trace(T, B, word):
    model = helpers.build(Sizes(K=2))
    with pytest.raises(ValueError, match=f"at least one {word}"):
        trace(model, helpers.inputs(Sizes(), B, T))


def test_the_rows_that_are_drawn():
    weights = np.zeros((3, 100))
    weights[0, 7] = weights[1, 2] = weights[2, 50] = 0.9
    rows, words = picture.locations(weights)
    assert rows.tolist() == [7, 2, 50] and "3 of 100" in words
    rows, words = picture.locations(np.full((3, 100), 0.01))
    assert rows.tolist() == list(range(100)) and words == "all 100 locations"


@pytest.mark.parametrize("task", ["addition", "repeat", "priority_sort"])
@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_program_draws_a_sequence(task, kind, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    train(capsys, tmp_path, "--task", task, "--iterations", 2)
    file = tmp_path / f"picture.{kind}"
    given = ["--task", task, "--out", tmp_path, "--test_seq_len", 6, "--plot", file]
    status, out, err = run(capsys, *given)
    assert (status, err) == (0, "") and out.endswith(f"Picture: {file}\n")
    assert file.stat().st_size > 10000


def test_without_matplotlib_it_says_so(tmp_path, capsys, monkeypatch):
    train(capsys, tmp_path, "--iterations", 2)
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    file = tmp_path / "picture.png"
    status, out, err = run(capsys, "--out", tmp_path, "--test_seq_len", 3, "--plot", file)
    assert status == 1 and "no picture could be made" in err and "Mean squared error" in out
