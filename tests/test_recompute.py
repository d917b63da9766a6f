"""Running the steps twice gives the same numbers and keeps less."""

import tracemalloc

import chainer
import chainer.functions as F
import helpers
import numpy as np
import pytest
from helpers import Sizes

pytestmark = pytest.mark.usefixtures("backend")


def run(sizes, T, lengths, recompute):
    """Outputs, final state, and the gradient of parameters, inputs and the state before."""
    model = helpers.build(sizes)
    model.cleargrads()
    xs = chainer.Variable(helpers.inputs(sizes, 3, T))
    start = helpers.library_state(sizes, helpers.random_state(sizes, 3), chainer.Variable)
    model.set_state(start)
    ys = model.unroll(xs, lengths, recompute=recompute)
    final = model.get_state()
    helpers.weighted_sum(ys, final, helpers.random_cotangents(sizes, 3, T)).backward()
    results = {"ys": ys.array, **helpers.state_arrays(final)}
    results.update({f"gradient of {path}": p.grad for path, p in model.namedparams()})
    results["gradient of xs"] = xs.grad
    results["gradient of memory"] = start.memory.grad
    results["gradient of link"] = helpers.differentiable_link(start).grad
    return results


@pytest.mark.parametrize("T, lengths", [(1, None), (2, None), (7, None), (7, [3, 0, 7])])
@pytest.mark.parametrize("K", [0, 2])
def test_the_same_numbers(K, T, lengths):
    sizes = Sizes(K=K)
    helpers.assert_same(run(sizes, T, lengths, True), run(sizes, T, lengths, False))


def test_it_keeps_less():
    sizes = Sizes(N=64, W=32, R=1, H=4, K=2)
    model, xs = helpers.build(sizes), helpers.inputs(sizes, 1, 64)
    kept = {}
    with chainer.using_config("dnc_backend", "numpy"):  # whose memory Python can trace
        for recompute in (False, True):
            model.reset_state()
            model.cleargrads()
            tracemalloc.start()
            ys = model.unroll(xs, recompute=recompute)
            kept[recompute], _ = tracemalloc.get_traced_memory()
            F.sum(ys).backward()
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert recompute is False or peak < kept[False] / 2
    assert kept[True] < kept[False] / 4
    assert np.isfinite(model.read_out.W.grad).all()
