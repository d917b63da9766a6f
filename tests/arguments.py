"""Arguments drawn at random, right and wrong, and what is to become of the wrong ones."""

import contextlib
import fractions

import chainer
import hypothesis.strategies as st
import numpy as np

# What looks like an integer, or like nothing at all.
ODD = st.sampled_from(
    [None, True, False, np.True_, "3", "", b"3", 2.0, 2.5, float("nan"), float("inf"), -0.0, 3j]
    + [[3], (3,), {}, {3}, object(), int, np.float32(3), np.array([3]), np.array(2.0)]
    + [fractions.Fraction(3), np.datetime64("2020"), np.array("3"), chainer.Variable()]
)
HUGE = st.sampled_from([2**60, 2**62, 2**63, 10**20, 10**400])


def integers(least, most):
    """Integers in these bounds in all of the forms that are accepted."""
    forms = st.sampled_from([int, np.int8, np.uint64, np.int64, np.array])
    return st.builds(lambda n, form: form(n), st.integers(least, most), forms)


@contextlib.contextmanager
def refused_unless(right, *names):
    """What runs inside succeeds where that is right; else a message has all of these names in it.

    It comes with a ValueError or a TypeError itself, as Chainer's and NumPy's are often neither,
    or say nothing of the argument.
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        assert type(error) in (ValueError, TypeError), repr(error)
        assert not right, f"refused: {error}"
        assert all(name in str(error) for name in names), f"no {names}: {error}"
    else:
        assert right, "accepted"


FORMS = st.sampled_from(
    ["plain"] * 3
    + ["fortran", "strided", "reversed", "read-only", "Variable", "broadcast"]
    + ["memoryview", "list", "masked", "big-endian", "subclass"]
)
RIGHT_FORMS = ("plain", "fortran", "strided", "reversed", "read-only", "Variable", "broadcast")
DTYPES = st.sampled_from(["f4"] * 8 + ["f8", "f2", "g", "i4", "?", "O", "c8", "U1", "M8[s]", "V4"])


def numbers(shape, dtype, seed=0):
    """Random numbers of this dtype, or zeros where it holds none."""
    if np.dtype(dtype).kind not in "fcO":
        return np.zeros(shape, dtype)
    return np.random.default_rng(seed).uniform(0, 0.9, shape).astype(dtype)


def in_form(array, form):
    """The same numbers laid out in another way, or as another object."""
    if array.ndim == 0 or array.dtype.kind not in "f":
        return array
    if form == "strided":
        wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
        wide[..., ::2] = array
        return wide[..., ::2]
    if form == "broadcast":  # all rows the same, in one place
        return np.broadcast_to(array[:1] if len(array) else array, array.shape)
    array.flags.writeable = form != "read-only"
    forms = {
        "fortran": np.asfortranarray,
        "reversed": lambda a: a[::-1].copy()[::-1],
        "Variable": chainer.Variable,
        "memoryview": memoryview,
        "list": np.ndarray.tolist,
        "masked": np.ma.array,
        "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
        "subclass": lambda a: a.view(np.recarray),
    }
    return forms.get(form, lambda a: a)(array)


def array_of(value):
    """The array of what :func:`in_form` gives where it may be accepted: float32, as it is."""
    data = value.array if isinstance(value, chainer.Variable) else value
    known = isinstance(data, np.ndarray) and not isinstance(data, np.ma.MaskedArray)
    return data if known and data.dtype == "f4" and data.dtype.isnative else None
