"""Add up a sequence of digits."""

import numpy as np

from .contract import Task, number_errors


class Addition(Task):
    """Digits come in one by one; at the delimiter their sum is wanted.

    n digits, n uniform in 2…max_seq_len, each uniform in 0…max_seq_wid−2. A digit d is a row
    with a 1 in column d; the last column marks the delimiter. Y = 1, T = n + 1.

    The sum 2 + 0 + 4 (n = 3, max_seq_wid = 6):

        input          target
        0 0 1 0 0 0    0         2
        1 0 0 0 0 0    0         0
        0 0 0 0 1 0    0         4
        0 0 0 0 0 1    6         delimiter: the sum

    A test at length L adds n = L digits.
    """

    name = "addition"
    least_seq_len = 2
    least_seq_wid = 2
    least_test_len = 1
    least_drawn_n = 2

    @property
    def output_width(self):
        """1, the sum."""
        return 1

    def size(self, seq_len):
        """The number of digits."""
        return seq_len

    def draw(self, rng, n):
        """Draw the digits and add them up."""
        digits = rng.integers(0, self.max_seq_wid - 1, size=n)
        x = np.zeros((n + 1, self.input_width), dtype=np.float32)
        x[np.arange(n), digits] = 1
        x[n, -1] = 1
        y = np.zeros((n + 1, 1), dtype=np.float32)
        y[n] = digits.sum()
        return x, y

    def answer(self, rows):
        """The last row, where the sum stands."""
        return slice(rows - 1, rows)

    def score(self, outputs, targets):
        """Mean absolute and squared error of the sum; the zeros before it do not count."""
        rows = self.answer(len(outputs))
        return number_errors(outputs[rows], targets[rows])

    def in_words(self, x):
        """The sum in words: "2 + 0 + 4 = 6"."""
        digits = x[:-1].argmax(axis=1)
        return f"{' + '.join(map(str, digits))} = {digits.sum()}"
