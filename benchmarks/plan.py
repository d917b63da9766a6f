"""What is measured, at which sizes, and how often."""

from dataclasses import asdict, dataclass, replace


@dataclass(frozen=True)
class Sizes:
    """Sizes of a model, in the paper's letters, and of the sequences it is trained on."""

    X: int = 6
    Y: int = 1
    N: int = 256
    W: int = 64
    R: int = 4
    H: int = 256
    K: int = 8
    T: int = 13
    B: int = 1

    def but(self, **changes):
        """The same with some of them changed."""
        return replace(self, **changes)

    def as_dict(self):
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Plan:
    """One run of the benchmarks."""

    sizes: Sizes
    rounds: int = 20  # turns of each variant, round-robin
    seconds: float = 0.1  # of one turn
    limit: float = 8.0  # seconds of all turns of a variant, but for the first three
    batch: int = 16  # a larger batch
    large_batch: int = 64  # and the largest
    Ns: tuple = (256, 1024, 4096, 16384, 65536)
    batches: tuple = (1, 4, 16, 64)
    Ts: tuple = (13, 50, 200)
    others_N: int = 2048  # the larger memory at which others are measured too
    others_rounds: int = 5
    starts: int = 5  # processes whose start is timed
    iterations: int = 20000  # of the long run


def full_plan(sizes):
    """A few minutes."""
    return Plan(sizes)


def quick_plan(sizes):
    """Seconds: the same tables, from few and small measurements."""
    return Plan(
        sizes,
        rounds=2,
        seconds=0.01,
        limit=0.5,
        batch=4,
        large_batch=8,
        Ns=(sizes.N, 4 * sizes.N),
        batches=(1, 4),
        Ts=(sizes.T, 2 * sizes.T),
        others_N=2 * sizes.N,
        others_rounds=1,
        starts=1,
        iterations=200,
    )
