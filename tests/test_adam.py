"""lib.Adam against Chainer's: the same numbers, bit by bit, hooks and snapshots."""

import chainer
import chainer.links as L
import numpy as np
import pytest
from chainer import optimizer_hooks, serializers

from lib import Adam

pytestmark = pytest.mark.usefixtures("backend")

SETTINGS = [
    {},
    {"alpha": 0.1, "beta1": 0.5, "beta2": 0.7, "eps": 1e-3},
    {"eta": 0.5, "weight_decay_rate": 0.1},
    {"amsgrad": True},
    {"adabound": True},
]


def linear(dtype):
    with chainer.using_config("dtype", dtype):
        link = L.Linear(7, 5)
    link.W.array[...] = np.random.default_rng(0).normal(size=(5, 7))
    return link


def train(optimizer, link, steps, hook=None, seed=1):
    optimizer.setup(link)
    if hook is not None:
        optimizer.add_hook(hook)
    update(optimizer, link, steps, seed)


def update(optimizer, link, steps, seed=1):
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        for param in link.params():
            param.grad = rng.normal(size=param.shape).astype(param.dtype)
        optimizer.update()


def assert_identical(one, other):
    for (path, a), (_, b) in zip(sorted(one.namedparams()), sorted(other.namedparams())):
        np.testing.assert_array_equal(a.array, b.array, err_msg=path)
        assert a.update_rule.t == b.update_rule.t
        for key, value in b.update_rule.state.items():
            np.testing.assert_array_equal(a.update_rule.state[key], value, err_msg=path + key)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_the_same_numbers(settings, dtype):
    links = linear(dtype), linear(dtype)
    train(Adam(**settings), links[0], 20)
    train(chainer.optimizers.Adam(**settings), links[1], 20)
    assert_identical(*links)
    assert np.abs(links[0].W.array - linear(dtype).W.array).max() > 1e-4


@pytest.mark.parametrize("Hook", [optimizer_hooks.WeightDecay, optimizer_hooks.GradientClipping])
def test_hooks(Hook):
    links = linear(np.float32), linear(np.float32)
    train(Adam(), links[0], 5, Hook(0.1))
    train(chainer.optimizers.Adam(), links[1], 5, Hook(0.1))
    assert_identical(*links)


def test_snapshots_of_one_load_into_the_other(tmp_path):
    file = tmp_path / "optimizer.npz"
    for One, Other in ((Adam, chainer.optimizers.Adam), (chainer.optimizers.Adam, Adam)):
        first, second = linear(np.float32), linear(np.float32)
        one, other = One(), Other().setup(second)
        train(one, first, 3)
        serializers.save_npz(file, one)
        serializers.load_npz(file, other)
        second.copyparams(first)
        update(one, first, 3, seed=2)
        update(other, second, 3, seed=2)
        assert_identical(first, second)


def test_disabled_and_missing_gradients():
    link = linear(np.float32)
    optimizer = Adam().setup(link)
    link.b.update_rule.enabled = False
    before = link.W.array.copy(), link.b.array.copy()
    link.W.grad, link.b.grad = None, np.ones(5, "f")
    optimizer.update()
    np.testing.assert_array_equal(link.W.array, before[0])
    np.testing.assert_array_equal(link.b.array, before[1])


def test_arrays_that_are_not_contiguous():
    links = linear(np.float32), linear(np.float32)
    for link, One in zip(links, (Adam, chainer.optimizers.Adam)):
        optimizer = One().setup(link)
        link.b.grad = np.ones(5, "f")
        link.W.grad = np.asfortranarray(np.random.default_rng(3).normal(size=(5, 7)).astype("f"))
        optimizer.update()
    assert_identical(*links)


def test_an_epsilon_that_vanishes_is_refused_as_by_chainer():
    link = linear(np.float32)
    with pytest.raises((ValueError, AttributeError)):
        train(Adam(eps=1e-50), link, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "settings",
    [
        {"beta2": np.float32(0.999)},
        {"alpha": np.array(0.01), "beta1": np.float64(0.9)},
        {"weight_decay_rate": np.float64(0.1)},
        {"alpha": np.array([0.01])},
    ],
    ids=str,
)
def test_hyperparameters_that_are_numbers_of_numpy(settings, dtype):
    links = linear(dtype), linear(dtype)
    train(Adam(**settings), links[0], 5)
    train(chainer.optimizers.Adam(**settings), links[1], 5)
    assert_identical(*links)


@pytest.mark.parametrize("shape", [(4, 7), (6, 8), (1,)])
def test_means_of_another_shape_are_refused_as_by_chainer(shape):
    """As from the snapshot of a smaller model: they must not be written beyond their ends."""
    link = linear(np.float32)
    optimizer = Adam()
    train(optimizer, link, 1)
    link.W.update_rule.state["m"] = np.zeros(shape, "f")
    with pytest.raises(ValueError, match="broadcast"):
        update(optimizer, link, 1)


def test_a_parameter_that_is_read_only_is_refused_as_by_chainer():
    link = linear(np.float32)
    optimizer = Adam()
    train(optimizer, link, 1)
    link.W.array.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        update(optimizer, link, 1)
