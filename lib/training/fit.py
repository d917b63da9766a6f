"""Whether a model fits: the weights of a snapshot in it, and it in this machine."""

import os

from . import evaluation, snapshots
from .settings import Settings, of_config
from .tables import as_text, side_by_side

# What the shapes of a model's weights depend on, among what `describe` gives.
_FIXED = ("model", "W", "R", "H", "input width", "output width")


def describe(settings, task):
    """Settings in terms of their model, a dictionary.

    Args:
        settings: :class:`.settings.Settings`.
        task: theirs, with `input_width` and `output_width`.
    """
    sizes = dict(zip("NWRHK", settings.hps))
    if settings.lstm_only:
        sizes.update(dict.fromkeys("NWRK", "-"))
    return {
        "model": settings.kind,
        **sizes,
        "input width": task.input_width,
        "output width": task.output_width,
        **{name: getattr(settings, name) for name in ("task", "max_seq_len", "max_seq_wid")},
    }


def check_config(snapshot, task_of):
    """DamagedSnapshotError where the configuration of a snapshot is none, or not its own.

    Args:
        snapshot: its ``config`` becomes what `settings.of_config` makes of it.
        task_of: gives the task of settings, or ValueError.
    """
    try:
        snapshot.processes = snapshot.config.get("processes", 1)
        if type(snapshot.processes) is not int or snapshot.processes < 1:
            raise ValueError(f"processes is {snapshot.processes!r}")
        snapshot.config = of_config(snapshot.config)
        before = Settings.of({}).of_snapshot(snapshot.config)
        shapes = weight_shapes(describe(before, task_of(before)))
    except ValueError as error:
        raise snapshots.DamagedSnapshotError(f"its configuration: {error}") from error
    snapshot.check_shapes(shapes)


class MisfitError(Exception):
    """The weights of a snapshot have no place in the model that is asked for; says where not."""


def check_fit(settings, snapshot, task_of):
    """MisfitError where the weights of a snapshot do not fit the model that settings ask for."""
    both = (settings.of_snapshot(snapshot.config), settings.over(snapshot.config))
    table = misfit(*(describe(each, task_of(each)) for each in both))
    if table:
        raise MisfitError(
            f"the weights of {snapshot.path} do not fit the model that is asked for:\n{table}\n"
            "Leave out what does not fit, or give another --out."
        )


def misfit(saved, asked):
    """Both descriptions as a table where the weights have no place in the model asked for, or None.

    Args:
        saved: what `describe` gives of a snapshot.
        asked: what it gives of the model that is asked for.
    """
    if all(saved[name] == asked[name] for name in _FIXED):
        return None
    return side_by_side(saved, asked, ("snapshot", "asked for"), _FIXED)


def weight_shapes(description):
    """The shapes that bound all others of a model's weights, by the end of their names.

    Args:
        description: what `describe` gives.
    """
    X, Y, H = (description[name] for name in ("input width", "output width", "H"))
    if description["model"] == "lstm":
        return {"upward/W": (4 * H, X), "lateral/W": (4 * H, H), "linear/W": (Y, H)}
    seen = description["R"] * description["W"]
    return {"upward/W": (4 * H, X + seen), "lateral/W": (4 * H, H), "read_out/W": (Y, seen)}


def check_room(settings, task):
    """ValueError where this machine has less memory than the least that a run takes on the CPU."""
    N, W, R, H, K = (0, 0, 0, settings.hps[3], 0) if settings.lstm_only else settings.hps
    X, Y = task.input_width, task.output_width
    steps, count = settings.max_seq_len, settings.batch_size
    if settings.test_seq_len:
        steps, count = settings.test_seq_len, min(evaluation.BATCH, settings.test_samples)
    state = N * max(W, R, K if 0 < K < N else N) + steps * (X + Y)
    weights = 4 * H * (X + R * W + H)
    needed, there = 4 * (state * count + weights), _memory()
    if needed > there and settings.gpu < 0:
        longest = "test_seq_len" if settings.test_seq_len else "max_seq_len"
        raise ValueError(
            f"hps {as_text(settings.hps)}, {longest} {steps} and batch_size {count}: "
            f"at least {needed / 2**30:,.0f} GiB of memory are needed, of which this machine has "
            f"{there / 2**30:,.0f}"
        )


def _memory():
    """Bytes of memory of this machine; as many as there could be where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 2**62
