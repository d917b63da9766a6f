"""The picture of ``benchmarks.gpu``: time against N and against the batch, with the crossovers."""

from benchmarks.gpu import ARRAYS, CPU, KERNELS
from benchmarks.plot import plain

COLORS = {CPU: "tab:blue", ARRAYS: "tab:orange", KERNELS: "tab:green"}
LABELS = {"N": "memory locations N", "B": "sequences in a batch"}


def draw(result, path):
    """Draw both into one picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(result["gpu"]["name"])
    for axes, (letter, rows) in zip(figure.subplots(1, 2), result["growth"].items()):
        for way, color in COLORS.items():
            points = [(row["size"], row[way]["median"]) for row in rows if row[way]]
            if points:
                axes.plot(*zip(*points), "o-", color=color, label=way)
            crossover = result["crossover"][letter].get(way)
            if crossover is not None:
                axes.axvline(crossover, ls=":", color=color)
        axes.set(xscale="log", yscale="log", xlabel=LABELS[letter], ylabel="ms per step")
        axes.set_xticks([row["size"] for row in rows], [f"{row['size']:,}" for row in rows])
        axes.yaxis.set_major_formatter(plain)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=150)
