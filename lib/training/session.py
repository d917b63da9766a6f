"""One training run from its start, or from a snapshot, to its end or to an interruption."""

import contextlib

from . import loop
from .average import WeightAverage
from .decay import PastDecay
from .reports import Reports


class TrainingFailedError(Exception):
    """Training cannot go on; says why and which snapshot is the last good one."""


def rate_of(settings):
    """The learning rate as a function of the iteration, from 1 on; each process has the same."""
    peak, fall = settings.lr * settings.rate_peak, settings.rate_fall / settings.batch_size
    return lambda iteration: peak * min(1, fall / iteration) ** 2 if fall else peak


class Session:
    """Trainer, reports and snapshots of a run.

    Args:
        model: with `reset_state()` and `unroll(xs, lengths)`.
        sample: called with rng, returns a batch, see `loop.SequenceUpdater`.
        rng: numpy.random.Generator.
        settings: of the run, :class:`.settings.Settings`; what they save is in its snapshots.
        show: text of a sample, see `reports.Reports`.
        interrupt: an `interrupt.Interrupt`.
        team: a `team.Team`; its first process alone reports and saves.

    Attributes:
        parts: what a snapshot holds, by name; to be loaded before `run`.
    """

    def __init__(self, model, sample, rng, settings, show, interrupt, team):
        optimizer = loop.make_optimizer(model, settings.lr)
        if settings.past_decay:
            optimizer.add_hook(PastDecay(model.controller.lstm, model.X, settings.past_decay))
        average = WeightAverage(model, settings.average) if settings.average else None
        self._iterations, self._leads = settings.iterations, team.leads
        self._updater = loop.SequenceUpdater(
            optimizer, sample, rng, average, rate_of(settings), interrupt, team
        )
        self._trainer = loop.make_trainer(
            self._updater, settings.iterations, interrupt, settings.out, team
        )
        if self._leads:
            self._reports = Reports(
                self._trainer, settings.iterations, settings.log_interval, settings.name, show
            )
        self.parts = {"model": model, "optimizer": optimizer, "trainer": self._trainer}
        if average:
            self.parts["average"] = average
        config = settings.saved
        if team.size > 1:
            config["processes"] = team.size
        self._saver = loop.Saver(
            settings.out, settings.name, self.parts, config, settings.snapshot_interval
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
        if self._leads:
            self._trainer.extend(self._saver)
        try:
            loop.run(self._trainer)
            self._save()
            if self._leads:
                self._reports.finish(self._trainer, self.finished)
        except BrokenPipeError:  # nobody reads the output any more
            self._save()
            raise
        except (loop.DivergedError, MemoryError, OSError) as error:
            if isinstance(error, OSError):  # of a file, which may be another than the snapshot's
                with contextlib.suppress(Exception):
                    self._save()
            failed = TrainingFailedError(self._failure(error))
            failed.everywhere = getattr(error, "everywhere", False)
            raise failed from error
        return self._saver.path

    def _save(self):
        if self._leads and self.iteration > 0:  # before, Adam has no state to save
            self._saver(self._trainer)

    def complete_log(self):
        """Write the log of a run that is done, where it is not whole.

        The run may have ended between its last snapshot and its log.
        """
        if self._leads and not self._reports.are_written(self._trainer):
            loop.run(self._trainer)  # no iteration, but it has a time then
            self._reports.finish(self._trainer, True)

    def _failure(self, error):
        kept = f"the last good snapshot is {self._saver.path}" if self._saver.path else (
            "there is no snapshot yet"
        )  # fmt: skip
        if isinstance(error, loop.DivergedError):
            return f"training has diverged: {error}; {kept}; a smaller --lr may help"
        what = "out of memory" if isinstance(error, MemoryError) else "a file cannot be written"
        return f"training stopped after iteration {self.iteration}, {what}: {error}; {kept}"
