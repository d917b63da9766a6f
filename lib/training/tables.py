"""Configurations of a run, dictionaries by argument, as text."""


def as_text(value):
    """A value as it would be given on the command line."""
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def table(config):
    """One line an argument."""
    width = max(map(len, config))
    return "\n".join(f"  {name:{width}}  {as_text(value)}" for name, value in config.items())


def changes(old, new):
    """What differs between two configurations, in a line; empty if nothing does."""
    names = [name for name in new if name in old and old[name] != new[name]]
    return ", ".join(f"{name} {as_text(old[name])} -> {as_text(new[name])}" for name in names)


def side_by_side(old, new, headings, must_agree):
    """Two configurations of the same arguments as a table.

    Args:
        old: dictionary, of the left column.
        new: dictionary with the same keys, of the right column.
        headings: of the two columns.
        must_agree: keys; a difference there is marked.
    """
    rows = [("", *headings, "")]
    for name, value in new.items():
        mark = "<- does not fit" if name in must_agree and old[name] != value else ""
        rows.append((name, as_text(old[name]), as_text(value), mark))
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths)) for row in rows)
    return "\n".join(f"  {line}".rstrip() for line in lines)
