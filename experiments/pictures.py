"""What came out, as tables and pictures."""

import json
import statistics
from pathlib import Path

TASKS = {
    "addition": ("sums right to the nearest integer", "right"),
    "repeat": ("share of wrong bits", "error"),
    "priority_sort": ("share of wrong bits", "error"),
}
COLOURS = (
    "#1a56a8",
    "#e08214",
    "#888888",
    "#1b7837",
    "#7b3294",
    "#c51b7d",
    "#8c510a",
    "#35978f",
    "#000000",
)


def by_length(runs, task, measure):
    """Median, least and most of a measure at each (length, N), a dictionary.

    Where a model was tested during its training, the length is the sequences it had seen.
    """
    found = {}
    for run in runs:
        for score in run["scores"] if run["task"] == task else ():
            done = score.get("iteration")
            at = done * run["batch_size"] if done else score["length"]
            found.setdefault((at, score["N"]), []).append(score[measure])
    return {at: (statistics.median(v), min(v), max(v)) for at, v in sorted(found.items())}


def report(found):
    """Tables in Markdown, one a task: a row a kind of run, a column a length or sequences seen."""
    blocks = []
    for task, (title, measure) in TASKS.items():
        rows = {label: by_length(runs, task, measure) for label, runs in found.items()}
        columns = sorted({at for row in rows.values() for at in row}, key=lambda at: at[::-1])
        if columns:
            heads = [f"{L}" if N == 256 else f"{L}, N={N:,}" for L, N in columns]
            blocks.append(
                f"{task}: {title}, median (least … most)\n\n" + table(rows, columns, heads)
            )
    return "\n\n".join(blocks)


def table(rows, columns, heads):
    """The table of one task."""
    lines = [f"| | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for label, row in rows.items():
        if row:
            cells = [cell(row[at]) if at in row else "" for at in columns]
            lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(values):
    """Three numbers in little room."""
    middle, low, high = (f"{value:.3g}" for value in values)
    return middle if low == high else f"{middle} ({low}…{high})"


def draw(part, found, folder):
    """Draw the pictures of a part; their paths."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    paths = []
    for name, panels in PANELS.get(part, (("", lengths), ("_curves", curves))):
        tasks = [
            t for t in TASKS if any(run["task"] == t for runs in found.values() for run in runs)
        ]
        figure = Figure(figsize=(0.6 + 4 * len(tasks), 3.5), layout="constrained")
        FigureCanvasAgg(figure)
        drawn = {}
        for axes, task in zip(figure.subplots(1, len(tasks), squeeze=False)[0], tasks):
            panels(axes, found, task)
            drawn.update(zip(*axes.get_legend_handles_labels()[::-1]))
        named = {label: drawn[label] for label in (*found, *drawn) if label in drawn}
        about = {"loc": "outside lower center", "fontsize": 8, "frameon": False}
        figure.legend(named.values(), named, ncols=min(4, 2 * len(tasks)), **about)
        paths.append(folder / f"{part}{name}.png")
        figure.savefig(paths[-1], dpi=110)
    return paths


def lengths(axes, found, task):
    """A score against the length, with the spread over seeds; trained lengths are shaded."""
    title, measure = TASKS[task]
    for colour, (label, runs) in zip(COLOURS, found.items()):
        row = by_length(runs, task, measure)
        for N, style in ((256, "o-"), (4096, "s--")):
            points = [(L, *values) for (L, n), values in row.items() if n == N]
            if points:
                spread(axes, points, style, colour, label if N == 256 else None)
    axes.axvspan(axes.get_xlim()[0], 12, color="#eee", zorder=0)
    axes.set(xscale="log", xlabel="length of the test", title=f"{task}: {title}")
    axes.title.set_fontsize(9)
    ticks = [12, 24, 50, 100, 200, 500, 1000, 2000]
    axes.set_xticks([t for t in ticks if t <= axes.get_xlim()[1]])
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.minorticks_off()
    axes.set_ylim(-0.03, 1.03 if measure == "right" else None)
    axes.grid(alpha=0.3)


def spread(axes, points, style, colour, label):
    """A line of medians, and a shade from the least to the most: points (x, middle, low, high)."""
    x, middle, low, high = zip(*points)
    axes.plot(x, middle, style, color=colour, ms=4, label=label)
    axes.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)


def curves(axes, found, task):
    """The loss against the sequences seen, each run a thin line, their median a thick one."""
    for colour, (label, runs) in zip(COLOURS, found.items()):
        all_losses = [
            [(at * run["batch_size"], loss) for at, loss in run["losses"]]
            for run in runs
            if run["task"] == task
        ]
        for losses in all_losses:
            axes.plot(*zip(*losses), color=colour, lw=0.5, alpha=0.4)
        if all_losses:
            x = [at for at, _ in all_losses[0]]
            middle = [statistics.median(loss for _, loss in at) for at in zip(*all_losses)]
            axes.plot(x, middle, color=colour, lw=1.6, label=label)
    axes.set(yscale="log", xlabel="sequences", title=f"{task}: training loss, mean of 500 updates")
    axes.title.set_fontsize(9)
    axes.grid(alpha=0.3)


def costs(axes, found, task):
    """Bits a sequence against the sequences seen, in thousands, beside the published ones."""
    published = json.loads(Path(__file__).with_name("ntm_published.json").read_text())
    x = published["thousands of sequences"]
    for style, (label, bits) in zip((":", "--", "-."), published["bits"].items()):
        axes.plot(x, bits, style, color="black", lw=1, label=label)
    for colour, (label, runs) in zip(COLOURS, found.items()):
        row = by_length(runs, task, "bits")
        if row:
            points = [(at / 1000, *values) for (at, _), values in row.items()]
            spread(axes, points, "o-", colour, label)
    title = f"{task}: cost of a sequence, bits"
    axes.set(xscale="log", xlabel="thousands of sequences", title=title)
    axes.title.set_fontsize(9)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylim(0, None)
    axes.grid(alpha=0.3)


PANELS = {"ntm_sort": (("", costs),)}
