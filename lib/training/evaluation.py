"""Running a trained model on test sequences."""

import chainer
import numpy as np
from chainer.backends import cuda

# Sequences run at once: more gain little, and the memory they need grows with them.
BATCH = 16


def evaluate(model, sample_batch, score, count):
    """Run a model on `count` sequences of one length and score what it answers.

    Args:
        model: with `reset_state()` and `unroll(xs)`.
        sample_batch: called with a batch size B, returns xs (T, B, X) and targets (T, B, Y).
        score: called with outputs and targets (T, B, Y), returns a dictionary of arrays (B,).
        count: number of sequences, at least 1.

    Returns:
        The first sequence, its target and its output, (T, X), (T, Y) and (T, Y); and a dictionary
        of the mean scores over all sequences.
    """
    example, scores = None, []
    for start in range(0, count, BATCH):
        xs, targets = sample_batch(min(BATCH, count - start))
        model.reset_state()
        # What overflows shows in the scores.
        testing = chainer.using_config("train", False), chainer.no_backprop_mode()
        with testing[0], testing[1], np.errstate(all="ignore"):
            outputs = cuda.to_cpu(model.unroll(model.device.send(xs)).array)
        scores.append(score(outputs, targets))
        if example is None:
            example = xs[:, 0], targets[:, 0], outputs[:, 0]
    return example, {name: np.concatenate([s[name] for s in scores]).mean() for name in scores[0]}
