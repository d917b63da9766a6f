#!/usr/bin/env python3
"""Train a Differentiable Neural Computer on a toy task, or test a trained one."""

import contextlib
import os
import sys
from dataclasses import replace
from typing import NamedTuple

if __package__:  # installed, as a module of chainer_dnc
    from . import DNC, compat, files, initialize, tasks, trace, training
    from .baseline import LSTMBaseline
    from .kernels import backends
    from .start import start_controller
else:
    import tasks
    from lib import DNC, compat, files, initialize, trace, training
    from lib.baseline import LSTMBaseline
    from lib.kernels import backends
    from lib.start import start_controller

# isort: split

import chainer
import numpy as np

COMMAND = "chainer-dnc" if __package__ else "python dnc.py"


class WrongArgumentError(Exception):
    """One line for the user; the program ends with status 2."""


class FailedError(Exception):
    """What the user is told when the program ends with status 1."""


class Run(NamedTuple):
    """What settings describe, built; the model is a new one or a snapshot's."""

    settings: training.Settings
    task: tasks.Task
    rng: np.random.Generator
    model: object
    snapshot: object = None


def main(argv=None):
    """Run the program; the exit status."""
    try:
        with training.sturdy_outputs():
            return run(argv)
    except BrokenPipeError:
        # What is still to be printed goes nowhere, in place of a message when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130


def run(argv):
    """Do what the command line says; the exit status."""
    parser = training.build_parser(list(tasks.TASKS), COMMAND)
    settings = training.parse(parser, argv)
    try:
        with training.one_blas_thread():
            if settings.distributed:
                return train_together(settings)
            check(settings)
            with single_precision():
                return test(settings) if settings.test_seq_len else train(settings, training.Team())
    except WrongArgumentError as error:
        parser.error(str(error))
    except (FailedError, training.MisfitError, training.TrainingFailedError, MemoryError) as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 1


def single_precision():
    """A context in which all is float32, whatever ``CHAINER_DTYPE`` says of Chainer's programs."""
    if chainer.config.dtype != np.float32:
        asked = os.environ.get("CHAINER_DTYPE", chainer.config.dtype)
        print(f"This program computes in float32: CHAINER_DTYPE {asked} is not used.", flush=True)
    return chainer.using_config("dtype", np.float32)


def check(settings):
    """WrongArgumentError for what a task or this machine cannot do."""
    try:
        task = task_of(settings)
        if settings.test_seq_len:
            task.test_size(settings.test_seq_len)
        for name in ("past_decay", "memory", "bounded_reads"):
            of_paper = settings.paper and getattr(settings, name) == training.settings.BEFORE[name]
            if settings.lstm_only and name in settings.given and not of_paper:
                raise ValueError(f"argument --{name}: is for a DNC, and not for --lstm_only")
        training.check_room(settings, task)
        if settings.gpu < 0:
            backends.use_compiled()
        else:
            backends.choice()
        if settings.distributed and settings.test_seq_len:
            raise ValueError("argument --distributed: is for training, not for --test_seq_len")
        if settings.plot and (settings.lstm_only or not settings.test_seq_len):
            raise ValueError("argument --plot: goes with --test_seq_len, and not with --lstm_only")
    except ValueError as error:
        raise WrongArgumentError(error) from error
    gpu = settings.gpu
    problem = compat.cuda_problem(gpu) if gpu >= 0 else None
    if problem:
        raise WrongArgumentError(f"gpu {gpu} cannot be used (--gpu -1 is the CPU): {problem}")


def task_of(settings):
    """The task of a run; ValueError for lengths below its least."""
    return tasks.make_task(settings.task, settings.max_seq_len, settings.max_seq_wid)


def build(settings, snapshot=None):
    """Task, source of randomness and a new model."""
    task, rng = task_of(settings), np.random.default_rng(settings.seed)
    np.random.seed(rng.integers(2**32))  # Chainer draws initial weights from there
    try:
        model = build_model(settings, task.input_width, task.output_width)
    except (MemoryError, ValueError) as error:
        sizes = {name: getattr(settings, name) for name in ("hps", "max_seq_wid", "batch_size")}
        given = ", ".join(f"{n} {training.tables.as_text(value)}" for n, value in sizes.items())
        raise WrongArgumentError(f"{given}: {error}") from error
    model.device.use()
    return Run(settings, task, rng, model, snapshot)


def build_model(settings, X, Y):
    """The model of a run, input width X and output width Y; ValueError where none can be."""
    N, W, R, H, K = settings.hps
    clip = settings.cell_clip or None
    controller = {"input_scale": settings.input_scale or None, "forget_bias": settings.forget_bias}
    if settings.lstm_only:
        model = LSTMBaseline(X, Y, H, gpu=settings.gpu, cell_clip=clip)
        start_controller(model.lstm, X, **controller)
        return model
    options = {"cell_clip": clip, "bounded_reads": settings.bounded_reads}
    model = DNC(X, Y, N, W, R, H, K=K, gpu=settings.gpu, **options)
    initialize(model, None if settings.memory == "plain" else settings.memory, **controller)
    return model


