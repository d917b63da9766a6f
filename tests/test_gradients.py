"""Numeric gradients in float64 of all that is returned, for every parameter, state field and input.

One difference quotient for each number that goes in gives the whole Jacobian, against which the
gradient of all outputs together and of each output alone is checked. The points keep away from
ties and zero rows, where the functions jump; exact zeros and ones elsewhere are planted.
"""

import chainer
import chainer.functions as F
import helpers
import numpy as np
import pytest
import reference
from helpers import Sizes

from lib.memory.bounds import Options

pytestmark = pytest.mark.usefixtures("backend")

SIZES = Sizes(X=2, Y=2, N=4, W=3, R=2, H=3)
T, B = 3, 1
STEP = 1e-5


def plain(model, sizes, state):
    return state


def planted(model, sizes, state):
    """Zeros and ones in usage, precedence, memory and the weightings."""
    state["usage"][:] = [0, 1, 0.3, 0.6]
    state["write_weights"][:] = [0, 0.3, 0, 0.2]
    state["precedence"][:] = [0.2, 0, 1, 0.5]
    state["memory"][:, 0] = [1, 0, 0]
    state["memory"][:, 2] = [0, -1, 1]
    state["read_weights"][:, 0] = [0, 0, 1, 0]
    state["read_weights"][:, 1] = [0.3, 0, 0, 0]
    return state


def planted_and_freed(model, sizes, state):
    """A location read with weight 1 at a free gate of 1: its retention and usage are exactly 0."""
    helpers.set_bias(model, sizes, free_gates=1000, erase=1000)
    state["read_weights"][:, 0] = [0, 0, 1, 0]
    state["read_weights"][:, 1] = [0.1, 0.2, 0.3, 0]
    return state


def gates_open(model, sizes, state):
    """Every written location is erased whole; the write goes where the content says."""
    helpers.set_bias(
        model, sizes, free_gates=-1000, erase=1000, allocation_gate=-1000, write_gate=1000
    )
    return state


def gates_shut(model, sizes, state):
    """Nothing is written or freed."""
    helpers.set_bias(
        model, sizes, free_gates=-1000, erase=-1000, allocation_gate=1000, write_gate=-1000
    )
    return state


def modes_one_hot(model, sizes, state):
    """Head 1 goes forward only, head 2 backward only."""
    helpers.set_bias(model, sizes, read_modes=[0, 0, 1000, 1000, 0, 0])
    return state


def allocated_whole(model, sizes, state):
    """Both gates of the write exactly 1, one location unused: a one-hot write (the rest ties)."""
    helpers.set_bias(model, sizes, allocation_gate=1000, write_gate=1000, free_gates=-1000)
    state["usage"][:] = [0.5, 0, 0.3, 0.7]
    state["write_weights"][:] = [0.1, 0, 0.2, 0.3]
    return state


def held_in_bounds(model, sizes, state):
    """Both options, the clip between the numbers of the cell state at every step."""
    model.options = Options(cell_clip=0.4, bounded_reads=True)
    return state


CASES = [(plant, K) for plant in (plain, planted, planted_and_freed, gates_open) for K in (0, 2)]
CASES += [(gates_shut, 0), (modes_one_hot, 2), (allocated_whole, 0), (plain, 1)]
CASES += [(held_in_bounds, 0), (held_in_bounds, 2)]


class Outputs:
    """All that the library returns, as one vector: a function of the arrays that go in, by name."""

    def __init__(self, model, sizes):
        self.model, self.sizes = model, sizes
        self.params = dict(model.namedparams())
        self.columns = []

    def run(self, arrays):
        """Variables in, variables out, both by name; parameters are replaced in the model."""
        for path, param in self.params.items():
            param.array = arrays[path]
        start = helpers.library_state(
            self.sizes, {field: arrays[field] for field in reference.FIELDS}, chainer.Variable
        )
        xs = chainer.Variable(arrays["xs"])
        self.model.set_state(start)
        ys = self.model.unroll(xs)
        final = self.model.get_state()
        ins = dict(self.params, xs=xs, **start._asdict())
        outs = dict(ys=ys, **final._asdict())
        ins["link"], outs["link"] = (helpers.differentiable_link(s) for s in (start, final))
        if self.sizes.sparse:
            self.columns.append(helpers.host(final.link[1]))
        return ins, outs

    def __call__(self, arrays):
        with chainer.no_backprop_mode():
            _, outs = self.run(arrays)
        return np.concatenate([outs[name].array.ravel() for name in sorted(outs)])


def jacobian(function, arrays):
    """By central differences, name of input -> (numbers out, numbers in)."""
    rows = {}
    for name, array in arrays.items():
        columns = []
        for index in np.ndindex(array.shape):
            if name == "link" and function.sizes.sparse and array[index] == 0:
                columns.append(None)  # not among the kept entries
                continue
            values = []
            for step in (STEP, -STEP):
                moved = array.copy()
                moved[index] += step
                values.append(function(dict(arrays, **{name: moved})))
            columns.append((values[0] - values[1]) / (2 * STEP))
        nothing = np.full_like(next(c for c in columns if c is not None), np.nan)
        rows[name] = np.stack([nothing if c is None else c for c in columns], axis=1)
    return rows


@pytest.mark.parametrize("plant, K", CASES, ids=lambda v: getattr(v, "__name__", v))
def test_every_gradient_is_numeric(plant, K):
    sizes = SIZES._replace(K=K)
    model = helpers.build(sizes, seed=5)
    state = plant(model, sizes, helpers.random_state(sizes, B, seed=6))
    arrays = {path: param.array for path, param in model.namedparams()}
    arrays.update(state, xs=helpers.inputs(sizes, B, T))
    function = Outputs(model, sizes)
    numeric = jacobian(function, arrays)
    for columns in function.columns:
        np.testing.assert_array_equal(columns, function.columns[0], "a point next to a tie")

    everything = sorted(("ys",) + reference.FIELDS)
    for wanted in [everything] + [[name] for name in everything]:
        check_one(function, arrays, numeric, wanted)


def check_one(function, arrays, numeric, wanted):
    """Gradients of a random sum of the outputs in ``wanted``; the others get none at all."""
    rng = np.random.default_rng(7)
    function.model.cleargrads()
    ins, outs = function.run(arrays)
    cotangents = {name: rng.normal(size=out.shape) for name, out in sorted(outs.items())}
    total = sum(F.sum(outs[name] * cotangents[name]) for name in wanted)
    total.backward()
    weights = np.concatenate([cotangents[name].ravel() * (name in wanted) for name in sorted(outs)])
    for name, rows in numeric.items():
        expected = (weights @ rows).reshape(arrays[name].shape)
        if name == "link" and function.sizes.sparse:
            columns = helpers.top_columns(arrays["link"], function.sizes.K)
            expected = np.take_along_axis(expected, columns, 2)
        got = helpers.gradient(ins[name])
        scale = 1 + np.abs(expected).max()
        np.testing.assert_allclose(
            got / scale, expected / scale, rtol=0, atol=1e-8, err_msg=f"{wanted} by {name}"
        )
