"""``ElementwiseKernel``, ``ReductionKernel``, ``RawModule``: their CUDA C++ runs, on the CPU."""

import re

import numpy as np

from . import emulate
from .array import ndarray, wrap
from .array import unwrap as contents
from .events import note

# In CuPy these are numbers of the loop, or of what stands in front of it.
LOOP = """
{preamble}
extern "C" __attribute__((visibility("default")))
void run(long long n, char** arrays) {{
  {types}
  struct {{ long long size() const {{ return n_; }} long long n_; }} _ind = {{n}};
  {raw}
  for (long long i = 0; i < n; i++) {{
    {each}
    {operation};
  }}
}}
"""
FOLD = """
{preamble}
extern "C" __attribute__((visibility("default")))
void run(long long n, long long width, char** arrays) {{
  {types}
  for (long long row = 0; row < n; row++) {{
    auto total = ({reduced_type})({identity});
    for (long long column = 0; column < width; column++) {{
      long long i = row * width + column;
      {each}
      {reduced_type} a = total, b = ({reduced_type})({mapped});
      total = {reduced};
    }}
    {reduced_type} a = total;
    {out_type}& {out} = (({out_type}*)arrays[{last}])[row];
    {post};
  }}
}}
"""
PARAMETER = re.compile(r"\s*(raw\s+)?(\w+)\s+(\w+)\s*")
C_NAMES = {"?": "bool", "b": "signed char", "B": "unsigned char", "i": "int", "I": "unsigned"}
C_NAMES |= {"l": "long", "q": "long long", "L": "unsigned long", "f": "float", "d": "double"}
C_NAMES |= {"h": "short", "H": "unsigned short", "Q": "unsigned long long"}
NAMED = {name: np.dtype(name) for name in ("float32", "float64", "int32", "int64", "uint8", "bool")}


class Parameter:
    """``[raw] T x`` of a kernel."""

    def __init__(self, text):
        raw, self.type, self.name = PARAMETER.fullmatch(text).groups()
        self.raw = raw is not None


def parameters(text):
    return [Parameter(part) for part in text.split(",") if part.strip()]


class Loop:
    """What both kinds of kernel made of expressions have in common."""

    def __init__(self, in_params, out_params, name, preamble=""):
        self.inputs, self.outputs = parameters(in_params), parameters(out_params)
        self.name, self.preamble = name, preamble

    def bind(self, given):
        """The dtype of each type letter; arrays come before numbers, as in CuPy."""
        dtypes = dict(NAMED)
        both = list(zip([*self.inputs, *self.outputs], given))
        for parameter, value in both:
            if isinstance(value, ndarray):
                if dtypes.setdefault(parameter.type, value.dtype) != value.dtype:
                    raise TypeError(f"{self.name}: type {parameter.type} is of two dtypes")
        for parameter, value in both:
            if not isinstance(value, ndarray):
                dtypes.setdefault(parameter.type, np.asarray(value).dtype)
        return dtypes

    def types(self, dtypes):
        letters = [p.type for p in [*self.inputs, *self.outputs] if p.type not in NAMED]
        lines = [f"typedef {C_NAMES[dtypes[t].char]} {t};" for t in dict.fromkeys(letters)]
        return " ".join(lines)

    def c_type(self, parameter, dtypes):
        return C_NAMES[dtypes[parameter.type].char]

    def declare(self, dtypes, number, parameter, const):
        kind = self.c_type(parameter, dtypes)
        if parameter.raw:
            return f"{kind}* {parameter.name} = ({kind}*)arrays[{number}];"
        return (
            f"{'const ' if const else ''}{kind}& {parameter.name} = (({kind}*)arrays[{number}])[i];"
        )


def run(source, arrays, *sizes):
    """Call the ``run`` of a source on the addresses of arrays."""
    library = emulate.build((emulate.HERE / "cpu_cuda.h").read_text() + source, ("-O0",))
    pointers = (emulate.ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays))
    library.run(*(emulate.ctypes.c_longlong(size) for size in sizes), pointers)


