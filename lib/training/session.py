"""One training run from its start, or from a snapshot, to its end or to an interruption."""

import contextlib

from . import loop
from .average import WeightAverage
from .decay import PastDecay
from .reports import Reports


class TrainingFailedError(Exception):
    """Training cannot go on; says why and which snapshot is the last good one."""


def rate_of(settings):
    """The learning rate as a function of the iteration, from 1 on."""
    peak, fall = settings.lr * settings.rate_peak, settings.rate_fall
    if not fall:
        return lambda iteration: peak
    return lambda iteration: peak * min(1, fall / (iteration * settings.batch_size)) ** 2


class Session:
    """Trainer, reports and snapshots of a run.

    Args:
        model: with `reset_state()` and `unroll(xs, lengths)`.
        sample: called with rng, returns a batch, see `loop.SequenceUpdater`.
        rng: numpy.random.Generator.
        settings: of the run, :class:`.settings.Settings`; what they save is in its snapshots.
        show: text of a sample, see `reports.Reports`.
        interrupt: an `interrupt.Interrupt`.

    Attributes:
        parts: what a snapshot holds, by name; to be loaded before `run`.
    """

    def __init__(self, model, sample, rng, settings, show, interrupt):
        optimizer = loop.make_optimizer(model, settings.lr)
        if settings.past_decay:
            optimizer.add_hook(PastDecay(model.controller.lstm, model.X, settings.past_decay))
        average = WeightAverage(model, settings.average) if settings.average else None
        self._iterations = settings.iterations
        self._updater = loop.SequenceUpdater(optimizer, sample, rng, average, rate_of(settings))
        self._trainer = loop.make_trainer(
            self._updater, settings.iterations, interrupt, settings.out
        )
        self._reports = Reports(
            self._trainer, settings.iterations, settings.log_interval, settings.name, show
        )
        self.parts = {"model": model, "optimizer": optimizer, "trainer": self._trainer}
        if average:
            self.parts["average"] = average
        self._saver = loop.Saver(
            settings.out, settings.name, self.parts, settings.saved, settings.snapshot_interval
        )

    @property
    def iteration(self):
        """Number of iterations done."""
        return self._updater.iteration

    @property
    def finished(self):
        """Whether all iterations are done."""
        return self.iteration >= self._iterations

    def run(self, resumed_from=None):
        """Train to the end, or until the interrupt has its signal, and save.

        Args:
            resumed_from: path of the snapshot that was loaded, if one was.

        Returns:
            Path of the last snapshot; None if there was not one iteration.

        Raises:
            TrainingFailedError: the loss or a weight is not finite, memory ran out, or a file
                could not be written. The last snapshot is as it was.
            BrokenPipeError: nobody reads what is printed; a snapshot was saved.
            Stopped: the interrupt came before the first iteration was done.
        """
        self._saver.path = resumed_from
        self._trainer.extend(self._saver)
        try:
            loop.run(self._trainer)
            if self.iteration > 0:  # before, Adam has no state to save
                self._saver(self._trainer)
            self._reports.finish(self._trainer, self.finished)
        except BrokenPipeError:  # nobody reads the output any more
            if self.iteration > 0:
                self._saver(self._trainer)
            raise
        except (loop.DivergedError, MemoryError, OSError) as error:
            if isinstance(
                error, OSError
            ):  # all is well but for a file, and not the snapshot's maybe
                with contextlib.suppress(Exception):
                    self._saver(self._trainer)
            raise TrainingFailedError(self._failure(error)) from error
        return self._saver.path

    def _failure(self, error):
        kept = f"the last good snapshot is {self._saver.path}" if self._saver.path else (
            "there is no snapshot yet"
        )  # fmt: skip
        if isinstance(error, loop.DivergedError):
            return f"training has diverged: {error}; {kept}; a smaller --lr may help"
        what = "out of memory" if isinstance(error, MemoryError) else "a file cannot be written"
        return f"training stopped after iteration {self.iteration}, {what}: {error}; {kept}"
