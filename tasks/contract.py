"""What every toy task offers: widths, sequences drawn one at a time or in batches, and a score.

Shapes: T rows (time steps) of one sequence, B sequences of a batch, X input columns, Y output
columns; n is the task's own measure of how much one sequence holds.
"""

import operator

import numpy as np


def check_integer(name, value, least, of=""):
    """Return `value` as an int, or raise a ValueError that names argument, given and allowed."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, (bool, np.bool_)) or number < least:
        raise ValueError(f"{name} must be an integer of at least {least}{of}, got {value!r}")
    return number


class Task:
    """One toy task: the sizes of its sequences, how to draw them, and how to score an answer.

    A task sets the class attributes below and defines `size`, `output_width`, `draw`, `answer`
    and `score`.

    Args:
        max_seq_len: drawn sequences hold up to this much; at least `least_seq_len`.
        max_seq_wid: number of input columns, the last of which marks the delimiter; at least
            `least_seq_wid`.

    Raises:
        ValueError: a size that is not an integer or is below the task's least.
    """

    name = ""
    least_seq_len = 1
    least_seq_wid = 1
    least_test_len = 1
    least_drawn_n = 1

    def __init__(self, max_seq_len=12, max_seq_wid=6):
        of = f" for {self.name}"
        self.max_seq_len = check_integer("max_seq_len", max_seq_len, self.least_seq_len, of)
        self.max_seq_wid = check_integer("max_seq_wid", max_seq_wid, self.least_seq_wid, of)

    @property
    def input_width(self):
        """X, the number of columns of an input."""
        return self.max_seq_wid

    @property
    def output_width(self):
        """Y, the number of columns of a target."""
        raise NotImplementedError

    def size(self, seq_len):
        """The n that goes with a length as the user counts it."""
        raise NotImplementedError

    def draw(self, rng, n):
        """Draw one sequence of the given n: x (T, X) and y (T, Y), float32."""
        raise NotImplementedError

    def answer(self, rows):
        """The slice of the rows that a test looks at, in a sequence of `rows` rows."""
        raise NotImplementedError

    def score(self, outputs, targets):
        """Score outputs against targets, both (T, B, Y), of B sequences of one length.

        Returns a dictionary of (B,) float64 arrays; their means are what a test prints.
        """
        raise NotImplementedError

    def in_words(self, x):
        """One line that says what the input x (T, X) asks, or None where a matrix says it best."""
        return None

    def test_size(self, test_seq_len):
        """The n of every sequence of a test at this length; ValueError below `least_test_len`."""
        of = f" for {self.name}"
        return self.size(check_integer("test_seq_len", test_seq_len, self.least_test_len, of))

    def sample(self, rng, n=None):
        """Draw one sequence.

        Args:
            rng: a numpy.random.Generator, the only source of randomness.
            n: fixed, or None to draw it uniformly from `least_drawn_n` to `size(max_seq_len)`,
                both included. A fixed n may lie beyond that range.

        Returns:
            x (T, X) and y (T, Y), both float32.

        Raises:
            TypeError: rng is not a numpy.random.Generator.
            ValueError: n is not an integer or is too small for the task.
        """
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"rng must be a numpy.random.Generator, got {type(rng).__name__}")
        if n is None:
            n = int(rng.integers(self.least_drawn_n, self.size(self.max_seq_len) + 1))
        else:
            n = check_integer("n", n, self.size(self.least_test_len), f" for {self.name}")
        return self.draw(rng, n)

    def sample_batch(self, rng, batch_size, n=None):
        """Draw `batch_size` sequences, one after the other, and stack them along axis 1.

        Args and errors are those of `sample`, and batch_size must be an integer of at least 1.

        Returns:
            xs (T, B, X) and ys (T, B, Y), float32, T being the longest sequence's rows and the
            others padded with zero rows at their end; lengths (B,), int64.
        """
        batch_size = check_integer("batch_size", batch_size, 1)
        pairs = [self.sample(rng, n) for _ in range(batch_size)]
        lengths = np.array([len(x) for x, _ in pairs], dtype=np.int64)
        xs = np.zeros((lengths.max(), batch_size, self.input_width), dtype=np.float32)
        ys = np.zeros((lengths.max(), batch_size, self.output_width), dtype=np.float32)
        for b, (x, y) in enumerate(pairs):
            xs[: len(x), b] = x
            ys[: len(y), b] = y
        return xs, ys, lengths


def number_errors(outputs, targets):
    """Score answers that are numbers: both (T, B, Y) → mean errors of each sequence, (B,)."""
    error = outputs.astype(np.float64) - targets
    return {
        "Mean absolute error": np.abs(error).mean(axis=(0, 2)),
        "Mean squared error": np.square(error).mean(axis=(0, 2)),
    }


def bit_errors(outputs, targets):
    """Score answers that are bits: both (T, B, Y) → shares of each sequence, (B,).

    An output above 0.5 counts as 1, any other as 0. A sequence is wholly right when none of its
    bits is wrong.
    """
    wrong = (outputs > 0.5) != (targets > 0.5)
    return {
        "Share of wrong bits": wrong.mean(axis=(0, 2)),
        "Share of wholly right sequences": (~wrong.any(axis=(0, 2))).astype(np.float64),
    }
