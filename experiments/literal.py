"""``python -m experiments.literal ...``: dnc.py with the paper's own rule for the sparse link.

With --score first, its tests in place of ``experiments.scoring``.


The paper (Methods, 'Sparse link matrix') cuts write weights and precedence to their K highest
entries, divides them by their sums, uses these in the whole update, and drops what is below 1/K.
The library departs from it (see 'Departures from the paper' in README.md); this is for comparison.
"""

import sys
from unittest import mock

import chainer
import numpy as np

import dnc
from experiments import scoring
from lib.memory import sparse_linkage
from lib.memory.sorting import gather, scatter, top_k

ours = sparse_linkage.update_link, sparse_linkage.update_link_backward


def share(weights, K):
    """The K highest of weights (B, N) divided by their sum, and what its gradient needs."""
    order = top_k(weights, K)
    kept = gather(weights, order)
    total = np.maximum(kept.sum(axis=1, keepdims=True), np.finfo(weights.dtype).tiny)
    return scatter(kept / total, order, weights.shape[1]), (order, total)


def share_backward(shares, how, g):
    """Gradient of the weights from that of their shares, both (B, N)."""
    order, total = how
    g_kept = (gather(g, order) - (g * shares).sum(axis=1, keepdims=True)) / total
    return scatter(g_kept, order, g.shape[1])


def update_link(link, precedence, write_weights):
    """L̂_t by the paper's rule, in the place of ``sparse_linkage.update_link``."""
    K = link.columns.shape[2]
    w, how_w = share(write_weights, K)
    p, how_p = share(precedence, K)
    new, trace = ours[0](link, p, w)
    kept = new.values >= 1 / K
    return new._replace(values=new.values * kept), (trace, kept, w, how_w, p, how_p)


def update_link_backward(trace, link, precedence, write_weights, g_values):
    """The gradient of :func:`update_link`."""
    trace, kept, w, how_w, p, how_p = trace
    g_values *= kept
    g_link, g_p, g_w = ours[1](trace, link, p, w, g_values)
    return g_link, share_backward(p, how_p, g_p), share_backward(w, how_w, g_w)


def patched():
    """A context in which the plain step goes by the paper's rule."""
    rules = {"update_link": update_link, "update_link_backward": update_link_backward}
    return mock.patch.multiple(sparse_linkage, **rules)


def main(arguments):
    """Train, or with --score first test as ``experiments.scoring`` does; the exit status."""
    with chainer.using_config("dnc_backend", "numpy"), patched():
        if arguments[:1] == ["--score"]:
            return scoring.main(*arguments[1:])
        return dnc.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
