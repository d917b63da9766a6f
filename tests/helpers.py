"""Models, states and inputs; library and reference run on them, and all results compared."""

import functools
import typing

import chainer
import chainer.functions as F
import numpy as np
import reference
from chainer.backends import cuda

from lib import DNC


class Sizes(typing.NamedTuple):
    """The constructor's arguments, small enough for N^2 references and numeric gradients."""

    X: int = 2
    Y: int = 3
    N: int = 6
    W: int = 4
    R: int = 2
    H: int = 5
    K: int = 0

    @property
    def sparse(self):
        return 0 < self.K < self.N


def interface_rows(sizes):
    """Which rows of /controller/linear hold which part of the interface vector: name -> slice."""
    W, R = sizes.W, sizes.R
    parts = {
        "read_keys": W * R,
        "read_strengths": R,
        "write_key": W,
        "write_strength": 1,
        "erase": W,
        "write_vector": W,
        "free_gates": R,
        "allocation_gate": 1,
        "write_gate": 1,
        "read_modes": 3 * R,
    }
    rows, start = {}, sizes.Y
    for name, width in parts.items():
        rows[name] = slice(start, start + width)
        start += width
    return rows


def build(sizes, dtype=np.float64, seed=0, scale=0.6, **options):
    """A model whose parameters, biases too, are all random: nothing hides behind a zero."""
    with chainer.using_config("dtype", np.dtype(dtype)):
        model = DNC(sizes.X, sizes.Y, sizes.N, sizes.W, sizes.R, sizes.H, K=sizes.K, **options)
    rng = np.random.default_rng(seed)
    for _, param in sorted(model.namedparams()):
        param.array = rng.normal(0, scale, param.shape).astype(dtype)
    return model


def set_bias(model, sizes, **values):
    """Hold parts of the interface vector at a value, whatever the controller says."""
    linear = model.controller.linear
    W, b = linear.W.array.copy(), linear.b.array.copy()
    for name, value in values.items():
        rows = interface_rows(sizes)[name]
        W[rows] = 0
        b[rows] = value
    linear.W.array, linear.b.array = W, b


def inputs(sizes, B, T, dtype=np.float64, seed=1):
    return np.random.default_rng(seed).normal(size=(T, B, sizes.X)).astype(dtype)


def weighting(rng, *shape):
    """Random non-negative numbers that sum to less than 1 along the last axis."""
    v = rng.random(shape)
    return v / v.sum(-1, keepdims=True) * rng.uniform(0.3, 0.95, shape[:-1] + (1,))


def random_state(sizes, B, dtype=np.float64, seed=2):
    """A state that the model could be in, with no ties, as arrays; the link always as (B, N, N)."""
    N, W, R, H = sizes.N, sizes.W, sizes.R, sizes.H
    rng = np.random.default_rng(seed)
    link = rng.random((B, N, N)) * (1 - np.eye(N))
    link /= 1.1 * max(link.sum(1).max(), link.sum(2).max(), 1e-9)
    if sizes.sparse:
        columns = top_columns(link, sizes.K)
        link = densify(np.take_along_axis(link, columns, 2), columns, N)
    state = {
        "memory": rng.normal(size=(B, N, W)),
        "usage": rng.uniform(0.05, 0.95, (B, N)),
        "precedence": weighting(rng, B, N),
        "link": link,
        "write_weights": weighting(rng, B, N),
        "read_weights": weighting(rng, B, R, N),
        "read_vectors": rng.normal(size=(B, R * W)),
        "c": rng.normal(size=(B, H)),
        "h": rng.uniform(-0.9, 0.9, (B, H)),
    }
    return {field: array.astype(dtype) for field, array in state.items()}


def zero_state(sizes, B, dtype=np.float64):
    return reference.zero_state(B, sizes.N, sizes.W, sizes.R, sizes.H, dtype)


def random_cotangents(sizes, B, T, dtype=np.float64, seed=3):
    """One random gradient for the outputs and for every field of the final state."""
    rng = np.random.default_rng(seed)
    shapes = {field: array.shape for field, array in zero_state(sizes, B).items()}
    shapes["ys"] = (T, B, sizes.Y)
    return {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}


def top_columns(link, K):
    """The columns of each row's K highest entries, the lower column first among equals."""
    return np.argsort(-link, axis=-1, kind="stable")[..., :K].astype(np.int32)


def densify(values, columns, N):
    """The sparse link's pair as the (..., N, N) array that it stands for."""
    dense = np.zeros(values.shape[:-1] + (N,), values.dtype)
    index = np.indices(values.shape)[:-1]
    np.add.at(dense, tuple(index) + (columns,), values)
    return dense


def host(x):
    """The NumPy array of a Variable or of an array on any device."""
    x = x.array if isinstance(x, chainer.Variable) else x
    return cuda.to_cpu(x)


@functools.cache
def state_class(sizes, dtype=np.float64):
    """The library's state type, seen from outside: the class of what get_state() gives."""
    model = build(sizes, dtype)
    with chainer.no_backprop_mode():
        model(np.zeros((1, sizes.X), dtype))
    return type(model.get_state())


