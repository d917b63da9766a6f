"""Whether the weights of a snapshot fit the model that is asked for."""

from .tables import side_by_side

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


def misfit(saved, asked):
    """Both descriptions as a table where the weights have no place in the model asked for, or None.

    Args:
        saved: what `describe` gives of a snapshot.
        asked: what it gives of the model that is asked for.
    """
    if all(saved[name] == asked[name] for name in _FIXED):
        return None
    return side_by_side(saved, asked, ("snapshot", "asked for"), _FIXED)
