"""The values of one sequence in plain Python floats, location by location, from the equations.

A second opinion on ``reference.py``: no array library, no shared code, no gradients. A state is a
dict of nested lists with the names of ``reference.FIELDS``, the link always N lists of N numbers.
"""

import math


def unroll(params, xs, state, kept=0):
    """xs: T lists of X numbers -> T lists of Y numbers, and the state after the last of them."""
    ys = []
    for x in xs:
        y, state = step(params, state, x, kept)
        ys.append(y)
    return ys, state


def step(params, state, x, kept=0):
    N, W, R = len(state["memory"]), len(state["memory"][0]), len(state["read_weights"])
    Y = len(params["/read_out/b"])
    c, h = lstm(params, list(x) + list(state["read_vectors"]), state["c"], state["h"])
    out = affine(params["/controller/linear/W"], h, params["/controller/linear/b"])
    nu, xi = out[:Y], out[Y:]

    def take(n):
        head = xi[:n]
        del xi[:n]
        return head

    read_keys = [take(W) for _ in range(R)]
    read_strengths = [oneplus(v) for v in take(R)]
    write_key = take(W)
    write_strength = oneplus(take(1)[0])
    erase = [sigmoid(v) for v in take(W)]
    vector = take(W)
    free = [sigmoid(v) for v in take(R)]
    allocation_gate = sigmoid(take(1)[0])
    write_gate = sigmoid(take(1)[0])
    modes = [softmax(take(3)) for _ in range(R)]
    assert not xi

    u = []
    for i in range(N):
        before, written = state["usage"][i], state["write_weights"][i]
        value = before + written - before * written
        for r in range(R):
            value *= 1 - free[r] * state["read_weights"][r][i]
        u.append(value)

    a = [0.0] * N
    product = 1.0
    for i in sorted(range(N), key=lambda i: (u[i], i)):
        a[i] = (1 - u[i]) * product
        product *= u[i]

    content = content_weighting(state["memory"], write_key, write_strength)
    w = [
        write_gate * (allocation_gate * a[i] + (1 - allocation_gate) * content[i]) for i in range(N)
    ]
    memory = [
        [state["memory"][i][d] * (1 - w[i] * erase[d]) + w[i] * vector[d] for d in range(W)]
        for i in range(N)
    ]
    link = linkage(state["link"], w, state["precedence"], kept)
    precedence = [(1 - sum(w)) * state["precedence"][i] + w[i] for i in range(N)]

    read_weights, read_vectors = [], []
    for r in range(R):
        last = state["read_weights"][r]
        content = content_weighting(memory, read_keys[r], read_strengths[r])
        now = []
        for i in range(N):
            forward = sum(link[i][j] * last[j] for j in range(N))
            backward = sum(link[j][i] * last[j] for j in range(N))
            now.append(modes[r][0] * backward + modes[r][1] * content[i] + modes[r][2] * forward)
        read_weights.append(now)
        read_vectors += [sum(memory[i][d] * now[i] for i in range(N)) for d in range(W)]

    read_out = affine(params["/read_out/W"], read_vectors, params["/read_out/b"])
    return [nu[k] + read_out[k] for k in range(Y)], {
        "memory": memory,
        "usage": u,
        "precedence": precedence,
        "link": link,
        "write_weights": w,
        "read_weights": read_weights,
        "read_vectors": read_vectors,
        "c": c,
        "h": h,
    }


def linkage(previous, w, p, kept):
    N = len(w)
    K = kept if 0 < kept < N else N
    rows, columns = highest(w, K), highest(p, K)
    link = []
    for i in range(N):
        entries = []
        for j in range(N):
            value = 0.0
            if i != j:
                value = (1 - w[i] - w[j]) * previous[i][j]
                if i in rows and j in columns:
                    value += w[i] * p[j]
            entries.append(value)
        stay = highest(entries, K)
        link.append([value if j in stay else 0.0 for j, value in enumerate(entries)])
    return link


def highest(values, K):
    """The indices of the K highest values; of equal ones the lower index first."""
    return set(sorted(range(len(values)), key=lambda i: (-values[i], i))[:K])


def content_weighting(memory, key, strength):
    return softmax([strength * cosine(location, key) for location in memory])


def cosine(a, b):
    norms = math.sqrt(sum(v * v for v in a)) * math.sqrt(sum(v * v for v in b))
    return sum(x * y for x, y in zip(a, b)) / norms if norms > 0 else 0.0


def lstm(params, inputs, c, h):
    """The layout of L.LSTM: the four of a unit stand together: candidate, input, forget, output."""
    upward = affine(
        params["/controller/lstm/upward/W"], inputs, params["/controller/lstm/upward/b"]
    )
    lateral = affine(params["/controller/lstm/lateral/W"], h, [0.0] * len(upward))
    gates = [up + side for up, side in zip(upward, lateral)]
    new_c, new_h = [], []
    for k in range(len(c)):
        candidate, enter, forget, leave = gates[4 * k : 4 * k + 4]
        new_c.append(sigmoid(forget) * c[k] + sigmoid(enter) * math.tanh(candidate))
        new_h.append(sigmoid(leave) * math.tanh(new_c[-1]))
    return new_c, new_h


def affine(matrix, vector, bias):
    return [sum(m * v for m, v in zip(line, vector)) + b for line, b in zip(matrix, bias)]


def sigmoid(v):
    return 1 / (1 + math.exp(-v)) if v >= 0 else math.exp(v) / (1 + math.exp(v))


def oneplus(v):
    return 1 + max(v, 0.0) + math.log1p(math.exp(-abs(v)))


def softmax(values):
    highest_value = max(values)
    exps = [math.exp(v - highest_value) for v in values]
    return [v / sum(exps) for v in exps]