def library_state(sizes, state, wrap=np.array):
    """The same state as the library takes it, every array of numbers passed through ``wrap``."""
    fields = dict(state)
    link = fields.pop("link")
    if sizes.sparse:
        columns = top_columns(link, sizes.K)
        link = (wrap(np.take_along_axis(link, columns, 2)), columns)
    else:
        link = wrap(link)
    fields = {field: wrap(array) for field, array in fields.items()}
    return state_class(sizes, state["memory"].dtype)(link=link, **fields)


def dense_link(state):
    """The link of the library's state as a (B, N, N) NumPy array."""
    if isinstance(state.link, tuple):
        values, columns = host(state.link[0]), host(state.link[1])
        assert columns.dtype == np.int32
        return densify(values, columns, values.shape[1])
    return host(state.link)


def state_arrays(state):
    """The library's state as a dict of NumPy arrays, the link densified."""
    arrays = {field: host(getattr(state, field)) for field in reference.FIELDS if field != "link"}
    arrays["link"] = dense_link(state)
    return arrays


def differentiable_link(state):
    """The link's floating-point Variable: the matrix itself or the values of the sparse pair."""
    return state.link[0] if isinstance(state.link, tuple) else state.link


def weighted_sum(ys, state, cotangents):
    """The scalar to differentiate: cotangent * output, summed over what ``cotangents`` names."""
    total = 0
    for name, g in cotangents.items():
        if name == "ys":
            output = ys
        elif name == "link" and isinstance(state.link, tuple):
            output, g = state.link[0], np.take_along_axis(g, host(state.link[1]), 2)
        else:
            output = getattr(state, name)
        total += F.sum(output * output.xp.asarray(g))
    return total


def run_library(model, sizes, xs, state=None, cotangents=None, lengths=None):
    """Everything the library gives for these inputs, by name; ``state`` None is a reset model."""
    model.cleargrads()
    xs = chainer.Variable(model.xp.array(xs))
    start = None
    if state is None:
        model.reset_state()
    else:
        start = library_state(sizes, state, lambda a: chainer.Variable(model.xp.array(a)))
        model.set_state(start)
    ys = model.unroll(xs, lengths)
    final = model.get_state()
    results = {"ys": host(ys)}
    results.update({f"final {field}": array for field, array in state_arrays(final).items()})
    if cotangents is not None:
        weighted_sum(ys, final, cotangents).backward()
        results["gradient of xs"] = gradient(xs)
        for path, param in model.namedparams():
            results[f"gradient of {path}"] = gradient(param)
        if start is not None:
            for field in reference.FIELDS:
                v = differentiable_link(start) if field == "link" else getattr(start, field)
                results[f"gradient of {field}"] = gradient(v)
    return results


def run_reference(model, sizes, xs, state=None, cotangents=None, lengths=None, dtype=None):
    """The same from the reference in ``dtype``, with the parameters of the model."""
    dtype = np.dtype(dtype or model.read_out.W.dtype)
    params = {
        path: chainer.Variable(host(param).astype(dtype)) for path, param in model.namedparams()
    }
    xs = chainer.Variable(xs.astype(dtype))
    arrays = zero_state(sizes, xs.shape[1]) if state is None else state
    start = {field: chainer.Variable(array.astype(dtype)) for field, array in arrays.items()}
    with chainer.using_config("type_check", False):  # a fifth of the time
        options = dict(cell_clip=model.options.cell_clip, bounded_reads=model.options.bounded_reads)
        ys, final = reference.unroll(params, xs, start, sizes.K, lengths, **options)
    results = {"ys": ys.array}
    results.update({f"final {field}": v.array for field, v in final.items()})
    if cotangents is not None:
        total = sum(
            F.sum((ys if name == "ys" else final[name]) * g.astype(dtype))
            for name, g in cotangents.items()
        )
        total.backward()
        results["gradient of xs"] = gradient(xs)
        results.update({f"gradient of {path}": gradient(v) for path, v in params.items()})
        if state is not None:
            results.update({f"gradient of {field}": gradient(v) for field, v in start.items()})
            if sizes.sparse:
                columns = top_columns(state["link"], sizes.K)
                link = results["gradient of link"]
                results["gradient of link"] = np.take_along_axis(link, columns, 2)
    return results


def gradient(variable):
    """A Variable's gradient on the host; where nothing depends on it, zeros."""
    return (
        np.zeros(variable.shape, variable.dtype) if variable.grad is None else host(variable.grad)
    )


def assert_same(got, want, rtol=1e-9, atol=1e-13):
    """Every array of two dicts agrees to ``rtol`` of its largest number."""
    assert got.keys() == want.keys()
    wrong = []
    for name, expected in want.items():
        assert got[name].shape == expected.shape, name
        if expected.size == 0:
            continue
        error, scale = np.abs(got[name] - expected).max(), np.abs(expected).max()
        if not error <= rtol * scale + atol:  # also catches NaN
            wrong.append(f"{name}: off by {error:.3g}, largest number {scale:.3g}")
    assert not wrong, "\n".join(wrong)


def assert_matches_reference(model, sizes, xs, state=None, lengths=None, **tolerance):
    """They agree, with random gradients coming in at the outputs and all of the final state."""
    T, B = xs.shape[:2]
    arguments = (model, sizes, xs, state, random_cotangents(sizes, B, T), lengths)
    assert_same(run_library(*arguments), run_reference(*arguments), **tolerance)
