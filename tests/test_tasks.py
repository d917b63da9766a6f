"""The toy tasks against hand-worked examples, their drawn ranges, and their scores."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import TASKS, Addition, PrioritySort, Repeat, make_task, show

SEEDS = st.integers(0, 2**32)
NAMES = sorted(TASKS)


class Scripted(np.random.Generator):
    """A generator whose draws are written down beforehand, in the order they are asked for."""

    def __init__(self, *draws):
        super().__init__(np.random.PCG64(0))
        self.draws = list(draws)

    def integers(self, low, high=None, size=None, **kwargs):
        draw = np.asarray(self.draws.pop(0))
        assert np.all(draw >= low) and np.all(draw < high)
        assert draw.shape == (() if size is None else np.empty(size).shape)
        return draw

    def uniform(self, low, high, size=None):
        draw = np.asarray(self.draws.pop(0))
        assert (low, high) == (-1, 1) and draw.shape == (size,)
        return draw


def test_addition_by_hand():
    x, y = Addition(12, 6).sample(Scripted(3, [2, 0, 4]))
    np.testing.assert_array_equal(
        x,
        [
            [0, 0, 1, 0, 0, 0],
            [1, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 1, 0],
            [0, 0, 0, 0, 0, 1],
        ],
    )
    np.testing.assert_array_equal(y, [[0], [0], [0], [6]])


def test_repeat_by_hand():
    x, y = Repeat(12, 4).sample(Scripted(2, [[1, 0, 1], [0, 1, 1]]))
    np.testing.assert_array_equal(
        x, [[1, 0, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
    )
    np.testing.assert_array_equal(
        y, [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 1, 1, 0]]
    )


def test_priority_sort_by_hand():
    draws = (4, [0.5, -0.25, 0.125], [[1, 0], [1, 1], [0, 1]])
    x, y = PrioritySort(12, 4).sample(Scripted(*draws))
    np.testing.assert_array_equal(
        x,
        [
            [0.5, 1, 0, 0],
            [-0.25, 1, 1, 0],
            [0.125, 0, 1, 0],
            [0, 0, 0, 1],
            [0, 0, 0, 0],
            [0, 0, 0, 0],
            [0, 0, 0, 0],
            [0, 0, 0, 0],
        ],
    )
    np.testing.assert_array_equal(
        y, [[0, 0], [0, 0], [0, 0], [0, 0], [0, 0], [1, 1], [0, 1], [1, 0]]
    )


@given(name=st.sampled_from(NAMES), extra=st.integers(0, 9), wide=st.integers(0, 5), seed=SEEDS)
@settings(max_examples=200, deadline=None)
def test_every_sequence_keeps_its_shape(name, extra, wide, seed):
    least_len, least_wid = TASKS[name].least_seq_len, TASKS[name].least_seq_wid
    task = make_task(name, least_len + extra, least_wid + wide)
    x, y = task.sample(np.random.default_rng(seed))
    assert x.dtype == y.dtype == np.float32
    assert x.shape == (len(y), task.input_width) == (len(x), least_wid + wide)
    assert y.shape == (len(x), task.output_width)
    delimiter = np.flatnonzero(x[:, -1])
    assert len(delimiter) == 1 and x[delimiter[0], -1] == 1
    assert not x[delimiter[0], :-1].any()
    assert not y[: delimiter[0]].any()
    check = {"addition": check_addition, "repeat": check_repeat, "priority_sort": check_sort}
    check[name](x, y, delimiter[0])


def check_addition(x, y, n):
    assert len(x) == n + 1
    assert np.array_equal(x.sum(axis=1), np.ones(n + 1))
    assert set(np.unique(x)) <= {0, 1}
    assert y[n, 0] == sum(np.flatnonzero(row)[0] for row in x[:n])


def check_repeat(x, y, n):
    assert len(x) == 2 * n + 1
    assert set(np.unique(x)) <= {0, 1}
    assert not x[n + 1 :].any() and not y[n].any()
    assert np.array_equal(y[n + 1 :], x[:n])


def check_sort(x, y, items):
    n = items + 1
    assert len(x) == 2 * n
    assert np.abs(x[:items, 0]).max() <= 1
    assert set(np.unique(x[:items, 1:])) <= {0, 1}
    assert not x[n:].any() and not y[items : n + 1].any()
    in_order = sorted(range(items), key=lambda i: x[i, 0])
    assert np.array_equal(y[n + 1 :], x[in_order, 1:-1])


@pytest.mark.parametrize(
    "task, rows",
    [
        (Addition(5, 4), {n + 1 for n in range(2, 6)}),
        (Repeat(9, 4), {2 * n + 1 for n in range(1, 5)}),
        (PrioritySort(9, 4), {2 * n for n in range(2, 5)}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_lengths_are_uniform_over_their_whole_range(task, rows):
    rng = np.random.default_rng(1)
    lengths = np.array([len(task.sample(rng)[0]) for _ in range(4000)])
    values, counts = np.unique(lengths, return_counts=True)
    assert set(values) == rows
    # Five standard deviations of a binomial count.
    expected = 4000 / len(rows)
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


def test_digits_are_uniform_from_zero_to_wid_minus_two():
    task, rng = Addition(12, 6), np.random.default_rng(2)
    digits = np.concatenate([task.sample(rng)[0][:-1].argmax(axis=1) for _ in range(1000)])
    values, counts = np.unique(digits, return_counts=True)
    assert list(values) == [0, 1, 2, 3, 4]
    expected = len(digits) / 5
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


def test_bits_and_priorities_are_balanced():
    rng = np.random.default_rng(3)
    bits = np.concatenate([Repeat(12, 6).sample(rng, 6)[0][:6, :-1] for _ in range(500)])
    assert abs(bits.mean() - 0.5) < 0.02
    assert np.abs(np.corrcoef(bits.T) - np.eye(5)).max() < 0.1
    items = np.concatenate([PrioritySort(12, 6).sample(rng, 6)[0][:5] for _ in range(1000)])
    assert abs(items[:, 1:-1].mean() - 0.5) < 0.02
    assert abs(items[:, 0].mean()) < 0.05 and abs(items[:, 0].std() - 3**-0.5) < 0.02
    assert items[:, 0].min() < -0.99 and items[:, 0].max() > 0.99


@pytest.mark.parametrize("name", NAMES)
def test_the_generator_alone_decides(name):
    task = make_task(name, 12, 6)
    first, again = (task.sample_batch(np.random.default_rng(4), 5) for _ in range(2))
    for a, b in zip(first, again):
        assert np.array_equal(a, b)
    other = task.sample_batch(np.random.default_rng(5), 5)
    assert first[0].shape != other[0].shape or not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_is_its_sequences_padded_with_zeros(name):
    task = make_task(name, 12, 6)
    xs, ys, lengths = task.sample_batch(np.random.default_rng(6), 7)
    assert xs.dtype == ys.dtype == np.float32 and np.issubdtype(lengths.dtype, np.integer)
    assert xs.shape == (lengths.max(), 7, task.input_width)
    assert ys.shape == (lengths.max(), 7, task.output_width)
    assert len(set(lengths)) > 1
    rng = np.random.default_rng(6)
    for b in range(7):
        x, y = task.sample(rng)
        assert lengths[b] == len(x)
        assert np.array_equal(xs[: lengths[b], b], x) and not xs[lengths[b] :, b].any()
        assert np.array_equal(ys[: lengths[b], b], y) and not ys[lengths[b] :, b].any()


@pytest.mark.parametrize(
    "name, test_seq_len, rows",
    [
        ("addition", 1, 2),
        ("addition", 30, 31),
        ("repeat", 2, 3),
        ("repeat", 7, 7),
        ("repeat", 30, 31),
        ("priority_sort", 4, 4),
        ("priority_sort", 31, 30),
    ],
)
def test_the_length_of_a_test(name, test_seq_len, rows):
    task = make_task(name, 12, 6)
    xs, _, lengths = task.sample_batch(np.random.default_rng(7), 4, task.test_size(test_seq_len))
    assert list(lengths) == [rows] * 4 and len(xs) == rows


@pytest.mark.parametrize(
    "name, max_seq_len, max_seq_wid, test_seq_len",
    [("addition", 2, 2, 1), ("repeat", 2, 2, 2), ("priority_sort", 4, 3, 4)],
)
def test_least_sizes(name, max_seq_len, max_seq_wid, test_seq_len):
    task = make_task(name, max_seq_len, max_seq_wid)
    task.sample(np.random.default_rng(8))
    task.test_size(test_seq_len)
    with pytest.raises(ValueError, match=f"max_seq_len .*{max_seq_len}.* got {max_seq_len - 1}"):
        make_task(name, max_seq_len - 1, max_seq_wid)
    with pytest.raises(ValueError, match=f"max_seq_wid .*{max_seq_wid}.* got {max_seq_wid - 1}"):
        make_task(name, max_seq_len, max_seq_wid - 1)
    with pytest.raises(ValueError, match=f"test_seq_len .*{test_seq_len}.* got"):
        task.test_size(test_seq_len - 1)


def test_wrong_arguments_are_named():
    task, rng = Repeat(12, 6), np.random.default_rng(9)
    with pytest.raises(ValueError, match="task must be one of addition, .* got 'sort'"):
        make_task("sort", 12, 6)
    with pytest.raises(ValueError, match="max_seq_len must be an integer .* got 2.5"):
        Repeat(2.5, 6)
    with pytest.raises(ValueError, match="max_seq_wid must be an integer .* got True"):
        Repeat(12, True)
    with pytest.raises(ValueError, match="n must be an integer of at least 1 .* got 0"):
        task.sample(rng, 0)
    with pytest.raises(ValueError, match="batch_size must be an integer of at least 1, got 0"):
        task.sample_batch(rng, 0)
    with pytest.raises(TypeError, match="rng must be a numpy.random.Generator, got RandomState"):
        task.sample(np.random.RandomState(0))


def test_the_score_of_addition_looks_at_the_answer_alone():
    targets = np.zeros((3, 2, 1), dtype=np.float32)
    targets[-1, :, 0] = 4, 7
    outputs = np.full_like(targets, 100)
    outputs[-1, :, 0] = 3.5, 9
    scores = Addition(12, 6).score(outputs, targets)
    np.testing.assert_allclose(scores["Mean absolute error"], [0.5, 2])
    np.testing.assert_allclose(scores["Mean squared error"], [0.25, 4])


@pytest.mark.parametrize("task", [Repeat(12, 3), PrioritySort(12, 5)])
def test_the_score_of_bits_looks_at_every_row_after_the_delimiter(task):
    _, targets, _ = task.sample_batch(np.random.default_rng(10), 2, 3)
    outputs = np.where(targets > 0, 0.51, 0.49)
    after = task.answer(len(targets))
    outputs[: after.start, :] = 1  # before the answer anything goes
    right = task.score(outputs, targets)
    assert list(right["Share of wrong bits"]) == [0, 0]
    assert list(right["Share of wholly right sequences"]) == [1, 1]
    outputs[after.start, 1, 0] = 1 - outputs[after.start, 1, 0]
    wrong = task.score(outputs, targets)
    bits = (after.stop - after.start) * task.output_width
    np.testing.assert_allclose(wrong["Share of wrong bits"], [0, 1 / bits])
    assert list(wrong["Share of wholly right sequences"]) == [1, 0]


def test_where_the_answers_stand():
    rows = np.arange(8)
    assert list(rows[:4][Addition(12, 6).answer(4)]) == [3]
    assert list(rows[:7][Repeat(12, 6).answer(7)]) == [4, 5, 6]
    assert list(rows[:8][PrioritySort(12, 6).answer(8)]) == [4, 5, 6, 7]


def test_words():
    x, _ = Addition(12, 6).sample(Scripted(3, [2, 0, 4]))
    assert Addition(12, 6).in_words(x) == "2 + 0 + 4 = 6"
    assert Repeat(12, 6).in_words(x) is None


def test_an_example_is_shown_whole():
    x, y = Addition(12, 3).sample(Scripted(2, [1, 0]))
    output = np.array([[0.25], [-1e-9], [0.98765]])
    assert show.example(x, y, output, "DNC") == (
        "Input Data:\n[[0. 1. 0.]\n [1. 0. 0.]\n [0. 0. 1.]]\n"
        "Target Data:\n[[0.]\n [0.]\n [1.]]\n"
        "DNC Output:\n[[0.25 ]\n [0.   ]\n [0.988]]"
    )
    assert show.side_by_side(x, y, output) == (
        "  0. 1. 0. | 0. | 0.25\n  1. 0. 0. | 0. | 0.  \n  0. 0. 1. | 1. | 0.99"
    )
    long = show.matrix(np.ones((2000, 60)))
    assert len(long.split("\n")) == 2000 and "..." not in long


def test_the_tasks_need_numpy_alone():
    code = "import sys, tasks, tasks.show; sys.exit(bool({'chainer', 'lib'} & set(sys.modules)))"
    root = Path(__file__).resolve().parent.parent
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0
