"""The floor: the work that no implementation can do without, and nothing besides.

What counts, for a sequence of batch 1 in float32:

- each step, four products of a vector with the controller's weights: forward [W_r | W_h] (the
  upward weights of the read vectors and the lateral ones, side by side) and the linear layer,
  backward their transposes;
- each step, the passes over the memory: forward a read of M_{t-1} for the write key, M_t written
  from M_{t-1}, a read of M_t for the read keys, and one for the read vectors; backward the
  counterpart of each, and one product that gathers what they add to the gradient of the memory;
- once a sequence, the gradients of the two weight matrices, one product each;
- once a sequence, one pass of Adam over all parameters: the compiled one where Numba is installed.

All of it is BLAS or one NumPy call into arrays made beforehand. What does not count: the LSTM cell,
softmax, allocation, links, norms, the input, biases, Python objects, Chainer's graph. The numbers
are random; nothing is learnt.
"""

import numpy as np

from lib.kernels.backends import numba_problem

HAS_NUMBA = numba_problem() is None


class Floor:
    """The arrays, made once; a call does the work of one training iteration."""

    def __init__(self, sizes, parameters):
        rng = np.random.default_rng(0)

        def random(*shape):
            return 0.01 * rng.standard_normal(shape, dtype=np.float32)

        T, N, W, R, H = sizes.T, sizes.N, sizes.W, sizes.R, sizes.H
        O, I = sizes.Y + W * R + 3 * W + 5 * R + 3, R * W + H  # noqa: E741
        self.T, self.R, self.W = T, R, W
        self.gates_W, self.linear_W = random(4 * H, I), random(O, H)
        self.g_gates_W, self.g_linear_W = random(4 * H, I), random(O, H)
        self.inputs, self.hs = random(T, I), random(T, H)  # [r_{t-1} ; h_{t-1}] and h_t
        self.zs, self.outs = random(T, 4 * H), random(T, O)
        self.g_zs, self.g_outs = random(T, 4 * H), random(T, O)
        self.g_inputs, self.g_hs = random(T, I), random(T, H)
        self.memories = random(T + 1, N, W)
        self.g_memory, self.gathered = random(N, W), random(N, W)
        self.keep = np.ones((N, W), np.float32)  # below 1, the numbers would soon be subnormal
        self.key, self.keys, self.vectors = random(W), random(R, W), random(R, W)
        self.similarity, self.weights = random(N), random(R, N)
        self.to_key, self.to_keys, self.to_vectors = random(W), random(R, W), random(R, W)
        self.to_similarity, self.to_weights = random(N), random(R, N)
        self.coefficients, self.all_keys = random(N, 2 * R + 2), random(2 * R + 2, W)
        self.flat = [random(parameters) for _ in range(3)] + [random(parameters) ** 2]

    def __call__(self):
        for t in range(self.T):
            self.forward(t)
        for t in reversed(range(self.T)):
            self.backward(t)
        np.dot(self.g_zs.T, self.inputs, out=self.g_gates_W)
        np.dot(self.g_outs.T, self.hs, out=self.g_linear_W)
        adam(*self.flat)

    def forward(self, t):
        """Two products with weights, four passes over the memory."""
        before, after = self.memories[t], self.memories[t + 1]
        np.dot(self.gates_W, self.inputs[t], out=self.zs[t])
        np.dot(self.linear_W, self.hs[t], out=self.outs[t])
        np.dot(before, self.key, out=self.to_similarity)
        np.multiply(before, self.keep, out=after)
        np.dot(self.keys, after.T, out=self.to_weights)
        np.dot(self.weights, after, out=self.to_vectors)

    def backward(self, t):
        """The transposed products, and the counterparts of the passes."""
        before, after = self.memories[t], self.memories[t + 1]
        np.dot(self.vectors, after.T, out=self.to_weights)
        np.dot(self.weights, after, out=self.to_keys)
        np.multiply(self.g_memory, self.keep, out=self.g_memory)
        np.dot(self.similarity, before, out=self.to_key)
        np.dot(self.coefficients, self.all_keys, out=self.gathered)
        np.dot(self.g_outs[t], self.linear_W, out=self.g_hs[t])
        np.dot(self.g_zs[t], self.gates_W, out=self.g_inputs[t])


def adam(parameter, gradient, m, v):
    """One pass of Adam, in place: by the project's loop, or by NumPy in eight calls."""
    if HAS_NUMBA:
        from lib.kernels.adam_pass import update

        settings = map(np.float32, (1e-4, 0.1, 0.001, 1e-8, 1.0, 1.0))
        update(parameter, gradient, m, v, *settings)
        return
    m += np.float32(0.1) * (gradient - m)
    v += np.float32(0.001) * (gradient * gradient - v)
    parameter -= np.float32(1e-4) * m / (np.sqrt(v) + np.float32(1e-8))


def floor(sizes):
    """A callable that does the floor of one training iteration at these sizes, at batch 1."""
    O = sizes.Y + sizes.W * sizes.R + 3 * sizes.W + 5 * sizes.R + 3  # noqa: E741
    reads, H = sizes.R * sizes.W, sizes.H
    gates = 4 * H * (sizes.X + reads + H + 1)
    return Floor(sizes, gates + O * (H + 1) + sizes.Y * (reads + 1))
