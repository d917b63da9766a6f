"""Values of command-line arguments: what they may be, and what is said where they are not."""

import argparse
import errno
import math
import os

MOST = 2**31 - 1  # of an integer


def integer(least, most=MOST):
    """A parser of integers within these bounds."""

    def parse(text):
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f"must be an integer from {least} to {most}, got {text!r}"
            )
        return value

    return parse


def number(allowed, fits):
    """A parser of numbers for which ``fits`` is true; ``allowed`` says which these are."""

    def parse(text):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and fits(value)):
            raise argparse.ArgumentTypeError(f"must be {allowed}, got {text!r}")
        return value

    return parse


rate = number("a positive, finite number", lambda value: value > 0)
bound = number("a finite number of at least 0", lambda value: value >= 0)
share = number("a number from 0 to below 1", lambda value: 0 <= value < 1)
# What becomes a weight, or limits what float32 holds: its range, with room for sums.
weight = number("a number from -1e30 to 1e30", lambda value: abs(value) <= 1e30)
scale = number("a number from 0 to 1e30", lambda value: 0 <= value <= 1e30)
clip = number(
    "0, or a number from 1e-30 to 1e30", lambda value: value == 0 or 1e-30 <= value <= 1e30
)


def picture(text):
    """The path of a picture to be made, in a folder that is there."""
    kinds = (".png", ".svg", ".pdf")
    there = os.path.isdir(os.path.dirname(text) or ".") and not os.path.isdir(text)
    if not there or os.path.splitext(text)[1].lower() not in kinds:
        raise argparse.ArgumentTypeError(
            f"must be a file {', '.join(kinds)} in a folder that is there, got {text!r}"
        )
    return text


def switch(text):
    """Parse "True" or "False"."""
    if text not in ("True", "False"):
        raise argparse.ArgumentTypeError(f"must be True or False, got {text!r}")
    return text == "True"


def one_of(*choices):
    """A parser of a few words."""

    def parse(text):
        if text not in choices:
            raise argparse.ArgumentTypeError(f"must be one of {', '.join(choices)}, got {text!r}")
        return text

    return parse


def sizes(text):
    """Parse "N,W,R,H,K" to a tuple of five ints."""
    try:
        N, W, R, H, K = text.split(",")
        return (*map(integer(1), (N, W, R, H)), integer(0)(K))
    except (ValueError, argparse.ArgumentTypeError):
        raise argparse.ArgumentTypeError(
            "must be five integers N,W,R,H,K separated by commas, N, W, R and H at least 1 and "
            f"K at least 0, got {text!r}"
        ) from None


def _absolute(path):
    """The path from the root; ArgumentTypeError where it is relative to a folder that is gone."""
    try:
        return os.path.abspath(path)
    except FileNotFoundError:
        raise argparse.ArgumentTypeError(
            f"must be an absolute path, as the working directory has been removed, got {path!r}"
        ) from None


def folder(text):
    """A folder, or the path of a new one; nothing is made here."""
    there = nearest(_absolute(text))
    one_line = text.splitlines() == [text]  # as what is said of it has to be
    if not one_line or there is None or not os.path.isdir(there):
        raise argparse.ArgumentTypeError(f"must be a folder or the path of a new one, got {text!r}")
    return text


def nearest(path):
    """The path, or what there is of it; None where there can be no such path."""
    while True:
        try:
            os.lstat(path)
            return path
        except ValueError:  # a character that no path has
            return None
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return None
        if os.path.dirname(path) == path:  # a drive that is not there
            return None
        path = os.path.dirname(path)
