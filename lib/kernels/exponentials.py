"""exp and tanh as loops that vectorise: LLVM has none, and those of the C library take one number.

e^x is 2^n e^r, with n a whole number and |r| ≤ ln 2 / 2, where Taylor's series needs few terms. The
numbers are within three units in the last place.
"""

import math

import numpy as np

from .compiled import inlined


def exponential(real, whole, bits, bias, terms, ln2_high, ln2_low):
    """A compiled function of x that gives 2^n and e^r - 1; the second is exact near 0.

    Args:
        real: a type of floating-point numbers.
        whole: one of integers as long.
        bits: of the fraction of such a number.
        bias: of its exponent.
        terms: of the series.
        ln2_high: most of ln 2; its products with n are exact.
        ln2_low: the rest.
    """
    per_ln2, high, low = real(1 / math.log(2)), real(ln2_high), real(ln2_low)
    series = tuple(real(1 / math.factorial(k)) for k in range(terms, 0, -1))
    # A number so large that its last bit counts ones: what is added to it is rounded.
    rounding = real(1.5 * 2.0**bits)
    offset = whole(bias) - rounding.view(whole)

    @inlined
    def split(x):
        rounded = x * per_ln2 + rounding
        n = rounded - rounding
        r = (x - n * high) - n * low
        total = series[0]
        for k in range(1, len(series)):
            total = total * r + series[k]
        power = whole((real(rounded).view(whole) + offset) << whole(bits)).view(real)
        return power, total * r

    return split


SINGLE = exponential(np.float32, np.int32, 23, 127, 7, 0.693359375, -2.12194440054690583e-4)
DOUBLE = exponential(
    np.float64, np.int64, 52, 1023, 13, float.fromhex("0x1.62e42feep-1"), 1.90821492927058770e-10
)
# Below it 2^n would be no normal number.
LOWEST = -87.0, -708.0


@inlined
def exponentiate(x, top):
    """Turn x into exp(x - top), for numbers up to ``top``; below 1e-37 (1e-307) of it into 0."""
    if x.itemsize == 4:
        for i in range(x.size):
            y = np.float32(x[i] - top)
            power, rest = SINGLE(y)
            x[i] = np.float32(0) if y < np.float32(LOWEST[0]) else power + power * rest
    else:
        for i in range(x.size):
            y = np.float64(x[i] - top)
            power, rest = DOUBLE(y)
            x[i] = np.float64(0) if y < LOWEST[1] else power + power * rest


@inlined
def squash(x):
    """Turn x into tanh(x) = (e^2x - 1) / (e^2x + 1)."""
    if x.itemsize == 4:
        for i in range(x.size):
            power, rest = SINGLE(within(np.float32(x[i] + x[i]), np.float32(20)))
            excess = power * rest + (power - np.float32(1))
            x[i] = excess / (excess + np.float32(2))
    else:
        for i in range(x.size):
            power, rest = DOUBLE(within(np.float64(x[i] + x[i]), 40.0))
            excess = power * rest + (power - 1.0)
            x[i] = excess / (excess + 2.0)


@inlined
def within(x, limit):
    """Clip x to ±limit; NaN stays."""
    x = limit if x > limit else x
    return -limit if x < -limit else x
