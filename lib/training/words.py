"""What is said before a run and after it."""

from . import tables
from .settings import STARTING


def in_one_line(error):
    """What an exception says, and of what kind it is."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def announce(settings, snapshot, team, where=None):
    """Print the settings and, where a snapshot was loaded, what has changed since.

    Args:
        settings: of the run.
        snapshot: that it goes on from, or None.
        team: a `team.Team`.
        where: a line about the GPU, or None.
    """
    print(f"Training {settings.task}, files in {settings.out}")
    if settings.distributed:
        print(f"{team.size} processes, each with batches of {settings.batch_size}")
    if where:
        print(where)
    print(tables.table(settings.saved))
    if snapshot:
        print(f"Resuming from {snapshot.path}")
        before = settings.of_snapshot(snapshot.config)
        changes = tables.changes(before.saved, settings.saved)
        if snapshot.processes != team.size:
            print(
                f"There were {snapshot.processes} processes, now there are {team.size}: batches "
                "have another size, and this is no longer the same run bit for bit."
            )
        if changes:
            print(f"Changed since the snapshot: {changes}")
        if "seed" in settings.given:
            print("The random state is the snapshot's: --seed has no effect.")
        for name in sorted(settings.given & STARTING - {"seed"}):
            print(f"The weights are the snapshot's: --{name} has no effect.")
    print(flush=True)


def conclude(finished, path, interrupt):
    """Say where a run stands that ends now; the exit status.

    Args:
        finished: whether all iterations are done.
        path: of its last snapshot, or None.
        interrupt: an `interrupt.Interrupt`.
    """
    if finished:
        print(f"Done: {path}")
        return 0
    if path is None:
        print("Interrupted before the first iteration: there is nothing to resume from.")
    else:
        print(f"Interrupted: the same command will resume from {path}")
    return interrupt.exit_status
