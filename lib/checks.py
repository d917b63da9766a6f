"""Argument checks: what is wrong is said before anything is computed."""

import numbers
import operator

import chainer
import numpy as np
from chainer.backends import cuda
from chainer.utils import size_of_shape
from numpy.ma import MaskedArray

from . import compat
from .memory.sparse_linkage import SparseLink
from .state import State

MOST_NUMBERS = 2**60


def integer(name, value, least):
    """``value`` as an int of at least ``least``; else TypeError or ValueError."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer of at least {least}, not {value!r}") from None
    if number < least:
        raise ValueError(f"{name} must be an integer of at least {least}, not {number}")
    return number


def limit(name, value, dtype):
    """``value`` as a float that is positive and finite in ``dtype``, or None."""
    if value is None:
        return None
    allowed = f"{name} must be None or a number, positive and finite in {dtype.name}"
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(f"{allowed}, not {value!r}")
    with np.errstate(all="ignore"):
        try:
            rounded = dtype.type(float(value))
        except OverflowError:  # an integer beyond all floats
            rounded = np.inf
    if not 0 < rounded < np.inf:
        raise ValueError(f"{allowed}, not {value!r}")
    return float(value)


def flag(name, value):
    """``value`` as a bool; else TypeError."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return bool(value)


def holdable(*numbers, **sizes):
    """Check that 64-bit machines can address this many numbers, which come of these sizes."""
    if max(numbers) >= MOST_NUMBERS:
        given = ", ".join(f"{name}={size}" for name, size in sizes.items())
        raise ValueError(f"no machine holds the {max(numbers)} numbers of {given}")


def device(gpu):
    """The ordinal of a usable CUDA device, or -1."""
    gpu = integer("gpu", gpu, least=-1)
    problem = compat.cuda_problem(gpu) if gpu >= 0 else None
    if problem is not None:
        raise ValueError(f"gpu={gpu} cannot be used (-1 is the CPU): {problem}")
    return gpu


def configured_dtype():
    """``chainer.config.dtype`` where it is float32 or float64."""
    dtype = chainer.get_dtype()
    if dtype not in (np.float32, np.float64):
        raise TypeError(
            f"chainer.config.dtype must be float32 or float64 for a DNC, not {dtype.name}"
        )
    return dtype


def data_of(name, value):
    """The data of an array or Variable; else TypeError."""
    data = value.array if isinstance(value, chainer.Variable) else value
    unfit = isinstance(data, (np.matrix, MaskedArray))
    if unfit or not isinstance(data, (np.ndarray, cuda.ndarray)):
        raise TypeError(
            f"{name} must be a NumPy or CuPy array or a Variable of one, not {type(data).__name__}"
        )
    return data


def array(name, value, dtype):
    """The data of an array or Variable of ``dtype``; else TypeError."""
    data = data_of(name, value)
    if data.dtype != dtype:
        found = data.dtype.name if data.dtype.isnative else data.dtype.str
        cast = f'{name}.astype("{dtype.name}")'
        if isinstance(value, chainer.Variable):
            cast = f'chainer.functions.cast({name}, "{dtype.name}")'
        raise TypeError(f"{name} must be of dtype {dtype.name}, not {found}: give {cast}")
    return data


def same_device(name, data, model):
    """Check that an array lies where the model does."""
    found = chainer.backend.get_device_from_array(data)
    if found != model.device:
        raise ValueError(
            f"{name} must be on the model's device {model.device}, not on {found}: "
            "move one of them with to_device()"
        )


def inputs(name, xs, axes, model):
    """Inputs with the named axes, the last two batch and width, checked against a model.

    More axes at the end are flattened into the width, as ``chainer.links.Linear`` does.
    """
    data = array(name, xs, model.dtype)
    same_device(name, data, model)
    shape = xs.shape
    wanted = f"({', '.join(axes)})"
    if xs.ndim < len(axes):
        raise ValueError(f"{name} must have the {len(axes)} axes {wanted}, not shape {shape}")
    *times, B, X = leading = (*shape[: len(axes) - 1], size_of_shape(shape[len(axes) - 1 :]))
    if 0 in times:
        raise ValueError(f"{name} {wanted} must have at least one step, not shape {shape}")
    if model.X not in (None, X) or X == 0:
        allowed = "at least 1" if model.X is None else model.X
        raise ValueError(f"{name} {wanted} must have a width X of {allowed}, not shape {shape}")
    kept = model.batch_size
    if kept is not None and B > kept:
        raise ValueError(
            f"the batch of {name} {wanted} must not grow: the state has {kept} sequences, "
            f"{name} has {B}; call reset_state() before a larger batch"
        )
    return xs if shape == leading else xs.reshape(leading)


