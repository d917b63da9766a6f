"""The functions of the module ``cupy``, those that a real one has, on arrays of ``array.py``."""

import inspect

import numpy as np

from . import devices
from .array import UFUNCS, garbage, ndarray, unwrap, wrap
from .events import note

VIEWS = ["broadcast_to", "diagonal", "expand_dims", "moveaxis", "ravel", "rollaxis", "squeeze"]
VIEWS += ["swapaxes", "transpose"]
WITHOUT_LAUNCH = [*VIEWS, "empty", "empty_like", "broadcast_arrays", "result_type", "can_cast"]
WITHOUT_LAUNCH += ["isscalar", "issubdtype", "ndim", "shape", "size", "reshape", "asarray"]
ARRAY_METHODS = "all any argmax argmin argsort clip conj cumprod cumsum diagonal dot flatten max"
ARRAY_METHODS += " mean min prod ravel repeat round sort squeeze std sum swapaxes take trace var"


class Signatures:
    """Refuses arguments that a function of the real CuPy does not take.

    Args:
        parameters: by name, as in a ``def`` with None for each default; None: not known.
    """

    def __init__(self, parameters):
        self._found = {name: self._parse(text) for name, text in parameters.items() if text}

    def _parse(self, text):
        space = {}
        exec(f"def f({text}): pass", space)
        return inspect.signature(space["f"])

    def check(self, name, args, kwargs):
        if name in self._found:
            try:
                self._found[name].bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"cupy.{name}: {error}") from None


def inner(x, name):
    """What NumPy gets for an argument."""
    if isinstance(x, (list, tuple)):
        return type(x)(inner(each, name) for each in x)
    return unwrap(x, name)


def call_numpy(function, name, args, kwargs):
    """A NumPy function on the contents of CuPy arrays."""
    out = kwargs.pop("out", None)
    kwargs = {k: inner(v, name) for k, v in kwargs.items()}
    result = function(*(inner(a, name) for a in args), **kwargs)
    if name not in WITHOUT_LAUNCH:
        note("launch", name)
    if out is None:
        device = args[0]._device if name in VIEWS and isinstance(args[0], ndarray) else None
        if isinstance(result, (list, tuple)):
            return type(result)(wrap(part, device) for part in result)
        return wrap(result, device)
    into = unwrap(out, name)
    if not np.can_cast(result.dtype, into.dtype, "same_kind"):
        raise TypeError(f"cupy.{name}: output (typecode {into.dtype.char!r}) could not be coerced")
    into[...] = result
    return out


def ufunc(name):
    """An element-wise function."""
    numpys = getattr(np, name)

    def call(*args, **kwargs):
        if set(kwargs) - {"out", "dtype", "casting", "where"}:
            raise TypeError(f"cupy.{name}: wrong arguments {sorted(kwargs)}")
        if len(args) > numpys.nin:
            *args, kwargs["out"] = args
        if isinstance(kwargs.get("out"), tuple):
            (kwargs["out"],) = kwargs["out"]
        if name == "matmul":
            copy_operands(args)
        return call_numpy(numpys, name, args, kwargs)

    call.__name__ = name
    return call


def copy_operands(args):
    """Batched products copy what is not contiguous, others what is so in neither order."""
    batched = max(a.ndim for a in args) > 2
    for a in args:
        if not (a.flags.c_contiguous or (a.flags.f_contiguous and not batched)):
            note("copy", "matmul")
            note("launch", "copy for matmul")


def array(obj, dtype=None, copy=True, order="K", subok=None, ndmin=0, **kwargs):
    if isinstance(obj, ndarray):
        note("launch", "array")
        return wrap(np.array(obj._a, dtype, order=order))
    if isinstance(obj, (list, tuple)) and any(isinstance(x, ndarray) for x in obj):
        return stack(obj)
    note("upload", "array")
    return wrap(np.array(obj, dtype, order=order, ndmin=ndmin))


def asarray(a, dtype=None, order=None, **kwargs):
    if isinstance(a, ndarray):
        return a if dtype is None or a.dtype == dtype else a.astype(dtype)
    return array(a, dtype)


def ascontiguousarray(a, dtype=None):
    if isinstance(a, ndarray) and a.flags.c_contiguous and dtype in (None, a.dtype):
        return a
    note("launch", "ascontiguousarray")
    return wrap(np.ascontiguousarray(unwrap(a, "ascontiguousarray"), dtype))


