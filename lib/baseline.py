"""The controller without a memory, to compare with."""

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np


class LSTMBaseline(chainer.Chain):
    """An LSTM and a linear layer on its output, unrolled like a DNC.

    B is the batch size, T the number of time steps.

    Args:
        X: input width.
        Y: output width.
        lstm_hidden_dim: LSTM units, H.
        gpu: device ordinal, or -1 for the CPU.
    """

    def __init__(self, X, Y, lstm_hidden_dim, gpu=-1):
        super().__init__()
        with self.init_scope():
            self.lstm = L.LSTM(X, lstm_hidden_dim)
            self.linear = L.Linear(lstm_hidden_dim, Y)
        if gpu >= 0:
            self.to_device(f"@cupy:{gpu}")

    def reset_state(self):
        """Go back to the zero state."""
        self.lstm.reset_state()

    def forward(self, x):
        """One step: x (B, X) → y (B, Y)."""
        return self.linear(self.lstm(x))

    def unroll(self, xs, lengths=None):
        """A whole sequence: xs (T, B, X) → ys (T, B, Y).

        With lengths (B ints in 0…T) outputs after a sequence's end are 0. The state is that after
        the last of the T steps for every sequence, so reset it before the next batch.
        """
        hs = F.stack([self.lstm(x) for x in xs])
        ys = self.linear(hs, n_batch_axes=2)
        if lengths is None or min(lengths) == len(xs):
            return ys
        running = np.arange(len(xs))[:, None, None] < np.asarray(lengths)[None, :, None]
        mask = self.device.send(np.broadcast_to(running, ys.shape).astype(ys.dtype))
        return ys * mask
