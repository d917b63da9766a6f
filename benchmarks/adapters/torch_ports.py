"""DNCs in PyTorch, imported from their unmodified packages. Both have a full link matrix only."""

import inspect
import sys


def pytorch_dnc(path):
    """github.com/ixaxaar/pytorch-dnc: its output is as wide as its input; Y columns count."""
    sys.path.insert(0, path)
    from dnc import DNC

    def build(s):
        wanted = {
            "rnn_type": "lstm",
            "num_layers": 1,
            "num_hidden_layers": 1,
            "nr_cells": s["N"],
            "cell_size": s["W"],
            "read_heads": s["R"],
            "batch_first": True,
            "independent_linears": False,
            "gpu_id": -1,  # of older versions
        }
        taken = inspect.signature(DNC.__init__).parameters
        model = DNC(s["X"], s["H"], **{k: v for k, v in wanted.items() if k in taken})
        return model, lambda xs: model(xs, (None, None, None), reset_experience=True)[0]

    return lambda sizes: iteration(*build(sizes), sizes)


def csordas(path):
    """github.com/RobertCsordas/dnc, ``Models/DNC.py``."""
    sys.path.insert(0, path)
    from Models.DNC import DNC, LSTMController

    def build(s):
        controller = LSTMController([s["H"]])
        model = DNC(s["X"], s["Y"], s["W"], s["N"], s["R"], controller, batch_first=True)
        return model, model

    return lambda sizes: iteration(*build(sizes), sizes)


LOADERS = {"pytorch-dnc": pytorch_dnc, "csordas": csordas}


def iteration(model, forward, sizes):
    """A training iteration on inputs (B, T, X)."""
    import torch

    torch.manual_seed(0)
    T, B, X, Y = (sizes[letter] for letter in "TBXY")
    xs = torch.eye(X)[torch.randint(X, (B, T))]
    targets = torch.rand(B, T, Y)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)

    def run():
        ys = forward(xs)[..., :Y]
        ys = ys if len(ys) == B else ys.transpose(0, 1)  # pytorch-dnc puts time first
        loss = ((ys - targets) ** 2).sum() / B
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return run
