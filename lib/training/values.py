"""Values of command-line arguments: what they may be, and what is said where they are not."""

import argparse
import math
import os


def integer(least, most=2**31 - 1):
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


def rate(text):
    """Parse a positive, finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a positive, finite number, got {text!r}")
    return value


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


def folder(text):
    """A folder, or the path of a new one; nothing is made here."""
    there = os.path.abspath(text)
    while not os.path.lexists(there):
        there = os.path.dirname(there)
    if not text or not os.path.isdir(there):
        raise argparse.ArgumentTypeError(f"must be a folder or the path of a new one, got {text!r}")
    return text
