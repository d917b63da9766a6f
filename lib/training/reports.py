"""What a training run shows and logs: table, progress bar, samples, log file, loss curve."""

import importlib.util
import json
import os
import sys
import time

from chainer import training
from chainer.backends import cuda
from chainer.training import extensions
from tqdm import tqdm

from ..files import write_json
from ..terminal import on_terminal, progress_bar
from .loop import every
from .picture import of_matplotlib

# Rows of the table to one sample and to one drawing of the loss curve.
_ROWS = 10


class _Lines:
    """Standard output as PrintReport needs it: whole lines, no escape codes, above the bar."""

    def __init__(self):
        self._line = ""

    def write(self, text):
        self._line += text.replace("\033[J", "")
        if self._line.endswith("\n"):
            tqdm.write(self._line, end="")
            self._line = ""

    def flush(self):
        sys.stdout.flush()


class _Table(extensions.PrintReport):
    """Chainer's table, of this run alone: rows from before a resume were printed then."""

    def initialize(self, trainer):
        self._log_len = len(trainer.get_extension("LogReport").log)


class _ProgressBar(training.Extension):
    """tqdm's bar, with the time left; drawn only on a terminal."""

    def __init__(self, iterations):
        self._iterations = iterations
        self._bar = None

    def initialize(self, trainer):
        self._bar = progress_bar(self._iterations, trainer.updater.iteration)

    def __call__(self, trainer):
        self._bar.update()

    def finalize(self):
        self._bar.close()


class _LogFile(training.Extension):
    """Writes the log as JSON, the whole of it each time, but at most once a second."""

    def __init__(self, path):
        self._path = path
        self._written = 0.0

    def __call__(self, trainer):
        if time.monotonic() - self._written > 1:
            self.write(trainer)

    def write(self, trainer):
        write_json(self._path, trainer.get_extension("LogReport").log)
        self._written = time.monotonic()

    def read(self):
        """The rows that are written; none where it is no such file."""
        try:
            with open(self._path, encoding="utf-8") as file:
                rows = json.load(file)
        except (OSError, ValueError, RecursionError):
            return []
        are_rows = isinstance(rows, list) and all(
            isinstance(row, dict) and "iteration" in row for row in rows
        )
        return rows if are_rows else []


class _Plot(extensions.PlotReport):
    """Chainer's plot of the loss, with all of its state in the snapshot.

    Where it cannot be drawn this is said once, and training goes on.
    """

    def __init__(self, filename, interval):
        of_matplotlib("matplotlib", "use")("Agg")  # to files, also where there is no display
        super().__init__(["loss"], trigger=every(interval), filename=filename, marker=None)
        self._close = of_matplotlib("matplotlib.pyplot", "close")
        self._told = False

    def __call__(self, trainer):
        try:
            super().__call__(trainer)
        except OSError as error:  # the disk is full, say, and may have room the next time
            self._close("all")
            self._init_summary()
            if not self._told:
                _tell_without_curve(error)
            self._told = True

    def serialize(self, serializer):
        try:
            super().serialize(serializer)
            self._summary.serialize(serializer["_summary"])
        except KeyError:
            pass  # saved where Matplotlib was missing: the curve begins here


class Reports:
    """The reports of one trainer.

    Args:
        trainer: chainer.training.Trainer of a SequenceUpdater.
        iterations: number of all iterations.
        interval: iterations that a row of the table and of the log averages over.
        name: the log goes to {name}_log.json in the trainer's folder, and, where Matplotlib is
            installed, the loss curve to {name}_loss.png.
        show: called with x (T, X), target (T, Y) and output (T, Y), returns them as text.
    """

    def __init__(self, trainer, iterations, interval, name, show):
        self._interval = interval
        self._finishing = False
        self._show = show
        # No file of its own: it would not be synced to the disk, and a kill leaves folders behind.
        self._log = extensions.LogReport(["loss"], self._row_is_due, _drop_epoch, log_name=None)
        self._table = _Table(["elapsed_time", "iteration", "loss"], out=_Lines())
        self._log_file = _LogFile(os.path.join(trainer.out, f"{name}_log.json"))
        # The order matters: that of their registration. First those that a snapshot has a part of:
        # what prints or writes may fail, and then the snapshot is saved with what came before.
        trainer.extend(self._log, trigger=every(1))
        if importlib.util.find_spec("matplotlib"):
            self._draw_curve(trainer, f"{name}_loss.png")
        trainer.extend(self._table, trigger=every(interval))
        trainer.extend(self._log_file, trigger=every(interval))
        trainer.extend(lambda trainer: self.sample(trainer), "Sample", every(_ROWS * interval))
        if on_terminal():
            trainer.extend(_ProgressBar(iterations), trigger=every(1))

    def _draw_curve(self, trainer, filename):
        try:
            curve = _Plot(filename, _ROWS * self._interval)
            trainer.extend(curve, "PlotReport", every(1))
        except ImportError as error:
            _tell_without_curve(error)

    def _row_is_due(self, trainer):
        return self._finishing or trainer.updater.iteration % self._interval == 0

    def sample(self, trainer):
        """Print the first sequence of the last batch, and what the model made of it then."""
        xs, targets, lengths, outputs = trainer.updater.batch
        rows = slice(0, int(lengths[0]))
        text = self._show(xs[rows, 0], targets[rows, 0], cuda.to_cpu(outputs)[rows, 0])
        tqdm.write(f"A sample of iteration {trainer.updater.iteration}:\n{text}")
        sys.stdout.flush()

    def finish(self, trainer, whole):
        """Write the log; if the `whole` run is done, report what came after the last full interval.

        To be called after the last snapshot was saved. A run that goes on from there with more
        iterations then has this row no more than one that was never stopped.
        """
        if whole and not self._row_is_there(self._log.log, trainer):
            self._finishing = True
            trainer.observation = {}  # LogReport has already added the last one
            self._log(trainer)
            self._table(trainer)
        self._log_file.write(trainer)

    def _row_is_there(self, rows, trainer):
        return bool(rows) and rows[-1]["iteration"] == trainer.updater.iteration

    def are_written(self, trainer):
        """Whether the log is there with all rows of a run that is done."""
        rows, known = self._log_file.read(), self._log.log
        more = rows[len(known) :]
        return rows[: len(known)] == known and len(more) < 2 and self._row_is_there(rows, trainer)


def _drop_epoch(row):
    """The data never end."""
    del row["epoch"]


def _tell_without_curve(problem):
    tqdm.write(f"There is no loss curve: {problem}", file=sys.stderr)
