"""An LSTM over a sequence as two compiled functions: ``graph/lstm_sequence.py``.

Arguments as in ``sequence_loops.py``. T time, B batch, H units.
"""

from .compiled import kernel
from .controller import add_products, add_products_backward, cell, cell_backward, in_groups


@kernel
def advance(begin, end, lateral_W, limit, gates, hs, cs, squashed, active):
    """Run the sequences to their ends.

    Args:
        begin: the first sequence.
        end: the one after the last.
        lateral_W: (4H, H).
        limit: of the cell state.
        gates: what the inputs give of them (T, B, 4H); all of them, to be filled.
        hs: h_0, and room for h_1 to h_T (T + 1, B, H).
        cs: c_0, and room for c_1 to c_T (T + 1, B, H).
        squashed: room for the tanh of c_1 to c_T (T, B, H).
        active: of each step, how many sequences it has (T,).
    """
    for t in range(len(active)):
        n = max(begin, min(end, active[t]))
        grouped = in_groups(n - begin, hs.shape[1])
        add_products(lateral_W, hs[t, begin:n], grouped, gates[t, begin:n])
        for b in range(begin, n):
            cell(gates[t, b], cs[t, b], limit, cs[t + 1, b], squashed[t, b], hs[t + 1, b])


@kernel
def retreat(begin, end, lateral_W, limit, gates, cs, squashed, g_c, g_h, g_hs, g_gates, active):
    """The gradient of :func:`advance`, whose arguments come first, as filled there.

    ``g_c`` and ``g_h`` (B, H) are the gradients of the state after the last step and become those
    of the state before. ``g_hs`` (T, B, H) is that of h_1 to h_T as far as the outputs go, and
    ``g_gates`` (T, B, 4H) room for that of the gates.
    """
    for t in range(len(active) - 1, -1, -1):
        n = max(begin, min(end, active[t]))
        for b in range(begin, n):
            for k in range(g_h.shape[1]):
                g_h[b, k] += g_hs[t, b, k]
            cell_backward(
                gates[t, b], cs[t, b], limit, squashed[t, b], g_c[b], g_h[b], g_gates[t, b]
            )
            g_h[b] = 0
        add_products_backward(lateral_W, g_gates[t, begin:n], g_h[begin:n])
