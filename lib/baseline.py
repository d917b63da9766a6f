"""The controller without a memory, to compare with."""

import chainer
import chainer.links as L
from chainer.links.rnn.lstm import LSTMBase

from . import checks
from .graph import lstm_sequence
from .graph.lstm_sequence import LSTMParameters, LSTMState
from .graph.node import Unroll
from .memory.bounds import Options


class LSTMBaseline(chainer.Chain):
    """An LSTM and a linear layer on its output, unrolled like a DNC: one node a sequence.

    What it is given is checked as by a DNC.

    B is the batch size, T the number of time steps.

    Args:
        X: input width.
        Y: output width.
        lstm_hidden_dim: LSTM units, H.
        gpu: device ordinal, or -1 for the CPU.
        cell_clip: as of a DNC.
    """

    def __init__(self, X, Y, lstm_hidden_dim, gpu=-1, *, cell_clip=None):
        sizes = {"X": X, "Y": Y, "lstm_hidden_dim": lstm_hidden_dim}
        X, Y, H = (checks.integer(name, n, least=1) for name, n in sizes.items())
        checks.holdable(4 * H * (X + H), H * Y, **sizes)
        gpu = checks.device(gpu)
        dtype = checks.configured_dtype()
        super().__init__()
        self.X = X
        self.dtype = dtype
        self.options = Options(checks.limit("cell_clip", cell_clip, dtype))
        self._state = None
        with self.init_scope():
            self.lstm = LSTMBase(X, H)
            self.linear = L.Linear(H, Y)
        if gpu >= 0:
            self.to_device(f"@cupy:{gpu}")

    def reset_state(self):
        """Go back to the zero state."""
        self._state = None

    @property
    def batch_size(self):
        """How many sequences the state has, None before the first step."""
        return None if self._state is None else len(self._state.h)

    def get_state(self):
        """The state after the last step, c and h (B, H), or None before the first."""
        return self._state

    def forward(self, x):
        """One step: x (B, X) → y (B, Y)."""
        x = checks.inputs("x", x, ("B", "X"), self)
        return self._advance(x)

    def unroll(self, xs, lengths=None):
        """A whole sequence: xs (T, B, X) → ys (T, B, Y).

        With lengths (B ints in 0…T) a sequence's state stops changing at its end, and its later
        outputs are 0.
        """
        xs = checks.inputs("xs", xs, ("T", "B", "X"), self)
        T, B, _ = xs.shape
        return self._advance(xs, checks.lengths(lengths, T, B))

    def _advance(self, xs, lengths=None):
        parameters = LSTMParameters(
            upward_W=self.lstm.upward.W,
            upward_b=self.lstm.upward.b,
            lateral_W=self.lstm.lateral.W,
            linear_W=self.linear.W,
            linear_b=self.linear.b,
        )
        state = self._zero_state(xs.shape[-2]) if self._state is None else self._state
        arrays = LSTMParameters(*(parameter.array for parameter in parameters))
        before = LSTMState(*(field.array for field in state))
        node = Unroll(lstm_sequence, arrays, self.options, before, lengths)
        ys, *state = node.apply((xs, *parameters, *state))
        self._state = LSTMState(*state)
        return ys

    def _zero_state(self, B):
        with chainer.using_device(self.device):
            zeros = self.xp.zeros((B, self.lstm.state_size), self.linear.W.dtype)
        zeros = chainer.as_variable(zeros)
        return LSTMState(zeros, zeros)
