"""Single steps share one product for the gradients of the weights, whatever the graph is like."""

import chainer
import chainer.functions as F
import helpers
import numpy as np
import pytest
from helpers import Sizes

from lib import DNC
from lib.graph import sequence

pytestmark = pytest.mark.usefixtures("backend")
SIZES = Sizes(K=2)
T = 4
XS = helpers.inputs(SIZES, 2, T)


def stepped(model, xs):
    """Outputs of single steps (T, B, Y)."""
    return F.stack([model(x) for x in xs])


CALLS = stepped, DNC.unroll


def gradients(model):
    return {path: param.grad.copy() for path, param in sorted(model.namedparams())}


def compare(use, debug=False):
    """``use(model, call)`` comes to the same gradients with single steps and with sequences."""
    results = []
    for call in CALLS:
        model = helpers.build(SIZES)
        model.cleargrads()
        with chainer.using_config("debug", debug):
            use(model, call)
        results.append(gradients(model))
    helpers.assert_same(*results)


def test_two_losses_and_gradients_that_are_kept():
    """The second backward pass adds to the first, and takes nothing twice."""

    def use(model, call):
        ys = call(model, XS)
        F.sum(ys[0] ** 2).backward()
        F.sum(ys[-1]).backward()
        model.reset_state()
        F.sum(call(model, XS[:2])).backward()

    compare(use)


def test_truncated():
    def use(model, call):
        for part in (XS[:2], XS[2:]):
            loss = F.sum(call(model, part) ** 2)
            loss.backward()
            loss.unchain_backward()

    compare(use)


def test_weights_updated_between_steps():
    """Each step's gradient is that of the weights it was computed with."""

    def use(model, call):
        ys = call(model, XS[:2])
        for param in model.params():
            param.array = param.array + 0.1
        F.sum(ys * call(model, XS[2:])).backward()

    compare(use)


def test_debug_mode():
    compare(lambda model, call: F.sum(call(model, XS)).backward(), debug=True)


@pytest.mark.parametrize("name", ["lstm.lateral.W", "linear.b"])
def test_the_gradient_of_one_of_them(name):
    found = []
    for call in CALLS:
        model = helpers.build(SIZES)
        param = model.controller
        for part in name.split("."):
            param = getattr(param, part)
        (g,) = chainer.grad([F.sum(call(model, XS) ** 2)], [param])
        found.append({name: g.array})
    helpers.assert_same(*found)


def test_second_derivatives_are_refused():
    model = helpers.build(SIZES)
    weights = model.read_out.W
    (g,) = chainer.grad([F.sum(stepped(model, XS))], [weights], enable_double_backprop=True)
    with pytest.raises(NotImplementedError, match="second derivatives"):
        chainer.grad([F.sum(g**2)], [weights])


def test_all_steps_are_one_product(monkeypatch):
    counts, right = [], sequence.parameter_gradients
    monkeypatch.setattr(
        sequence,
        "parameter_gradients",
        lambda records: counts.append(len(records)) or right(records),
    )
    model = helpers.build(SIZES)
    model.cleargrads()
    F.sum(stepped(model, XS)).backward()
    assert counts == [T]
    assert np.isfinite(model.read_out.W.grad).all()
