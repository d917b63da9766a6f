"""Arrays and settings in the form in which the loops take them."""

import numpy as np

from ..state import concatenate_rows, map_arrays, select_rows


def as_compiled(array):
    """The array (or None) as the loops are compiled for it, not read-only and in C order."""
    if array is None or array.flags.carray and array.dtype.isnative:
        return array
    return np.array(array, array.dtype.newbyteorder("="), order="C")


def limit_of(options, dtype):
    """The limit of the cell state, infinity where there is none."""
    return dtype.type(np.inf if options.cell_clip is None else options.cell_clip)


def last_rows(state, histories, active):
    """The state of each sequence after its own last step; it keeps no other alive.

    Args:
        state: before the first step, of B sequences or more.
        histories: its fields over time, in a tuple like the state: of each state from h_0 on
            (T + 1, B, ...), or of the last two or all after a step, in slots, (S, B, ...).
        active: of each step, how many sequences it has (T,).
    """
    T, B = len(active), len(state.h)
    if active[-1] < B:
        return rows_of_unequal_lengths(state, histories, active)

    def last(history):
        rows = history[(T - (len(history) <= T)) % len(history)]
        return rows if len(history) == 1 else rows.copy()

    return type(state)(*map_arrays(last, histories))


def rows_of_unequal_lengths(state, histories, active):
    """The same where some sequences end before others, or have no step."""
    T = len(active)
    lengths = np.count_nonzero(active[:, None] > np.arange(len(state.h)), axis=0)
    fed = np.count_nonzero(lengths)

    def last(history):
        slots = (lengths[:fed] - (len(history) <= T)) % len(history)
        return history[slots, np.arange(fed)]

    rows = type(state)(*map_arrays(last, histories))
    return concatenate_rows([rows, select_rows(state, slice(fed, None))])
