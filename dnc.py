#!/usr/bin/env python3
"""Train a Differentiable Neural Computer on a toy task, or test a trained one."""

import os
import random
import sys
from typing import NamedTuple

BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
if __name__ == "__main__" and not any(name in os.environ for name in BLAS_THREADS):
    # To be said before NumPy is imported. The products of a step are too small to be shared: other
    # threads gain little on an idle machine, and where a core is busy all wait for that one.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"

# isort: split

import numpy as np

# Before anything imports Chainer: lib has it run on today's NumPy.
from lib import DNC, arguments, compat, config, evaluation, snapshots
from lib.baseline import LSTMBaseline
from lib.interrupt import Interrupt
from lib.session import Session, TrainingFailedError
from tasks import TASKS, Task, make_task, show

# What the shapes of a model's weights depend on, among what `describe` gives.
FIXED = ("model", "W", "R", "H", "input width", "output width")


class WrongArgumentError(Exception):
    """One line for the user; the program ends with status 2."""


class FailedError(Exception):
    """What the user is told when the program ends with status 1."""


class Run(NamedTuple):
    """What a configuration describes, built; the model is a new one or a snapshot's."""

    settings: dict
    task: Task
    rng: np.random.Generator
    model: object
    snapshot: object = None


def resolve(given, saved):
    """The whole configuration of a run: what is given, else what was saved, else the default."""
    # Task and kind of model choose the snapshot, so a snapshot does not choose them.
    saved = {name: value for name, value in saved.items() if name not in ("task", "lstm_only")}
    merged = {**arguments.DEFAULTS, **saved, **given}
    settings = {name: merged[name] for name in arguments.DEFAULTS}
    if settings["seed"] is None:
        settings["seed"] = random.SystemRandom().randrange(2**32)
    return settings


def place(given):
    """The folder of a run's files, and what their names begin with."""
    settings = resolve(given, {})
    kind = "lstm" if settings["lstm_only"] else "dnc"
    return given.get("out", arguments.CALL_DEFAULTS["out"]), f"{kind}_{settings['task']}"


def task_of(settings):
    """The task of a configuration; ValueError for lengths below its least."""
    return make_task(settings["task"], settings["max_seq_len"], settings["max_seq_wid"])


def check(given, settings):
    """WrongArgumentError for what a task or this machine cannot do."""
    try:
        task = task_of(settings)
        if given.get("test_seq_len"):
            task.test_size(given["test_seq_len"])
    except ValueError as error:
        raise WrongArgumentError(error) from error
    gpu = settings["gpu"]
    problem = compat.cuda_problem(gpu) if gpu >= 0 else None
    if problem:
        raise WrongArgumentError(f"gpu {gpu} cannot be used (--gpu -1 is the CPU): {problem}")


def build(settings, snapshot=None):
    """Task, source of randomness and a new model."""
    N, W, R, H, K = settings["hps"]
    task, gpu = task_of(settings), settings["gpu"]
    rng = np.random.default_rng(settings["seed"])
    np.random.seed(rng.integers(2**32))  # Chainer draws initial weights from there
    widths = task.input_width, task.output_width
    numbers = N * max(W, R, K if 0 < K < N else N) * settings["batch_size"]
    if numbers >= 2**60 and not settings["lstm_only"]:
        raise WrongArgumentError(
            f"hps {config.as_text(settings['hps'])}: no machine holds a state of {numbers} numbers"
        )
    try:
        if settings["lstm_only"]:
            model = LSTMBaseline(*widths, H, gpu=gpu)
        else:
            model = DNC(*widths, N, W, R, H, K=K, gpu=gpu)
    except (MemoryError, ValueError) as error:
        raise WrongArgumentError(f"hps {config.as_text(settings['hps'])}: {error}") from error
    return Run(settings, task, rng, model, snapshot)


def describe(settings):
    """A configuration in terms of its model."""
    sizes = dict(zip("NWRHK", settings["hps"]))
    if settings["lstm_only"]:
        sizes.update(dict.fromkeys("NWRK", "-"))
    task = task_of(settings)
    return {
        "model": "lstm" if settings["lstm_only"] else "dnc",
        **sizes,
        "input width": task.input_width,
        "output width": task.output_width,
        **{name: settings[name] for name in ("task", "max_seq_len", "max_seq_wid")},
    }


def check_fit(snapshot, settings):
    """FailedError where the weights of a snapshot have no place in the model that is asked for."""
    saved, asked = describe({**settings, **snapshot.config}), describe(settings)
    if any(saved[name] != asked[name] for name in FIXED):
        both = config.side_by_side(saved, asked, ("snapshot", "asked for"), FIXED)
        raise FailedError(
            f"the weights of {snapshot.path} do not fit the model that is asked for:\n{both}\n"
            "Leave out what does not fit, or give another --out."
        )


