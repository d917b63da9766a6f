"""Weight decay of what the controller sees of its own past."""


class PastDecay:
    """A hook of an optimiser: the weights that see h and r of the step before shrink, as in AdamW.

    They shrink by rate · alpha at each update, however large their gradients are (Loshchilov and
    Hutter 2019). What the controller looks back at then is what it cannot do without, and its
    steps stay alike, the hundredth like the tenth.

    Args:
        lstm: the controller's, with `upward` and `lateral`.
        X: how many columns of `upward` see the input; the rest see the read vectors.
        rate: of the decay.
    """

    name = "PastDecay"
    timing = "post"
    call_for_each_param = False

    def __init__(self, lstm, X, rate):
        self._lstm, self._X, self._rate = lstm, X, rate

    def __call__(self, optimizer):
        """Shrink them, after an update."""
        upward, lateral = self._lstm.upward.W.array, self._lstm.lateral.W.array
        kept = upward.dtype.type(max(0, 1 - optimizer.alpha * self._rate))
        upward[:, self._X :] *= kept
        lateral *= kept
