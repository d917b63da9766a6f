"""Tables in Markdown, aligned so that they can be read as they are."""

import math


def table(header, rows):
    """A Markdown table: the first column to the left, the others to the right."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(3, *map(len, column)) for column in zip(*cells)]
    ruler = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [line(cells[0], widths), "|" + "|".join(f" {r} " for r in ruler) + "|"]
    return "\n".join(lines + [line(row, widths) for row in cells[1:]])


def line(cells, widths):
    """One row."""
    first, *others = zip(cells, widths)
    padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return "| " + " | ".join(padded) + " |"


def number(value, digits=3):
    """A number of so many significant digits, those before the point all kept; a dash for None."""
    if value is None:
        return "–"
    before = math.floor(math.log10(abs(value))) + 1 if value else 1
    return f"{value:,.{max(0, digits - before)}f}"


def times(value):
    """A ratio, as in 2.5×."""
    return "–" if value is None else f"{number(value, 2)}×"


def mebibytes(count):
    """Bytes in MiB."""
    return "–" if count is None else number(count / 2**20)


def kibibytes(count):
    """Bytes in KiB."""
    return "–" if count is None else number(count / 2**10)