def empty(shape, dtype=float, order="C"):
    return wrap(garbage(shape, dtype, order))


def empty_like(prototype, dtype=None, order="K", subok=None, shape=None):
    return wrap(garbage(prototype.shape if shape is None else shape, dtype or prototype.dtype))


def joined(name):
    """``concatenate`` or ``stack``: the pointers of many arrays are uploaded."""

    def call(tup, axis=0, out=None, **kwargs):
        if len(tup) > 8:
            note("upload", f"{name} of more than 8 arrays")
        return call_numpy(getattr(np, name), name, [list(tup)], {"axis": axis, "out": out})

    return call


def sorting(name, waits):
    def call(a, axis=-1, kind=None):
        if kind not in (None, "stable"):
            raise ValueError("kind can only be None or 'stable'")
        note("sort", name)
        if waits:
            note("wait", f"{name} of this CuPy")
        return call_numpy(getattr(np, name), name, [a], {"axis": axis, "kind": "stable"})

    return call


def bincount(x, weights=None, minlength=None):
    note("wait", "bincount: (x < 0).any()")
    note("wait", "bincount: int(max(x))")
    return call_numpy(np.bincount, "bincount", [x, weights, minlength or 0], {})


def nonzero(a):
    note("wait", "nonzero")
    return call_numpy(np.nonzero, "nonzero", [a], {})


def where(condition, x=None, y=None):
    if x is None:
        return nonzero(condition)
    return call_numpy(np.where, "where", [condition, x, y], {})


def einsum(*operands, **kwargs):
    if set(kwargs) - {"dtype", "optimize"}:
        raise TypeError(f"Did not understand the following kwargs: {sorted(kwargs)}")
    return call_numpy(np.einsum, "einsum", operands, kwargs)


def scan(name):
    def call(a, axis=None, dtype=None, out=None):
        return call_numpy(getattr(np, name), name, [a], {"axis": axis, "dtype": dtype, "out": out})

    return call


def copyto(dst, src, casting="same_kind", where=None):
    note("launch", "copyto")
    where = True if where is None else unwrap(where, "copyto")
    with devices.device_of(dst):
        np.copyto(unwrap(dst, "copyto"), unwrap(src, "copyto"), casting, where=where)


def scatter_add(a, index, value):
    note("launch", "scatter_add")
    np.add.at(unwrap(a, "scatter_add"), a._index(index, False), unwrap(value, "scatter_add"))


def add_at(a, index, b):
    """``cupy.add.at``."""
    scatter_add(a, index, b)


stack = joined("stack")
SPECIAL = {
    "array": array,
    "asarray": asarray,
    "asanyarray": asarray,
    "ascontiguousarray": ascontiguousarray,
    "bincount": bincount,
    "concatenate": joined("concatenate"),
    "copyto": copyto,
    "cumprod": scan("cumprod"),
    "cumsum": scan("cumsum"),
    "einsum": einsum,
    "empty": empty,
    "empty_like": empty_like,
    "nonzero": nonzero,
    "stack": stack,
    "where": where,
}


def build(names):
    """All functions of the recorded CuPy by name; the methods of its arrays are set."""
    special = dict(SPECIAL)
    for name in ("argsort", "sort"):
        special[name] = sorting(name, waits=int(names["version"].split(".")[0]) < 14)
    signatures, methods = Signatures(names["functions"]), Signatures(names["methods"])
    built = {name: ufunc(name) for name in names["ufuncs"] if hasattr(np, name)}
    built["add"].at = add_at
    built["matmul"] = ufunc("matmul")
    UFUNCS.update(built, true_divide=ufunc("true_divide"))
    for name in names["functions"].keys() - built.keys():
        call = special.get(name) or numpys(name)
        built[name] = checked(call, name, signatures)
    for name in ARRAY_METHODS.split():
        setattr(ndarray, name, checked(built.get(name) or numpys(name), name, methods))
    ndarray.takes_copy = "copy" in names["methods"]["reshape"]
    return built


def numpys(name):
    return lambda *args, **kwargs: call_numpy(getattr(np, name), name, args, kwargs)


def checked(call, name, signatures):
    def function(*args, **kwargs):
        signatures.check(name, args, kwargs)
        return call(*args, **kwargs)

    function.__name__ = name
    return function