def restore(settings, prepare):
    """What `prepare` makes of the newest whole snapshot, in the snapshot's state; None without one.

    `prepare` is called with a Run; it returns its result and the parts of the snapshot to load.
    """

    def use(snapshot):
        training.check_config(snapshot, task_of)
        training.check_fit(settings, snapshot, task_of)
        resumed = settings.over(snapshot.config)
        check(resumed)
        result, parts = prepare(build(resumed, snapshot))
        saved = {name: part for name, part in parts.items() if snapshot.holds(name)}
        if parts.keys() - saved.keys() - {"average"}:  # which a run may begin later
            raise FailedError(f"{snapshot.path} holds averaged weights, for tests with them alone")
        snapshot.load(saved)
        return result

    def warn(line):
        print(line, file=sys.stderr)

    try:
        return training.snapshots.use_newest(settings.out, settings.name, use, warn)
    except OSError as error:
        raise FailedError(f"a snapshot cannot be read, and nothing was changed: {error}") from error


def test(settings):
    """Test the newest snapshot."""
    run = restore(settings, lambda run: (run, {tested(run): run.model}))
    if run is None:
        raise FailedError(
            f"no snapshot {settings.name}_iter_*.npz in {settings.out}: train before you test"
        )
    length, count = settings.test_seq_len, settings.test_samples
    asked = {"test_seq_len": length, "test_samples": count}
    print(f"Testing {run.snapshot.path}")
    line = training.gpu_line(run.model)
    if line:
        print(line)
    print(training.tables.table({**run.settings.saved, **asked}), end="\n\n")
    n = run.task.test_size(length)
    rng = np.random.default_rng([run.settings.seed, 1])  # not the training's stream
    example, scores = training.evaluation.evaluate(
        run.model, lambda size: run.task.sample_batch(rng, size, n)[:2], run.task.score, count
    )
    print(tasks.show.example(*example, settings.kind.upper()))
    words = run.task.in_words(example[0])
    print(f"{words}\n" if words else "")
    print(f"Over {count} sequences of length {length}:")
    for name, value in scores.items():
        print(f"{name}: {value:.6g}")
    if settings.plot:
        plot(run, example)
    return 0


def plot(run, example):
    """Draw a sequence, and what the memory did meanwhile."""
    x, target, _ = example
    run.model.reset_state()
    seen = trace(run.model, run.model.device.send(x[:, None]))
    title = f"{run.settings.task}, length {run.settings.test_seq_len}"
    try:
        training.draw(run.settings.plot, x, target, seen, title)
    except (ImportError, OSError) as error:
        raise FailedError(f"no picture could be made: {error}") from error
    print(f"Picture: {run.settings.plot}")


def tested(run):
    """Which weights of a snapshot are tested."""
    return "average" if run.settings.average and run.snapshot.holds("average") else "model"


def train_together(settings):
    """Train as one of several processes."""
    try:
        team = training.gather(settings.gpu)
    except ValueError as error:
        raise WrongArgumentError(error) from error
    with team.one_voice(), team.ending_together(COMMAND.split()[-1]), single_precision():
        team.each(lambda: check(settings))
        settings = team.first(lambda: settings)  # its seed may have been drawn
        # Not the snapshot's, which is the first process's.
        own = {"gpu": team.device(settings.gpu), "given": settings.given | {"gpu"}}
        return train(replace(settings, **own), team)


def train(settings, team):
    """Train, from the newest whole snapshot on where there is one."""
    with training.Interrupt() as interrupt, training.RunLock(settings.out, settings.name) as lock:
        try:
            interrupt.at_once = team.size == 1
            team.first(lambda: take(lock))
            return go_on(settings, lock, interrupt, team)
        except training.Stopped:
            found = training.snapshots.find_snapshots(settings.out, settings.name)
            return training.conclude(False, found[0] if found else None, interrupt)
        except training.InUseError as error:
            raise FailedError(f"{settings.out} is in use, {settings.name} by {error}") from error


def take(lock):
    """Take the lock of a folder that is there and can be written to."""
    with contextlib.suppress(OSError):
        lock.acquire()


def go_on(settings, lock, interrupt, team):
    """Train on, from the start or a snapshot; the exit status."""

    def prepare(run):
        session = start_session(run, interrupt, team)
        return (run, session), session.parts

    run, session = team.each(lambda: restore(settings, prepare) or prepare(build(settings))[0])
    team.begin(run.model)
    team.each(lambda: check_same(team, session.iteration, settings.out))
    training.announce(run.settings, run.snapshot, team, training.gpu_line(run.model))
    if session.finished:
        done, of = session.iteration, run.settings.iterations
        print(f"Finished already: {done} of {of} iterations. A larger --iterations trains on.")
        with contextlib.suppress(OSError):  # of a folder that is only read
            session.complete_log()
        return 0
    team.first(lambda: open_folder(run.settings, lock))
    path = session.run(run.snapshot and run.snapshot.path)
    return training.conclude(session.finished, path, interrupt)


def check_same(team, iteration, folder):
    """FailedError where processes would go on from different snapshots."""
    if not team.same(iteration):
        raise FailedError(f"the processes do not all find the same snapshots in {folder}")


def start_session(run, interrupt, team):
    """The training session of a run."""
    task, batch_size = run.task, run.settings.batch_size

    def sample(rng):
        return task.sample_batch(rng, batch_size * team.size)

    def text(x, target, output):
        rows, words = tasks.show.side_by_side(x, target, output), task.in_words(x)
        return f"{rows}\n  {words}" if words else rows

    return training.Session(run.model, sample, run.rng, run.settings, text, interrupt, team)


def open_folder(settings, lock):
    """Make the folder, if nobody else is training there, and write the configuration."""
    try:
        os.makedirs(settings.out, exist_ok=True)
        lock.acquire()
        path = os.path.join(settings.out, f"{settings.name}_config.json")
        files.write_json(path, settings.saved)
    except OSError as error:
        raise WrongArgumentError(f"argument --out: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
