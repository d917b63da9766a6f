"""The whole model in plain ``chainer.functions``, differentiated by Chainer's own autograd.

Written from the equations alone, one sequence at a time, sharing no code with ``lib``. It is slow
on purpose: the link matrix is always a dense (N, N) array, and the sparse variant is the same
array with 0/1 masks. Symbols are the paper's:

    X, Y: widths of input and output    H: units of the controller    K: entries kept per row
    N: memory locations                 W: numbers a location holds   R: read heads
"""

import chainer
import chainer.functions as F
import numpy as np

FIELDS = (
    "memory",
    "usage",
    "precedence",
    "link",
    "write_weights",
    "read_weights",
    "read_vectors",
    "c",
    "h",
)


def zero_state(B, N, W, R, H, dtype):
    """The state that every sequence starts from, as arrays, batch first, the link (B, N, N)."""
    shapes = {
        "memory": (B, N, W),
        "usage": (B, N),
        "precedence": (B, N),
        "link": (B, N, N),
        "write_weights": (B, N),
        "read_weights": (B, R, N),
        "read_vectors": (B, R * W),
        "c": (B, H),
        "h": (B, H),
    }
    return {field: np.zeros(shapes[field], dtype) for field in FIELDS}


def unroll(params, xs, state, kept=0, lengths=None, **options):
    """A batch of sequences: xs (T, B, X) -> ys (T, B, Y), and the state that each ends with.

    ``params`` maps the paths of the parameters to Variables, ``state`` the names in FIELDS. The
    ``options`` are those of :func:`controller`.
    """
    T, B = xs.shape[:2]
    ends = [T] * B if lengths is None else lengths
    runs = [
        _run(params, xs[:, b], {field: state[field][b] for field in FIELDS}, kept, end, options)
        for b, end in enumerate(map(int, ends))
    ]
    ys = F.stack([y for y, _ in runs], axis=1)
    return ys, {field: F.stack([final[field] for _, final in runs]) for field in FIELDS}


def _run(params, xs, state, kept, length, options):
    """One sequence; from ``length`` on the state stands still and the outputs are 0."""
    Y = params["/read_out/b"].size
    ys = []
    for t in range(len(xs)):
        if t < length:
            y, state = step(params, state, xs[t], kept, **options)
        else:
            y = chainer.Variable(np.zeros(Y, xs.dtype))
        ys.append(y)
    return F.stack(ys), state


def step(params, state, x, kept=0, **options):
    """One time step of one sequence, in the paper's order; no array here has a batch axis."""
    c, h = controller(params, x, state, **options)
    R, N = state["read_weights"].shape
    Y, W = params["/read_out/b"].size, state["memory"].shape[1]
    out = F.matmul(params["/controller/linear/W"], h) + params["/controller/linear/b"]
    nu, xi = out[:Y], interface(out[Y:], W, R)

    retention = 1
    for r in range(R):
        retention = retention * (1 - xi["free_gates"][r] * state["read_weights"][r])
    u, w = state["usage"], state["write_weights"]
    usage = (u + w - u * w) * retention

    content_write = content_weighting(state["memory"], xi["write_key"], xi["write_strength"])
    gate = xi["allocation_gate"]
    write = xi["write_gate"] * (gate * allocation(usage) + (1 - gate) * content_write)
    memory = state["memory"] * (1 - column(write) * row(xi["erase"])) + column(write) * row(
        xi["write_vector"]
    )
    link = linkage(state["link"], write, state["precedence"], kept)
    precedence = (1 - F.sum(write)) * state["precedence"] + write

    reads = []
    for r in range(R):
        last = state["read_weights"][r]
        backward, forward = F.matmul(link, last, transa=True), F.matmul(link, last)
        content_read = content_weighting(memory, xi["read_keys"][r], xi["read_strengths"][r])
        mode = xi["read_modes"][r]
        reads.append(mode[0] * backward + mode[1] * content_read + mode[2] * forward)
    read_vectors = F.concat([F.matmul(memory, w, transa=True) for w in reads], axis=0)
    y = nu + F.matmul(params["/read_out/W"], read_vectors) + params["/read_out/b"]
    return y, {
        "memory": memory,
        "usage": usage,
        "precedence": precedence,
        "link": link,
        "write_weights": write,
        "read_weights": F.stack(reads),
        "read_vectors": read_vectors,
        "c": c,
        "h": h,
    }


