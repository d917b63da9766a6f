"""Repeat a sequence of random bits."""

import numpy as np

from .contract import Task, bit_errors


class Repeat(Task):
    """Rows of bits come in one by one; after the delimiter they are wanted again, in order.

    n rows of random bits in all columns but the last, n uniform in 1…max_seq_len//2; then the
    delimiter row, then n zero rows. Y = max_seq_wid, T = 2n + 1.

    Two rows (n = 2, max_seq_wid = 4):

        input      target
        1 0 1 0    0 0 0 0
        0 1 1 0    0 0 0 0
        0 0 0 1    0 0 0 0    delimiter
        0 0 0 0    1 0 1 0
        0 0 0 0    0 1 1 0

    A test at length L repeats n = L//2 rows.
    """

    name = "repeat"
    least_seq_len = 2
    least_seq_wid = 2
    least_test_len = 2
    least_drawn_n = 1

    @property
    def output_width(self):
        """As many columns as the input."""
        return self.max_seq_wid

    def size(self, seq_len):
        """The number of rows to repeat."""
        return seq_len // 2

    def draw(self, rng, n):
        """Draw the rows and write them twice."""
        bits = rng.integers(0, 2, size=(n, self.max_seq_wid - 1))
        x = np.zeros((2 * n + 1, self.input_width), dtype=np.float32)
        x[:n, :-1] = bits
        x[n, -1] = 1
        y = np.zeros_like(x)
        y[n + 1 :, :-1] = bits
        return x, y

    def answer(self, rows):
        """The n rows after the delimiter."""
        return slice(rows // 2 + 1, rows)

    def score(self, outputs, targets):
        """Wrong bits over the n rows after the delimiter, all columns, rounded at 0.5."""
        rows = self.answer(len(outputs))
        return bit_errors(outputs[rows], targets[rows])
