"""``cupy.ndarray`` on a NumPy array: refuses what CuPy refuses, poisons what is not yet written."""

import numpy as np

from . import devices
from .events import note

DTYPES = "?bBhHiIlLqQefdFD"
PLAIN = (bool, int, float, complex, np.generic, str, np.dtype, type, slice, type(None), type(...))
UFUNCS = {}  # by name, those of the module


def unwrap(x, what):
    """The NumPy array in an argument, or the argument where it is no array; else TypeError."""
    if isinstance(x, ndarray):
        if x._device != devices.current():
            raise ValueError(
                f"{what}: Array device must be same as the current device: "
                f"array device = {x._device} while current = {devices.current()}"
            )
        return x._a
    if isinstance(x, PLAIN) and not isinstance(x, np.ndarray):
        return x
    raise TypeError(f"{what}: Unsupported type {type(x)}")


def wrap(a, device=None):
    """An array on the current device, or another, of what NumPy gave."""
    if not isinstance(a, (np.ndarray, np.generic)):
        return a
    array = object.__new__(ndarray)
    array._a = np.asarray(a)
    if array._a.dtype.char not in DTYPES:
        raise ValueError(f"Unsupported dtype {array._a.dtype}")
    array._device = devices.current() if device is None else device
    return array


def garbage(shape, dtype=float, order="C"):
    """An array as CuPy allocates it: full of what was there before, which is no number here."""
    a = np.empty(shape, dtype or float, order or "C")
    kind = a.dtype.kind
    a.fill(np.nan if kind in "fc" else np.iinfo(a.dtype).max // 3 if kind in "iu" else True)
    return a


class ndarray:  # noqa: N801
    """See the module; methods that are functions too are added by ``functions.py``."""

    __array_priority__ = 100
    __slots__ = ("_a", "_device", "__weakref__")
    __hash__ = None

    def __new__(cls, shape, dtype=float, memptr=None, strides=None, order="C"):
        return wrap(garbage(shape, dtype, order))

    # NumPy may not touch it.

    def __array__(self, *args, **kwargs):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct "
            "a NumPy array explicitly."
        )

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if method != "__call__" or ufunc.__name__ not in UFUNCS:
            raise TypeError(f"numpy.{ufunc.__name__}.{method} on a CuPy array")
        if ufunc.__name__ in COMPARED.values():  # as CuPy has it: NumPy made an array of a scalar
            inputs = [x.item() if isinstance(x, np.ndarray) and x.ndim == 0 else x for x in inputs]
        return UFUNCS[ufunc.__name__](*inputs, **kwargs)  # which refuses NumPy arrays

    def __array_function__(self, func, types, args, kwargs):
        raise TypeError(f"numpy.{func.__name__} on a CuPy array (CuPy takes some, this none)")

    # What the host knows without asking.

    dtype = property(lambda self: self._a.dtype)
    ndim = property(lambda self: self._a.ndim)
    size = property(lambda self: self._a.size)
    nbytes = property(lambda self: self._a.nbytes)
    itemsize = property(lambda self: self._a.itemsize)
    strides = property(lambda self: self._a.strides)
    flags = property(lambda self: self._a.flags)
    base = property(lambda self: self._a.base)
    device = property(lambda self: devices.Device(self._device))
    T = property(lambda self: wrap(self._a.T, self._device))
    shape = property(lambda self: self._a.shape, lambda self, s: setattr(self._a, "shape", s))
    data = property(lambda self: type("Pointer", (), {"ptr": self._a.ctypes.data})())

    def __len__(self):
        return len(self._a)

    def __iter__(self):
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    # What makes the host wait.

    def _read(self, what):
        note("wait", what)
        note("download", what)
        return self._a

    def _scalar(self, what):
        if self.size != 1:
            raise ValueError("only an array of one element can be converted to a scalar")
        return self._read(what).item()

    def get(self, stream=None, order="C", out=None, blocking=True):
        a = self._read("get").copy(order)
        if out is None:
            return a
        out[...] = a
        return out

    def item(self):
        return self._scalar("item")

    def tolist(self):
        return self._read("tolist").tolist()

    def __bool__(self):
        return bool(self._scalar("bool"))

    def __int__(self):
        return int(self._scalar("int"))

    def __float__(self):
        return float(self._scalar("float"))

    def __complex__(self):
        return complex(self._scalar("complex"))

    def __index__(self):
        return self._scalar("index").__index__()

    def __format__(self, spec):
        return format(self._read("format"), spec)

    def __repr__(self):
        return repr(self._read("repr"))

    def __reduce__(self):
        return unpickled, (self.get(),)

    def __deepcopy__(self, memo):
        with devices.device_of(self):
            return self.copy()

    def set(self, arr, stream=None):
        if not isinstance(arr, np.ndarray) or arr.dtype != self.dtype or arr.shape != self.shape:
            raise TypeError("set() takes a NumPy array of this dtype and shape")
        note("upload", "set")
        self._a[...] = arr

    # Indexing.

    def _index(self, index, reading):
        plain = []
        for i in index if isinstance(index, tuple) else (index,):
            if isinstance(i, (list, np.ndarray)):
                note("upload", "an index on the host")
                i = wrap(np.asarray(i))
            if isinstance(i, ndarray) and i.dtype.kind == "b":
                note("wait", "mask read" if reading else "mask write")
            elif isinstance(i, ndarray) and i.dtype.kind not in "iu":
                raise IndexError("arrays used as indices must be of integer (or boolean) type")
            plain.append(unwrap(i, "index"))
        return tuple(plain)

    def __getitem__(self, index):
        plain = self._index(index, True)
        if any(isinstance(i, np.ndarray) for i in plain):
            note("launch", "gather")
            return wrap(unwrap(self, "index")[plain])
        return wrap(self._a[plain], self._device)

    def __setitem__(self, index, value):
        if isinstance(value, np.ndarray):
            raise TypeError("a NumPy array assigned to a part of a CuPy array")
        plain, into = self._index(index, False), unwrap(self, "assignment")
        value = unwrap(value, "assignment")
        if any(isinstance(i, np.ndarray) and i.dtype.kind != "b" for i in plain):
            hits = np.zeros(self.shape, np.int64)
            np.add.at(hits, plain, 1)
            if hits.max(initial=0) > 1:
                raise ValueError("an index twice in an assignment: on a GPU either may win")
        if into[plain].size:
            note("launch", "assignment")
        into[plain] = value

    # What has a way of its own in CuPy.

    def reshape(self, *shape, order="C", **kwargs):
        if kwargs and not (set(kwargs) == {"copy"} and ndarray.takes_copy):
            raise TypeError(f"reshape() got an unexpected keyword argument {sorted(kwargs)}")
        a = self._a.reshape(*shape, order=order)
        if a.size and not np.shares_memory(a, self._a):
            note("copy", "reshape")
            note("launch", "reshape")
            return wrap(a)
        return wrap(a, self._device)

    takes_copy = True

    def transpose(self, *axes):
        return wrap(self._a.transpose(*axes), self._device)

    def view(self, dtype=None, type=None):
        return wrap(self._a.view() if dtype is None else self._a.view(dtype), self._device)

    def fill(self, value):
        note("launch", "fill")
        unwrap(self, "fill").fill(unwrap(value, "fill"))

    def copy(self, order="C"):
        """On the current device, whichever this array is on."""
        note("launch", "copy")
        return wrap(self._a.copy(order))

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        if not copy and self.dtype == dtype:
            return self
        note("launch", "astype")
        return wrap(unwrap(self, "astype").astype(dtype, order=order))


