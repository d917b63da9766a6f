"""Training of a recurrent model on sequences, whatever their task: updater, trainer, saving."""

import json
import math

import chainer
import numpy as np
from chainer import training
from chainer.training import extensions

from ..adam import Adam
from . import snapshots
from .interrupt import Interrupt
from .team import Team


class DivergedError(RuntimeError):
    """The loss or a weight is no longer finite."""


def make_optimizer(model, lr):
    """Adam on all parameters of the model."""
    return Adam(alpha=lr).setup(model)


def squared_error(outputs, targets):
    """Squared error summed over time, averaged over output columns and over the batch.

    Args:
        outputs: array (T, B, Y), 0 where a sequence has ended.
        targets: array (T, B, Y), 0 there too.

    Returns:
        The loss, a float, and its gradient with respect to outputs, (T, B, Y).
    """
    difference = outputs - targets
    count = difference.shape[1] * difference.shape[2]
    return float((difference * difference).sum()) / count, difference * (2 / count)


class SequenceUpdater(training.Updater):
    """One iteration: draw a batch, unroll the model from its zero state, update the weights.

    The loss is reported as `loss`, a float. Its gradient is given to the model's outputs directly:
    that the loss be a part of Chainer's graph would take longer than all else done here.

    Args:
        optimizer: set up on a model with `reset_state()` and `unroll(xs, lengths)`.
        sample: called with rng, returns xs (T, B, X), targets (T, B, Y) and lengths (B,).
        rng: numpy.random.Generator; its state is part of a snapshot.
        average: an `average.WeightAverage` of the model, or None.
        interrupt: an `interrupt.Interrupt` that from the first update on stops nothing at once.
        team: a `team.Team`, whose processes take a share of each batch.
        rate: called with the number of an iteration, from 1 on, returns its learning rate; None:
            that of the optimizer.

    Attributes:
        iteration: number of updates done.
        batch: xs, targets, lengths and outputs of the last update, arrays.
    """

    epoch = 0  # the data never end
    epoch_detail = 0.0

    def __init__(self, optimizer, sample, rng, average=None, rate=None, interrupt=None, team=None):
        self.iteration = 0
        self.batch = None
        self._optimizer = optimizer
        self._sample = sample
        self._rng = rng
        self._average = average
        self._rate = rate
        self._interrupt = interrupt or Interrupt()
        self._team = team or Team()

    def get_optimizer(self, name):
        """The one optimiser, called "main"."""
        return self.get_all_optimizers()[name]

    def get_all_optimizers(self):
        """The one optimiser, called "main"."""
        return {"main": self._optimizer}

    def finalize(self):
        """Nothing is left open."""

    def update(self):
        """Run one iteration; DivergedError if its loss is not finite, weights as they were."""
        model = self._optimizer.target
        xs, targets, lengths = self._team.share(self._sample(self._rng))
        send = model.device.send
        model.reset_state()
        outputs = model.unroll(send(xs), lengths)
        loss, outputs.grad = squared_error(outputs.array, send(targets))
        loss = self._team.mean(loss)
        if not math.isfinite(loss):
            error = DivergedError(f"the loss is {loss} at iteration {self.iteration + 1}")
            error.everywhere = True
            raise error
        model.cleargrads()
        outputs.backward()
        self._team.mean_gradients(model)
        if self._rate:
            self._optimizer.alpha = self._rate(self.iteration + 1)
        self._interrupt.at_once = False  # there is something to be lost now
        self._optimizer.update()
        if self._average:
            self._average.update()
        self.iteration += 1
        self.batch = xs, targets, lengths, outputs.array
        chainer.report({"loss": loss})

    def serialize(self, serializer):
        """Save or load the iteration and the random state; model and optimiser go by themselves."""
        self.iteration = serializer("iteration", self.iteration)
        state = serializer("random_state", json.dumps(self._rng.bit_generator.state))
        if isinstance(serializer, chainer.Deserializer):
            if self.iteration < 1:
                raise ValueError(f"iteration is {self.iteration}")
            self._rng.bit_generator.state = json.loads(state)


def every(interval):
    """A trigger at each multiple of `interval` iterations.

    Unlike Chainer's IntervalTrigger it has no state: what a snapshot holds depends neither on
    which extensions ran nor on their intervals.
    """
    return lambda trainer: trainer.updater.iteration % interval == 0


def make_trainer(updater, iterations, interrupt, out, team=None):
    """A Chainer Trainer that stops at `iterations` updates in all, or at an Interrupt's signal."""
    team = team or Team()

    def stop(trainer):
        if trainer.updater.iteration >= iterations:
            return True
        # All go by what they have told each other, and by nothing that came to one meanwhile.
        told = team.any(interrupt.signum)
        if told is not None:
            interrupt.signum = told
        return told is not None

    return training.Trainer(updater, stop, out)


class Saver:
    """Saves snapshots of a trainer; as an extension, at each multiple of `interval` iterations.

    Args:
        folder, name: of the run, see `snapshots.snapshot_path`.
        parts: what is saved, by name, see `snapshots.save`.
        config: saved in each snapshot.
        interval: in iterations.

    Attributes:
        path: of the last snapshot, or None.
    """

    # After every extension whose state it saves.
    priority = training.PRIORITY_READER - 100

    def __init__(self, folder, name, parts, config, interval):
        self._folder, self._name = folder, name
        self._parts, self._config = parts, config
        self.name = "Saver"
        self.trigger = every(interval)
        self.path = None
        self._check = extensions.FailOnNonNumber()

    def __call__(self, trainer):
        """Save, unless that is done; DivergedError if a weight is not finite, OSError."""
        path = snapshots.snapshot_path(self._folder, self._name, trainer.updater.iteration)
        if path == self.path:
            return
        try:
            self._check(trainer)
        except RuntimeError as error:
            at = trainer.updater.iteration
            raise DivergedError(f"a weight is not finite after iteration {at}") from error
        snapshots.save(path, self._parts, self._config)
        self.path = path


def run(trainer):
    """Run the training loop; DivergedError is for the caller to tell."""
    # What overflows shows in the loss.
    with np.errstate(all="ignore"):
        trainer.run(show_loop_exception_msg=False)
