"""Counts of faults and of what became of the runs."""


class Tally:
    """Counts of one kind.

    Attributes:
        injected: number of faults.
        lost: number of runs that did not come to the end of the unbroken one.
        wrong: what was not as it has to be, lines.
    """

    def __init__(self):
        self.injected = self.lost = self.runs = 0
        self.wrong = []

    def add(self, outcome):
        """Count a case."""
        self.runs += 1
        self.injected += outcome.injected
        self.lost += outcome.lost
        self.wrong += outcome.wrong

    def counts(self):
        """For JSON."""
        return {
            "injected": self.injected,
            "runs": self.runs,
            "lost": self.lost,
            "wrong": self.wrong,
        }


def as_table(tallies):
    """Text: a line for each kind, their sum, and all that was wrong."""
    rows = [(name, t.injected, t.runs, t.lost, len(t.wrong)) for name, t in tallies.items()]
    rows.append(("all", *(sum(column) for column in list(zip(*rows))[1:])))
    lines = [f"{'faults':22}{'injected':>10}{'runs':>8}{'lost':>8}{'wrong':>8}"]
    lines += [f"{row[0]:22}{row[1]:>10,}{row[2]:>8,}{row[3]:>8,}{row[4]:>8,}" for row in rows]
    lines += [f"\n{line}" for tally in tallies.values() for line in tally.wrong]
    return "\n".join(lines)
