"""The command line. Nothing here imports NumPy, which counts its threads when it is imported."""

import argparse
import os
from dataclasses import replace

from benchmarks.plan import Plan, Sizes, full_plan, quick_plan

NAMES = ("training", "others", "scaling", "profile", "startup", "gpu")
OTHERS = ("original", "yos1up", "pytorch-dnc", "csordas")
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")

DESCRIPTION = "Measure time and memory of this library, and print them as Markdown tables."
EPILOG = """\
training  one training iteration, next to the floor: the work that no implementation can do without
others    other implementations, run unmodified from the paths given by --others
scaling   time and memory against N, batch size and sequence length
profile   where the time of a step goes
gpu       a GPU next to the CPU, against N and batch, where there is one that can be used
startup   from the start of the process to the first step; first against last of many iterations

Another implementation is a checkout of github.com/AdeelMufti/DifferentiableNeuralComputer
(original), github.com/yos1up/DNC (yos1up), github.com/ixaxaar/pytorch-dnc (pytorch-dnc) or
github.com/RobertCsordas/dnc (csordas). The last two need PyTorch: name an interpreter that has it
by --python.
"""


def parse(argv):
    """The arguments; exits with status 2 where one is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--only", nargs="+", choices=NAMES, metavar="NAME", help="of " + ", ".join(NAMES))
    add("--quick", action="store_true", help="few repetitions, small sizes: to try it out")
    add("--others", nargs="+", type=pair, default=[], metavar="NAME=PATH", help="see below")
    add("--python", nargs="+", type=pair, default=[], metavar="NAME=INTERPRETER", help="for those")
    add("--hps", type=sizes, default=Sizes(), metavar="N,W,R,H,K", help="default: 256,64,4,256,8")
    add("--rows", type=int, default=Sizes().T, help="time steps of a sequence (default: 13)")
    add(
        "--threads",
        type=int,
        help="threads of BLAS; 0: left to BLAS (default: 1, or what the environment says)",
    )
    add("--iterations", type=int, help="of the long run of startup (default: 20000)")
    add("--json", metavar="FILE", help="save all numbers")
    add("--plot", metavar="FILE", help="draw time against N, and against others (Matplotlib)")
    add("--from-json", metavar="FILE", help="measure nothing: print and draw what was saved")
    args = parser.parse_args(argv)
    args.others, args.python = dict(args.others), dict(args.python)
    for name in [*args.others, *args.python]:
        if name not in OTHERS:
            parser.error(f"{name!r} is none of {', '.join(OTHERS)}")
    return args


def pair(text):
    """NAME=VALUE as a pair."""
    name, separator, value = text.partition("=")
    if not separator or not value:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def sizes(text):
    """N,W,R,H,K as :class:`Sizes`."""
    try:
        N, W, R, H, K = map(int, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not N,W,R,H,K") from None
    return Sizes(N=N, W=W, R=R, H=H, K=K)


def plan(args) -> Plan:
    """What to measure and how often."""
    found = (quick_plan if args.quick else full_plan)(args.hps.but(T=args.rows))
    return replace(found, iterations=args.iterations) if args.iterations else found


def thread_settings(threads, environment=os.environ):
    """What to set in the environment for that many threads of BLAS.

    None, the default, is one thread unless the environment says otherwise: at batch 1 the matrices
    are too small for more to pay. 0 changes nothing.
    """
    if threads is None:
        threads = 0 if any(name in environment for name in THREAD_VARIABLES) else 1
    return dict.fromkeys(THREAD_VARIABLES, str(threads)) if threads else {}
