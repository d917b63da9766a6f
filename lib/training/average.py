"""Weights averaged over training (Polyak and Juditsky 1992), tested in place of the last ones.

The average moves a little towards the weights after each update, so that it forgets the start and
evens out the last few thousand steps. Training itself never sees it.
"""

import numpy as np

from ..arrays import module_of
from ..kernels.backends import use_compiled


class WeightAverage:
    """The exponential moving average of a model's weights, as a copy of the model.

    Args:
        model: a link whose parameters are initialised.
        decay: of each update, 0 < decay < 1. The first updates decay faster, as (1 + n) / (10 + n)
            after n of them, so that a short run is not held back by its random start.

    Attributes:
        link: the copy.
    """

    def __init__(self, model, decay):
        self.link = model.copy(mode="copy")
        self._decay = decay
        self._updates = 0
        self._pairs = list(zip(self.link.params(), model.params()))

    def update(self):
        """Take in the model's present weights."""
        rate = 1 - min(self._decay, (1 + self._updates) / (10 + self._updates))
        self._updates += 1
        for mean, weight in self._pairs:
            approach(mean.array, weight.array, rate)

    def serialize(self, serializer):
        """Save or load the averaged weights and the number of updates."""
        self._updates = int(serializer("updates", np.asarray(self._updates)))
        self.link.serialize(serializer)


def approach(mean, weight, rate):
    """Move ``mean`` by ``rate`` of its way to ``weight``, in one pass where loops are compiled."""
    rate = mean.dtype.type(rate)
    whole = mean.flags.c_contiguous and weight.flags.c_contiguous
    if module_of(mean) is np and whole and use_compiled():
        from ..kernels.adam_pass import approach as one_pass

        one_pass(mean.reshape(-1), weight.reshape(-1), rate)
    else:
        mean += rate * (weight - mean)
