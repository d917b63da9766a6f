"""``python -m experiments.written ...``: dnc.py with a sort written into the start of its weights.

With --score first, its tests in place of ``experiments.scoring``.

Not what a DNC learns, but what one can hold: training finds a sort of as many items as it has seen,
this start one of any number. Rows are kept by how near they are to one key, and handed out nearest
first:

- Input: each row goes to a fresh location as a linear image of itself, whose part along the key
  falls with the first column. Nothing is read.
- The delimiter is kept too, as what is nearest. It sets units that remember it; they turn the
  biases of the input into those of the output, and a second lot, a step later, shuts the allocation
  gate.
- Output: each step overwrites what is nearest with the opposite of the key, and reads what is
  nearest then. (A row that is scaled, as by the erase gate, keeps its cosine: it must be replaced.)

The read-out starts at zero and is learnt. An image is large and the rate small, since what counts
is the angle, and steps of Adam have a fixed length.
"""

import math
import sys
from unittest import mock

import numpy as np

import dnc
from experiments import scoring
from lib import start
from lib.memory import interface

PHASE = 16  # units that remember the delimiter, and as many that follow a step later
SHARP = 3000  # strength of all look-ups: neighbours differ by a few thousandths
KEY, KEPT, PLACE, FALL = 160, 256, 120, 88  # lengths along the key and across it
# What such a unit gives once it is set, in the first step and from then on, near enough.
FIRST, LATER = 0.72, 0.7


def write_a_sort(model, memory, input_scale, forget_bias):
    """In the place of ``lib.initialize``."""
    start.start_controller(model.controller.lstm, model.X, input_scale, forget_bias)
    write_phases(model.controller.lstm, model.X)
    write_interface(model)
    model.read_out.W.array[...] = 0


def write_phases(lstm, X):
    """Units [0, PHASE) are set by the last column and stay so, the next PHASE follow them."""
    upward, lateral, bias = (  # unit by unit (a, i, f, o)
        parameter.array.reshape(-1, 4, *parameter.shape[1:])
        for parameter in (lstm.upward.W, lstm.lateral.W, lstm.upward.b)
    )
    first, second = slice(PHASE), slice(PHASE, 2 * PHASE)
    upward[:, :, X:] = 0
    upward[: 2 * PHASE] = lateral[: 2 * PHASE] = 0
    lateral[:, :, PHASE:] = 0
    upward[first, :, X - 1] = 3, 12, 0, -6  # seen from the step after the delimiter on
    bias[first] = 0, -6, 6, 3
    lateral[second, 0, first] = 3 / (FIRST * PHASE)
    bias[second] = 0, 3, -8, 3


def write_interface(model):
    """The linear layer: biases for the input, what the phases add to them, the image of a row."""
    Y, W, R, X = model.sizes.Y, model.sizes.W, model.sizes.R, model.X
    at = interface.layout(W, R)
    linear, bias = model.controller.linear.W.array, model.controller.linear.b.array
    linear[...], bias[:Y], bias[Y:] = 0, 0, of_input(at, W, R)
    change, late = to_output(at, W, R)
    linear[Y:, :PHASE] = change[:, None] / (FIRST * PHASE)
    linear[Y:, PHASE : 2 * PHASE] = late[:, None] / (LATER * PHASE)
    image = np.random.normal(0, 16 / math.sqrt(W), (W, X))
    image[:2] = 0
    image[1, 0], image[1, -1] = -FALL, KEY
    units = model.controller.lstm.upward.W.array.reshape(-1, 4, X + R * W)[2 * PHASE :, :, :X]
    linear[Y:][at.write_vector, 2 * PHASE :] = image @ inverse(units)


def of_input(at, W, R):
    """The bias of ξ while rows come in."""
    kept, key = np.eye(W)[:2]
    bias = np.zeros(interface.size(W, R))
    bias[at.read_keys] = np.tile(KEY * key, R)
    bias[at.write_key] = KEY * key
    bias[at.read_strengths] = bias[at.write_strength] = SHARP
    bias[at.write_gate] = bias[at.erase] = 5
    bias[at.free_gates] = -5
    bias[at.allocation_gate] = 20  # at less, all empty rows get a trace, and a cosine with the key
    bias[at.write_vector] = KEPT * kept + PLACE * key
    bias[at.read_modes] = np.tile([0, -5, 0], R)
    return bias


def to_output(at, W, R):
    """What the first phase adds to that bias, and what the second."""
    kept, key = np.eye(W)[:2]
    change, late = np.zeros((2, interface.size(W, R)))
    change[at.write_vector] = -KEPT * kept - 2 * PLACE * key
    change[at.read_modes] = np.tile([0, 10, 0], R)
    late[at.allocation_gate] = -25
    return change, late


def inverse(units):
    """The linear map (X, H) that best gives inputs back from what units (H, 4, X) make of them.

    Least squares over rows of zeros, ones and numbers from −1 to 1, slightly regularised.
    """
    X = units.shape[2]
    x = np.random.uniform(-1, 1, (4000, X))
    x = np.choose(np.random.randint(0, 3, x.shape), [0, 1, x])
    a, i, _, o = np.moveaxis(units @ x.T, 1, 0)  # each (H, 4000)
    h = (np.tanh(np.tanh(a) * sigmoid(i)) * sigmoid(o)).T
    return np.linalg.solve(start.regularised_square(h, 1e-4), h.T @ x).T


def sigmoid(z):
    """σ."""
    return 1 / (1 + np.exp(-z))


def main(arguments):
    """Train, or with --score first test as ``experiments.scoring`` does; the exit status."""
    with mock.patch.object(dnc, "initialize", write_a_sort):
        if arguments[:1] == ["--score"]:
            return scoring.main(*arguments[1:])
        return dnc.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
