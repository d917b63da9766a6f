"""``python -m stand_in.barriers [NUMBER …]``: which missing barriers of the kernels are found out.

Run in ``tests``. Each barrier of the source is left out once, or those of these numbers, and one
step is compared with the plain code, with one block a sequence and with several, in several orders
of threads and blocks. A line for each: its number,
whether it was caught, and the line of the source after it.

Four are missed. The one with which sorting begins, and the one after the gradient of the write
weighting, are needless as the functions are called today. The one after the columns of a dense link
keeps two threads from adding to one number at once, the one of a warp makes its lanes see what they
wrote: ``cpu_cuda.h`` says that neither shows. ``races.py`` finds both.
"""

import itertools
import os
import re
import sys

import stand_in

stand_in.install()
sys.path.insert(0, "..")

# isort: split

import lib  # noqa: F401 - before Chainer

# isort: split

from lib.kernels import cuda_check, cuda_large, cuda_source, cuda_step

BARRIER = re.compile(r"__sync(threads|warp)\(\);")
ORDERS = (0, 1, 2, 3)


def one_block():
    """A block a sequence, with fewer threads than locations."""
    cuda_step.threads = lambda N: 64
    cuda_step.MOST_LOCATIONS = {8: 2048}


def several_blocks():
    """Blocks of fewer threads than locations."""
    cuda_large.THREADS, cuda_large.LEAST_LOCATIONS = 32, 35
    cuda_step.MOST_LOCATIONS = {8: 0}


PATHS = (one_block, several_blocks)
CASES = ((0, (37, 5, 3)), (4, (37, 5, 3)), (0, (128, 33, 2)), (4, (140, 5, 2)))


def is_caught(source):
    """Whether a source gives other numbers, or does not get through; it may crash."""
    cuda_source.source = lambda char: source
    for stand_in.kernels.RawModule.schedule in ORDERS:
        for path, (K, sizes) in itertools.product(PATHS, CASES):
            path()
            try:
                if cuda_check.first_difference("d", K, sizes):
                    return True
            except stand_in.emulate.LaunchError:
                return True
    return False


def in_a_process(source):
    """The same in a child: what reads rubbish as an index may write anywhere."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the C library's last words
        os._exit(is_caught(source))
    return os.waitpid(child, 0)[1] != 0


def main(numbers):
    cuda_check.DRAWS = 1
    source = cuda_source.source("d")
    spots = list(BARRIER.finditer(source))
    for number in map(int, numbers or range(len(spots))):
        spot = spots[number]
        without = source[: spot.start()] + source[spot.end() :]
        after = source[spot.end() :].strip().split("\n")[0].strip()
        print(number, "caught" if in_a_process(without) else "MISSED", after, sep="\t", flush=True)
    print("as it is", "caught" if in_a_process(source) else "right", sep="\t")


if __name__ == "__main__":
    main(sys.argv[1:])
