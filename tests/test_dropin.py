"""A small language model, trained as Chainer's PTB example, with the DNC in its LSTM's place."""

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
import pytest

from lib import DNC

VOCABULARY, UNITS, BATCH, BPROP_LENGTH = 6, 16, 5, 8
RECURRENT = {
    "LSTM": lambda: L.LSTM(UNITS, UNITS),
    "DNC": lambda: DNC(UNITS, UNITS, N=12, W=6, R=2, lstm_hidden_dim=UNITS, K=4),
    "DNC with deferred width": lambda: DNC(None, UNITS, 12, 6, 2, UNITS, K=0),
}


class LanguageModel(chainer.Chain):
    """The example's model: nothing here knows which recurrent link it holds."""

    def __init__(self, recurrent):
        super().__init__()
        with self.init_scope():
            self.embed = L.EmbedID(VOCABULARY, UNITS)
            self.recurrent = recurrent
            self.out = L.Linear(UNITS, VOCABULARY)

    def reset_state(self):
        self.recurrent.reset_state()

    def forward(self, x):
        return self.out(self.recurrent(self.embed(x)))


def text(length, seed):
    """A walk whose next letter follows from the last two, but for one in twenty."""
    rng, letters = np.random.default_rng(seed), [0, 1]
    while len(letters) < length:
        follow = (letters[-1] + 2 * letters[-2] + 1) % VOCABULARY
        letters.append(rng.integers(VOCABULARY) if rng.random() < 0.05 else follow)
    return np.array(letters, np.int32)


class BPTTUpdater(chainer.training.updaters.StandardUpdater):
    """As in the example: the state goes on from update to update, the graph is cut after each."""

    def update_core(self):
        loss = 0
        iterator, optimizer = self.get_iterator("main"), self.get_optimizer("main")
        for _ in range(BPROP_LENGTH):
            x, t = self.converter(iterator.__next__(), self.device)
            loss += optimizer.target(x, t)
        optimizer.target.cleargrads()
        loss.backward()
        loss.unchain_backward()
        optimizer.update()


class SideBySide(chainer.dataset.Iterator):
    """BATCH readers spread over one text, each giving (letter, next letter), as in the example."""

    def __init__(self, letters):
        self.letters, self.iteration = letters, 0
        self.offsets = np.arange(BATCH) * len(letters) // BATCH

    def __next__(self):
        at = (self.offsets + self.iteration) % (len(self.letters) - 1)
        self.iteration += 1
        return list(zip(self.letters[at], self.letters[at + 1]))

    @property
    def epoch(self):
        return self.iteration * BATCH // len(self.letters)

    epoch_detail = epoch
    is_new_epoch = False
    previous_epoch_detail = epoch


def evaluate(classifier, letters):
    """By a copy at batch size 1, as the example does: shared weights, a state of its own."""
    evaluator = classifier.copy()
    evaluator.predictor.reset_state()
    losses = []
    with chainer.using_config("train", False), chainer.no_backprop_mode():
        for now, following in zip(letters[:-1], letters[1:]):
            losses.append(float(evaluator(np.array([now]), np.array([following])).array))
    return np.mean(losses)


@pytest.mark.parametrize("name", sorted(RECURRENT))
def test_language_model(name):
    classifier = L.Classifier(LanguageModel(RECURRENT[name]()), lossfun=F.softmax_cross_entropy)
    classifier.compute_accuracy = False
    optimizer = chainer.optimizers.Adam(2e-2).setup(classifier)
    optimizer.add_hook(chainer.optimizer_hooks.GradientClipping(5))
    updater = BPTTUpdater(SideBySide(text(2000, seed=1)), optimizer)
    held_out = text(200, seed=2)
    before = evaluate(classifier, held_out)
    for _ in range(80):
        updater.update()
        state = classifier.predictor.recurrent.h
        after_update = state.array.copy()
    middle = evaluate(classifier, held_out)
    np.testing.assert_array_equal(classifier.predictor.recurrent.h.array, after_update)
    assert classifier.predictor.recurrent.h is state
    updater.update()
    assert before > 1.5
    assert middle < 0.7 < before
