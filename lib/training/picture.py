"""A picture of one sequence: what went in and came out, and what the memory did meanwhile."""

import importlib

import numpy as np

from .words import in_one_line

_MODES = ("backward", "content", "forward")
_COLOURS = ("#7b3294", "#e08214", "#1b7837")
# More locations than these are drawn all, in their own order.
_FEW = 64


def of_matplotlib(module, name):
    """What a module of Matplotlib has by that name; ImportError, whatever that fails with.

    One that was built for another NumPy raises errors of half a dozen kinds.
    """
    try:
        return getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:
        raise ImportError(f"Matplotlib cannot be used: {in_one_line(error)}") from error


def draw(path, x, target, seen, title):
    """Draw a sequence to a file.

    Args:
        path: of the picture; its ending says what kind.
        x: input (T, X).
        target: (T, Y).
        seen: `lib.trace.Trace` of a batch of one.
        title: above the picture.

    Raises:
        ImportError: Matplotlib is not installed, or does not work.
        OSError: the file cannot be written.
        ValueError: Matplotlib knows no such kind of picture.
    """
    canvas = of_matplotlib("matplotlib.backends.backend_agg", "FigureCanvasAgg")
    T, R = len(x), seen.read_weights.shape[2]
    rows, names = locations(seen.write_weights[:, 0])
    heights = [x.shape[1], target.shape[1], target.shape[1], 12, *[12] * R, 12, 6, *[3] * R]
    tall = 0.9 + 0.095 * sum(heights)  # inches
    size = (min(max(7, 2.2 + T * 0.16), 14), tall)
    figure = of_matplotlib("matplotlib.figure", "Figure")(figsize=size)
    canvas(figure)
    edges = {"top": 1 - 0.4 / tall, "bottom": 0.5 / tall, "hspace": 0.28}
    axes = figure.subplots(
        len(heights), 1, sharex=True, gridspec_kw={"height_ratios": heights, **edges}
    )
    panels = iter(axes)
    _image(next(panels), x, "input")
    limits = (min(target.min(), 0), max(target.max(), 1))
    _image(next(panels), target, "target", limits)
    _image(next(panels), seen.ys[:, 0], "output", limits)
    _weights(next(panels), seen.write_weights[:, 0][:, rows], "written")
    for r in range(R):
        _head(next(panels), seen, r, rows)
    _image(next(panels), seen.usage[:, 0][:, rows], "usage", (0, 1), cmap="Blues")
    _gates(next(panels), seen.interface)
    for r in range(R):
        _modes(next(panels), seen.interface.read_modes[:, 0, r], r)
    axes[-1].set_xlabel(f"time step; the rows of written, read and usage are {names}", fontsize=8)
    figure.suptitle(title, fontsize=10, y=1 - 0.15 / tall)
    figure.savefig(path, dpi=110, bbox_inches="tight")


def locations(write_weights):
    """The locations to draw, and what they are in words.

    The ones that were written to, in the order in which they were, where they are few; else all.
    """
    N = write_weights.shape[1]
    used = np.flatnonzero(write_weights.max(axis=0) > 0.2 * write_weights.max())
    if len(used) <= min(_FEW, N - 1):
        order = used[np.argsort(write_weights[:, used].argmax(axis=0), kind="stable")]
        return order, f"the {len(order)} of {N} locations written to, in the order of writing"
    return np.arange(N), f"all {N} locations"


def _image(axis, steps, name, limits=(None, None), cmap="viridis"):
    """An array (T, D) with time to the right."""
    axis.imshow(
        steps.T, aspect="auto", interpolation="nearest", cmap=cmap, vmin=limits[0], vmax=limits[1]
    )
    _label(axis, name)


def _weights(axis, weights, name):
    """Weights (T, locations), black where they are as high as in the highest step of four."""
    top = max(np.quantile(weights.max(axis=1), 0.75), 1e-9)
    _image(axis, weights, f"{name}\n0 … {top:.2g}", (0, top), "Greys")


def _label(axis, name):
    axis.set_yticks([])
    axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
    axis.tick_params(labelsize=7)


def _head(axis, seen, r, rows):
    """Where a head read, and an arrow where it followed a link from the location read before."""
    weights = seen.read_weights[:, 0, r][:, rows]
    _image(axis, weights, f"read {r + 1}\n0 … {weights.max():.2g}", (0, None), "Greys")
    modes, places = seen.interface.read_modes[:, 0, r], weights.argmax(axis=1)
    sharp = weights.max(axis=1) > 0.5
    for t in range(1, len(weights)):
        mode = modes[t].argmax()
        if mode != 1 and modes[t, mode] > 0.5 and sharp[t] and sharp[t - 1]:
            style = {"arrowstyle": "->", "color": _COLOURS[mode], "lw": 1}
            axis.annotate("", (t, places[t]), (t - 1, places[t - 1]), arrowprops=style)


def _gates(axis, said):
    """The gates over time, and how sharply the memory is looked up."""
    time = np.arange(len(said.write_gate))
    for name, values in (
        ("write gate", said.write_gate[:, 0, 0]),
        ("allocation gate", said.allocation_gate[:, 0, 0]),
        ("erase", said.erase[:, 0].mean(axis=1)),
        ("free gates", said.free_gates[:, 0].mean(axis=1)),
    ):
        axis.plot(time, values, label=name, lw=1.2, drawstyle="steps-mid")
    axis.set_ylim(-0.05, 1.05)
    _label(axis, "gates")
    axis.set_yticks([0, 1])
    axis.legend(fontsize=6.5, ncol=1, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def _modes(axis, modes, r):
    """The read modes of a head over time, adding up to 1."""
    axis.stackplot(
        np.arange(len(modes)), modes.T, colors=_COLOURS, labels=_MODES, step="mid", linewidth=0
    )
    axis.set_ylim(0, 1)
    _label(axis, f"mode {r + 1}")
    if r == 0:
        axis.legend(fontsize=6.5, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
