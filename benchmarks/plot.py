"""The plot: time per step against N, and of each implementation at the default sizes."""

from benchmarks import others, training
from benchmarks.tables import number

COLORS = {"numba": "tab:blue", "numpy": "tab:orange"}
LABELS = {"numba": "with Numba", "numpy": "NumPy alone"}


def draw(results, path):
    """Draw what there is of both into one picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
    draw_growth(left, results.get("scaling"))
    draw_bars(right, bars(results))
    figure.savefig(path, dpi=150)


def draw_growth(axes, result):
    """Time per step against N, both scales logarithmic."""
    axes.set_title("Time against the size of the memory, batch 1")
    if result is None:
        return leave_empty(axes)
    rows = result["growth"]["N"]
    sizes = [row["size"] for row in rows]
    backends = [key for key in rows[0] if key != "size"]
    for backend in backends:
        ms = [row[backend]["time"]["median"] for row in rows]
        axes.plot(sizes, ms, "o-", color=COLORS.get(backend), label=LABELS.get(backend, backend))
    lowest = min(rows[-1][backend]["time"]["median"] for backend in backends)
    guide = [0.4 * lowest * size / sizes[-1] for size in sizes]
    axes.plot(sizes, guide, ":", color="gray", label="proportional to N")
    axes.set(xscale="log", yscale="log", xlabel="memory locations N", ylabel="ms per step")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.yaxis.set_major_formatter(plain)
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)


def plain(value, _):
    """A tick's number without powers of ten."""
    return f"{value:,g}" if value < 1e6 else f"{value:,.0f}"


def leave_empty(axes):
    """Say that there is nothing to draw."""
    axes.text(0.5, 0.5, "not measured", ha="center", transform=axes.transAxes)


def bars(results):
    """Name -> ms per step at the default sizes, slowest first.

    Where an implementation was measured twice, that next to the others counts.
    """
    found = {}
    for name, summary in results.get("training", {}).get("variants", {}).items():
        if "batch" not in name and "K=0" not in name and "without" not in name:
            found[name] = summary["median"]
    measured = results.get("others", {}).get("cases", {}).get(others.DEFAULT, {})
    found.update((name, others.best(of_threads)) for name, of_threads in measured.items())
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def draw_bars(axes, found):
    """One bar for each implementation, on a logarithmic scale, with its number."""
    axes.set_title("A training step at the default sizes, batch 1")
    if not found:
        return leave_empty(axes)
    positions = range(len(found))
    drawn = axes.barh(positions, list(found.values()), color=[color(name) for name in found])
    axes.bar_label(drawn, [number(ms) for ms in found.values()], padding=3)
    axes.set_yticks(positions, list(found))
    axes.set(xscale="log", xlabel="ms per step")
    axes.xaxis.set_major_formatter(plain)
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)


def color(name):
    """Ours in blue or orange, the floor in gray."""
    if name == training.FLOOR:
        return "lightgray"
    if name.startswith("NumPy alone"):
        return COLORS["numpy"]
    return COLORS["numba"] if name.startswith(training.OURS) else "darkgray"