def unpickled(a):
    """What was pickled, on the current device."""
    note("upload", "unpickled")
    return wrap(a)


def operator(name, reverse=False, inplace=False):
    """The method of an operator, by way of the ufunc of that name."""

    def method(self, other):
        if other is None or isinstance(other, (str, list, tuple)):
            return NotImplemented
        if inplace:
            return UFUNCS[name](self, other, out=self)
        return UFUNCS[name](other, self) if reverse else UFUNCS[name](self, other)

    return method


BINARY = {"add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide"}
BINARY |= {"floordiv": "floor_divide", "mod": "remainder", "pow": "power", "matmul": "matmul"}
BINARY |= {"and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor"}
COMPARED = {"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal"}
COMPARED |= {"eq": "equal", "ne": "not_equal"}
UNARY = {"neg": "negative", "invert": "invert", "abs": "absolute", "pos": "positive"}

for python, ufunc in BINARY.items():
    setattr(ndarray, f"__{python}__", operator(ufunc))
    setattr(ndarray, f"__r{python}__", operator(ufunc, reverse=True))
    if python != "matmul":
        setattr(ndarray, f"__i{python}__", operator(ufunc, inplace=True))
for python, ufunc in COMPARED.items():
    setattr(ndarray, f"__{python}__", operator(ufunc))
for python, ufunc in UNARY.items():
    setattr(ndarray, f"__{python}__", lambda self, name=ufunc: UFUNCS[name](self))