def controller(params, x, state, cell_clip=None, bounded_reads=False):
    """The LSTM on [x ; the read vectors of the last step]: the new (c, h)."""
    c, reads = state["c"], state["read_vectors"]
    if cell_clip is not None:
        c = F.clip(c, -cell_clip, cell_clip)
    if bounded_reads:
        reads = reads / F.broadcast_to(F.sqrt(1 + F.sum(reads * reads)), reads.shape)
    inputs = F.concat([x, reads], axis=0)
    gates = (
        F.matmul(params["/controller/lstm/upward/W"], inputs)
        + params["/controller/lstm/upward/b"]
        + F.matmul(params["/controller/lstm/lateral/W"], state["h"])
    )
    c, h = F.lstm(c[None], gates[None])
    return c[0], h[0]


def interface(xi, W, R):
    """Cut the interface vector of W*R + 3W + 5R + 3 numbers and bring each part into its range."""
    sizes = [W * R, R, W, 1, W, W, R, 1, 1, 3 * R]
    parts = F.split_axis(xi, np.cumsum(sizes)[:-1], axis=0)
    keys, strengths, write_key, write_strength, erase, vector, free, allocate, write, modes = parts
    return {
        "read_keys": F.reshape(keys, (R, W)),
        "read_strengths": 1 + F.softplus(strengths),
        "write_key": write_key,
        "write_strength": 1 + F.softplus(write_strength),
        "erase": F.sigmoid(erase),
        "write_vector": vector,
        "free_gates": F.sigmoid(free),
        "allocation_gate": F.sigmoid(allocate),
        "write_gate": F.sigmoid(write),
        "read_modes": F.softmax(F.reshape(modes, (R, 3)), axis=1),
    }


def content_weighting(memory, key, strength):
    """Softmax over locations of strength * cos(key, location); a zero one counts as cos 0."""
    squares, key_square = F.sum(memory * memory, axis=1), F.sum(key * key)
    zero = (squares.array == 0) | (key_square.array == 0)
    ones = np.ones_like(squares.array)
    # The root of 1 is taken where it would be of 0, so that no infinity reaches the gradient.
    norms = F.sqrt(F.where(zero, ones, squares)) * F.sqrt(
        F.where(zero, ones, F.broadcast_to(key_square, zero.shape))
    )
    cosine = F.where(zero, 0 * ones, F.sum(memory * row(key), axis=1) / norms)
    return F.softmax(strength * cosine, axis=0)


def allocation(usage):
    """a[i] = (1 - u[i]) * the product of the u[j] that come before u[i] in ascending order."""
    order = np.argsort(usage.array, kind="stable")
    rank = np.argsort(order, kind="stable")
    before = rank[:, None] < rank
    u = F.broadcast_to(column(usage), before.shape)
    product = 1
    # One by one: F.cumprod divides by its input, and the usage of an empty memory is 0.
    for factors in F.separate(F.where(before, u, np.ones_like(u.array))):
        product = product * factors
    return (1 - usage) * product


def linkage(link, write, precedence, kept):
    """L[i,j] <- (1 - w[i] - w[j]) L[i,j] + w[i] p[j], diagonal 0; p is the previous precedence."""
    N = len(write)
    K = kept if 0 < kept < N else N
    dtype = link.dtype
    off_diagonal = 1 - np.eye(N, dtype=dtype)
    new = np.outer(top(write.array, K), top(precedence.array, K)).astype(dtype)
    link = (1 - column(write) - row(write)) * link + new * column(write) * row(precedence)
    link = off_diagonal * link
    return np.stack([top(entries, K) for entries in link.array]).astype(dtype) * link


def top(values, K):
    """A mask of the K highest values; of equal ones the lower location first."""
    mask = np.zeros(len(values), bool)
    mask[np.argsort(-values, kind="stable")[:K]] = True
    return mask


def column(v):
    return F.expand_dims(v, 1)


def row(v):
    return F.expand_dims(v, 0)
