"""Sort rows of random bits by a priority."""

import numpy as np

from .contract import Task, bit_errors


class PrioritySort(Task):
    """Items come in one by one; after the delimiter they are wanted by ascending priority.

    n−1 items, n uniform in 2…max_seq_len//2. An item's row holds its priority, uniform in
    [−1, 1], in column 0, random bits in the columns between, and 0 in the last; then the
    delimiter row, then n zero rows. Y = max_seq_wid − 2, T = 2n.

    Two items (n = 3, max_seq_wid = 4):

        input          target
         0.5 1 0 0     0 0
        -0.3 1 1 0     0 0
         0   0 0 1     0 0    delimiter
         0   0 0 0     0 0
         0   0 0 0     1 1    the item of priority -0.3
         0   0 0 0     1 0    the item of priority  0.5

    A test at length L sorts n−1 items, n = L//2.
    """

    name = "priority_sort"
    least_seq_len = 4
    least_seq_wid = 3
    least_test_len = 4
    least_drawn_n = 2

    @property
    def output_width(self):
        """The bits of an item."""
        return self.max_seq_wid - 2

    def size(self, seq_len):
        """One more than the number of items."""
        return seq_len // 2

    def draw(self, rng, n):
        """Draw the items and sort them."""
        # Rounded before they are sorted: the order asked for is the order of the numbers shown.
        priorities = rng.uniform(-1, 1, size=n - 1).astype(np.float32)
        bits = rng.integers(0, 2, size=(n - 1, self.output_width))
        x = np.zeros((2 * n, self.input_width), dtype=np.float32)
        x[: n - 1, 0] = priorities
        x[: n - 1, 1:-1] = bits
        x[n - 1, -1] = 1
        y = np.zeros((2 * n, self.output_width), dtype=np.float32)
        y[n + 1 :] = bits[np.argsort(priorities, kind="stable")]
        return x, y

    def answer(self, rows):
        """The n rows after the delimiter: one zero row, then the n−1 items."""
        return slice(rows // 2, rows)

    def score(self, outputs, targets):
        """Wrong bits over the n rows after the delimiter, all columns, rounded at 0.5."""
        rows = self.answer(len(outputs))
        return bit_errors(outputs[rows], targets[rows])