def restore(given, prepare):
    """What `prepare` makes of the newest whole snapshot, in the snapshot's state; None without one.

    `prepare` is called with a Run; it returns its result and the parts of the snapshot to load.
    """

    def use(snapshot):
        settings = resolve(given, snapshot.config)
        check_fit(snapshot, settings)
        check(given, settings)
        result, parts = prepare(build(settings, snapshot))
        snapshot.load(parts)
        return result

    return snapshots.use_newest(*place(given), use, lambda line: print(line, file=sys.stderr))


def test(given):
    """Test the newest snapshot."""
    check(given, resolve(given, {}))
    run = restore(given, lambda run: (run, {"model": run.model}))
    if run is None:
        folder, name = place(given)
        raise FailedError(f"no snapshot {name}_iter_*.npz in {folder}: train before you test")
    length = given["test_seq_len"]
    count = given.get("test_samples", arguments.CALL_DEFAULTS["test_samples"])
    print(f"Testing {run.snapshot.path}")
    print(config.table({**run.settings, "test_seq_len": length, "test_samples": count}), end="\n\n")
    n = run.task.test_size(length)
    rng = np.random.default_rng([run.settings["seed"], 1])  # not the training's stream
    example, scores = evaluation.evaluate(
        run.model, lambda size: run.task.sample_batch(rng, size, n)[:2], run.task.score, count
    )
    print(show.example(*example, "LSTM" if run.settings["lstm_only"] else "DNC"))
    words = run.task.in_words(example[0])
    print(f"{words}\n" if words else "")
    print(f"Over {count} sequences of length {length}:")
    for name, value in scores.items():
        print(f"{name}: {value:.6g}")
    return 0


def train(given):
    """Train, from the newest whole snapshot on where there is one."""
    check(given, resolve(given, {}))
    with Interrupt() as interrupt:

        def prepare(run):
            session = start_session(run, place(given), interrupt)
            return (run, session), session.parts

        # The seed of a resumed run stays what it was: the snapshot has the random state.
        unseeded = {name: value for name, value in given.items() if name != "seed"}
        run, session = restore(unseeded, prepare) or prepare(build(resolve(given, {})))[0]
        announce(run, given)
        if session.finished:
            done, of = session.iteration, run.settings["iterations"]
            print(f"Finished already: {done} of {of} iterations. A larger --iterations trains on.")
            return 0
        open_folder(*place(given), run.settings)
        path = session.run(run.snapshot and run.snapshot.path)
        return conclude(session, path, interrupt)


def start_session(run, place, interrupt):
    """The training session of a run."""
    task, settings = run.task, run.settings

    def sample(rng):
        return task.sample_batch(rng, settings["batch_size"])

    def text(x, target, output):
        rows, words = show.side_by_side(x, target, output), task.in_words(x)
        return f"{rows}\n  {words}" if words else rows

    return Session(run.model, sample, run.rng, settings, *place, text, interrupt)


def announce(run, given):
    """Print the configuration and, where a snapshot was loaded, what has changed since."""
    print(f"Training {run.settings['task']}, files in {place(given)[0]}")
    print(config.table(run.settings))
    if run.snapshot:
        print(f"Resuming from {run.snapshot.path}")
        changes = config.changes(run.snapshot.config, run.settings)
        if changes:
            print(f"Changed since the snapshot: {changes}")
        if "seed" in given:
            print("The random state is the snapshot's: --seed has no effect.")
    print(flush=True)


def open_folder(folder, name, settings):
    """Make the folder and write the configuration there."""
    try:
        os.makedirs(folder, exist_ok=True)
        snapshots.write_json(os.path.join(folder, f"{name}_config.json"), settings)
    except OSError as error:
        raise WrongArgumentError(f"argument --out: {error}") from error


def conclude(session, path, interrupt):
    """Say where the run stands; the exit status."""
    if session.finished:
        print(f"Done: {path}")
        return 0
    if path is None:
        print("Interrupted before the first iteration: there is nothing to resume from.")
    else:
        print(f"Interrupted: the same command will resume from {path}")
    return interrupt.exit_status


def main(argv=None):
    """Run the program; the exit status."""
    parser = arguments.build_parser(list(TASKS))
    given = vars(parser.parse_args(argv))
    try:
        return test(given) if given.get("test_seq_len") else train(given)
    except WrongArgumentError as error:
        parser.error(str(error))
    except (FailedError, TrainingFailedError, MemoryError) as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # What is still to be printed goes nowhere, in place of a message when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