class ElementwiseKernel(Loop):
    """``cupy.ElementwiseKernel``."""

    def __init__(
        self, in_params, out_params, operation, name="kernel", reduce_dims=True, preamble="", **rest
    ):
        super().__init__(in_params, out_params, name, preamble)
        self.operation = operation

    def __call__(self, *args, size=None, **kwargs):
        if len(args) not in (len(self.inputs), len(self.inputs) + len(self.outputs)):
            raise TypeError(f"{self.name}: wrong number of arguments")
        dtypes = self.bind(args)
        every = [*self.inputs, *self.outputs]
        values = [contents(a, self.name) for a in args]
        plain = [np.asarray(v) for v, p in zip(values, every) if not p.raw]
        shape = np.broadcast_shapes(*(a.shape for a in plain)) if size is None else (size,)
        for parameter in self.outputs[len(args) - len(self.inputs) :]:
            values.append(np.empty(shape, dtypes[parameter.type]))
        arrays = []
        for parameter, value in zip(every, values):
            a = np.asarray(value, dtypes[parameter.type])
            a = a if parameter.raw else np.broadcast_to(a, shape)
            arrays.append(np.array(a, order="C"))
        note("launch", self.name)
        run(self.source(dtypes, every), arrays, int(np.prod(shape, dtype=int)))
        outputs = values[len(self.inputs) :]
        for output, made in zip(outputs, arrays[len(self.inputs) :]):
            output[...] = made
        given = args[len(self.inputs) :] or [wrap(output) for output in outputs]
        return given[0] if len(given) == 1 else tuple(given)

    def source(self, dtypes, every):
        lines = [
            (p.raw, self.declare(dtypes, number, p, number < len(self.inputs)))
            for number, p in enumerate(every)
        ]
        return LOOP.format(
            preamble=self.preamble,
            types=self.types(dtypes),
            raw=" ".join(line for raw, line in lines if raw),
            each=" ".join(line for raw, line in lines if not raw),
            operation=self.operation,
        )


class ReductionKernel(Loop):
    """``cupy.ReductionKernel`` with one output, along one axis."""

    def __init__(
        self, in_params, out_params, map_expr, reduce_expr, post_map_expr, identity, name="reduce",
        reduce_type=None, preamble="", **rest,
    ):  # fmt: skip
        self.reduce_type = reduce_type
        super().__init__(in_params, out_params, name, preamble)
        self.expressions = map_expr, reduce_expr, post_map_expr, identity

    def __call__(self, *args, axis=None, keepdims=False, **kwargs):
        if kwargs or len(args) != len(self.inputs):
            raise TypeError(f"{self.name}: wrong arguments")
        dtypes = self.bind(args)
        arrays = np.broadcast_arrays(*(contents(a, self.name) for a in args))
        for parameter in self.outputs:
            dtypes.setdefault(parameter.type, arrays[0].dtype)
        axes = range(arrays[0].ndim) if axis is None else np.atleast_1d(axis) % arrays[0].ndim
        ends = range(-len(axes), 0)
        moved = [np.moveaxis(a, list(axes), list(ends)) for a in arrays]
        shape = moved[0].shape[: moved[0].ndim - len(axes)]
        width = int(np.prod(moved[0].shape[len(shape) :]))
        flat = [
            np.array(a, dtypes[p.type], order="C").reshape(*shape, width)
            for a, p in zip(moved, self.inputs)
        ]
        out = np.empty(shape, dtypes[self.outputs[0].type])
        note("launch", self.name)
        run(self.source(dtypes), [*flat, out], out.size, width)
        return wrap(np.expand_dims(out, tuple(axes)) if keepdims else out)

    def source(self, dtypes):
        mapped, reduced, post, identity = self.expressions
        (out,) = self.outputs
        declared = [self.declare(dtypes, n, p, True) for n, p in enumerate(self.inputs)]
        return FOLD.format(
            preamble=self.preamble,
            types=self.types(dtypes),
            each=" ".join(declared),
            out_type=self.c_type(out, dtypes),
            reduced_type=self.reduce_type or self.c_type(out, dtypes),
            out=out.name,
            identity=identity,
            mapped=mapped,
            reduced=reduced,
            post=post,
            last=len(self.inputs),
        )


class RawModule:
    """``cupy.RawModule`` of CUDA C++; every launch runs in the order ``schedule`` of threads."""

    schedule = 0

    def __init__(self, *, code=None, path=None, options=(), backend="nvrtc", **rest):
        if rest:  # a real one takes some more
            raise TypeError(f"RawModule: wrong arguments {sorted(rest)}")
        defines = tuple(option for option in options if option.startswith("-D"))
        self.library = emulate.build(emulate.translate(code), defines)

    def get_function(self, name):
        return RawKernel(self, name)


class RawKernel:
    """A kernel of a module."""

    def __init__(self, module, name):
        self.module, self.name = module, name
        self.max_dynamic_shared_size_bytes = 48 * 1024

    def __call__(self, grid, block, args, *, shared_mem=0):
        values = []
        for a in args:
            if isinstance(a, ndarray) and not a.flags.c_contiguous:
                raise ValueError(f"{self.name}: an array that is not contiguous, as an address")
            values.append(contents(a, self.name))
        if shared_mem > self.max_dynamic_shared_size_bytes:
            raise RuntimeError("CUDA_ERROR_INVALID_VALUE: too much shared memory")
        note("launch", self.name)
        emulate.launch(
            self.module.library, self.name, grid, block, values,
            shared=shared_mem, schedule=RawModule.schedule,
        )  # fmt: skip