def lengths(values, T, B):
    """The steps of each of B sequences of at most T, as an array (B,) of ints; None: all have T."""
    if values is None:
        return None
    allowed = f"lengths must be {B} integers in 0…{T}, one for each sequence"
    values = as_index(values, allowed)
    if values.size > 0 and values.dtype.kind not in "iu":
        raise TypeError(f"{allowed}, not of dtype {values.dtype}")
    if values.shape != (B,):
        raise ValueError(f"{allowed}, not an array of shape {values.shape}")
    if ((values < 0) | (values > T)).any():
        raise ValueError(f"{allowed}, not {values.tolist()}")
    return values.astype(int)


def as_index(values, allowed):
    """What may be a list of integers as a NumPy array; ``allowed`` says what they must be.

    A Boolean among integers would become 0 or 1, and what a mask hides would show.
    """
    if isinstance(values, MaskedArray):
        raise TypeError(f"{allowed}, not a MaskedArray")
    if isinstance(values, (list, tuple)) and any(map(is_boolean, values)):
        raise TypeError(f"{allowed}, not {values!r}")
    try:
        return cuda.to_cpu(values) if isinstance(values, cuda.ndarray) else np.asarray(values)
    except ValueError:  # lists of unequal lengths
        raise ValueError(f"{allowed}, not {values!r}") from None


def is_boolean(value):
    """Whether this is True or False, of Python or NumPy."""
    return isinstance(value, bool) or getattr(value, "dtype", None) is np.dtype(bool)


def state(values, model):
    """Nine fields, arrays or Variables or None, as a :class:`State`; None where all are None.

    The fields stay as they are: what is checked is their type, dtype and shape.
    """
    values = as_state(values, model.sparse)
    given = {name: value for name, value in named_fields(values) if value is not None}
    if not given:
        return None
    for name, value in given.items():
        if name == "link.columns":
            data_of(f"state.{name}", value)
        else:
            array(f"state.{name}", value, model.dtype)
    B = next(iter(given.values())).shape[:1]
    for name, shape in named_fields(model.state_shapes(*B or (1,))):
        if name in given and given[name].shape != tuple(shape):
            raise ValueError(
                f"state.{name} must have the shape {tuple(shape)}, not {given[name].shape}"
            )
    if model.sparse:
        link_columns(values.link, model.sizes.N)
    return values


def as_state(values, sparse):
    """``values`` as a :class:`State`, a sparse link in it as a :class:`SparseLink`."""
    names = ", ".join(State._fields)
    if not isinstance(values, (tuple, list)):
        raise TypeError(
            f"state must be None or the fields {names}, not {type(values).__name__} "
            "(c and h alone: set_state(c, h), neither of them None)"
        )
    if len(values) != len(State._fields):
        raise ValueError(f"state must have the fields {names}, not {len(values)} values")
    values = State(*values)
    if not sparse:
        if isinstance(values.link, (tuple, list)):
            raise TypeError("state.link must be one array where K = 0 or K >= N, not a pair")
        return values
    link = (None, None) if values.link is None else values.link
    if not isinstance(link, (tuple, list)) or len(link) != 2:
        raise TypeError("state.link must be the pair of values and columns where 0 < K < N")
    return values._replace(link=SparseLink(*link))


def named_fields(values):
    """The fields of a :class:`State` with their names, those of a sparse link one by one."""
    for name, field in zip(State._fields, values):
        if isinstance(field, SparseLink):
            yield from ((f"link.{part}", value) for part, value in zip(field._fields, field))
        else:
            yield name, field


def link_columns(link, N):
    """Check that each row of a sparse link has integer columns in 0…N-1, all different."""
    if (link.values is None) != (link.columns is None):
        raise ValueError("state.link must have both values and columns, or neither")
    if link.columns is None:
        return
    columns = link.columns.array if isinstance(link.columns, chainer.Variable) else link.columns
    if columns.dtype.kind not in "iu":
        raise TypeError(f"state.link.columns must be of dtype int32, not {columns.dtype.name}")
    if columns.size == 0:
        return
    with chainer.using_device(chainer.backend.get_device_from_array(columns)):
        least, most = int(columns.min()), int(columns.max())
    if least < 0 or most >= N:
        raise ValueError(f"state.link.columns must be in 0…{N - 1}, not {least}…{most}")
