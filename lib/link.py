"""The Differentiable Neural Computer as a Chainer link, a drop-in for ``chainer.links.LSTM``."""

import chainer
import chainer.links as L
import numpy as np
from chainer.links.rnn.lstm import LSTMBase  # without a state, which programs would find and reset

from . import checks
from .arrays import keep_freed_memory
from .graph import sequence
from .graph.held_state import HeldState
from .graph.hooks import hooks_of
from .graph.node import Unroll
from .graph.sequence import Parameters
from .graph.single_steps import Token, stands_for
from .kept_state import KeepsState, Sizes
from .memory import interface
from .memory.bounds import Options
from .start import initial_bias

keep_freed_memory()


class Controller(chainer.Chain):
    """An LSTM and one linear layer on its output, which gives [ν ; ξ]."""

    def __init__(self, in_size, hidden, bias):
        super().__init__()
        with self.init_scope():
            self.lstm = LSTMBase(in_size, hidden)
            # Given as what the bias starts with, it is there in copies with new parameters too.
            self.linear = L.Linear(hidden, len(bias), initial_bias=bias)


class DNC(KeepsState):
    """Differentiable Neural Computer (Graves et al., Nature 538, 2016).

    An LSTM that reads and writes an external memory M of N words of width W through content
    look-up, allocation of free locations and temporal links between writes. It is called like
    ``chainer.links.LSTM``, one time step a call, or on a whole sequence by :meth:`unroll`, which
    gives the same numbers faster. The state is kept between calls; :meth:`reset_state` clears it.

    No parameter's shape depends on N or K: weights trained on a small memory load into a larger.

    Args:
        X (int or None): width of the input. None defers it to the first call.
        Y (int): width of the output.
        N (int): number of memory locations.
        W (int): width of a word.
        R (int): number of read heads.
        lstm_hidden_dim (int): units H of the controller.
        K (int): entries kept per row of the sparse link matrix. 0, or K ≥ N, is the dense matrix.
        gpu (int): CUDA device to put the link on; -1 is the CPU.
        cell_clip (float or None): each step starts from the controller's cell state clipped to
            ±cell_clip, which then cannot grow with the length of a sequence. None, as in the paper:
            it is not clipped.
        bounded_reads (bool): the controller is fed r / √(1 + |r|²) in place of the read vectors r,
            one norm for all heads; the output still has r itself. False is the paper's.

    The dtype is ``chainer.config.dtype`` at construction, float32 or float64. The biases of the
    interface start as :func:`initialize` sets them; a program that draws all parameters anew calls
    it afterwards.

    Attributes:
        sizes (Sizes): Y, N, W, R, H and K.
        options (Options): cell_clip and bounded_reads.

    Raises:
        TypeError: a size is not an integer, an option of another type, or the dtype another.
        ValueError: a size or ``cell_clip`` is out of range, or ``gpu`` names no usable device.
    """

    def __init__(
        self, X, Y, N, W, R, lstm_hidden_dim, K=8, gpu=-1, *, cell_clip=None, bounded_reads=False
    ):
        if X is not None:
            X = checks.integer("X", X, least=1)
        sizes = {"Y": Y, "N": N, "W": W, "R": R, "lstm_hidden_dim": lstm_hidden_dim}
        Y, N, W, R, H = (checks.integer(name, n, least=1) for name, n in sizes.items())
        K = checks.integer("K", K, least=0)
        entries = N * max(W, R, K if 0 < K < N else N), 4 * H * ((X or 1) + R * W + H)
        checks.holdable(*entries, H * (Y + interface.size(W, R)), Y * R * W, **sizes, X=X, K=K)
        gpu = checks.device(gpu)
        dtype = checks.configured_dtype()
        cell_clip = checks.limit("cell_clip", cell_clip, dtype)
        bounded_reads = checks.flag("bounded_reads", bounded_reads)
        super().__init__(Sizes(Y, N, W, R, H, K), dtype)
        self.options = Options(cell_clip, bounded_reads)
        self._token = None
        in_size = None if X is None else X + R * W
        with self.init_scope():
            self.controller = Controller(in_size, H, initial_bias(self.sizes).astype(self.dtype))
            self.read_out = L.Linear(R * W, Y)
        if gpu >= 0:
            self.to_device(f"@cupy:{gpu}")

    @property
    def X(self):
        """Width of the input, None before the first call where it was deferred."""
        weights = self.controller.lstm.upward.W.array
        return None if weights is None else weights.shape[1] - self.sizes.R * self.sizes.W

    def forward(self, x):
        """One time step.

        Args:
            x: input (B, X), an array or Variable of the link's dtype; more axes than two are
                flattened to X. A batch smaller than that of the state feeds its first sequences;
                the others keep their state.

        Returns:
            ~chainer.Variable: output (B, Y).

        Raises:
            TypeError: ``x`` is no array, or of another dtype.
            ValueError: ``x`` has too few axes or another width, or B has grown.
        """
        x = checks.inputs("x", x, ("B", "X"), self)
        return self._advance(x)

    def unroll(self, xs, lengths=None, recompute=False):
        """A whole sequence: the same numbers and gradients as T calls of the link, faster.

        Args:
            xs: inputs (T, B, X), an array or Variable of the link's dtype; more axes than three
                are flattened to X.
            lengths: for each sequence its number of steps, B ints in 0…T in any order. Its state
                stops changing there, and its later outputs are 0. None: all have T steps.
            recompute: keep about 2√T steps for the gradient in place of T, and run each step twice.
                The numbers are the same up to rounding, as long as no parameter is changed in place
                before the backward pass.

        Returns:
            ~chainer.Variable: outputs (T, B, Y).

        Raises:
            TypeError: ``xs`` is no array, or of another dtype; ``lengths`` are no integers, or
                ``recompute`` is no bool.
            ValueError: ``xs`` has too few axes, another width or no steps, or B has grown;
                ``lengths`` are not B numbers in 0…T.
        """
        recompute = checks.flag("recompute", recompute)
        xs = checks.inputs("xs", xs, ("T", "B", "X"), self)
        T, B, _ = xs.shape
        return self._advance(xs, checks.lengths(lengths, T, B), recompute)

    def _advance(self, xs, lengths=None, recompute=False):
        """Run checked inputs (B, X) or (T, B, X) from the kept state on."""
        self._initialize(xs.shape[-1])
        held = self._held
        if held is None:
            held = HeldState(arrays=self.zero_arrays(xs.shape[-2]))
        with hooks_of(self._inner_links()):
            parameters = self._parameters()
            weights = self._token_of(parameters) if xs.ndim == 2 else parameters
            arrays = Parameters(*(parameter.array for parameter in parameters))
            tokens = self.xp is np  # gradients of tokens are NumPy arrays
            state, fields = held.packed() if tokens else held.fields()
            node = Unroll(sequence, arrays, self.options, state, lengths, tokens, recompute)
            ys, *fields = node.apply((xs, *weights, *fields))
        if len(state.h) > 0:  # an empty batch decides nothing
            self._held = HeldState.after(node.state, fields)
        return ys

    def _inner_links(self):
        lstm = self.controller.lstm
        return (
            lstm.upward,
            lstm.lateral,
            lstm,
            self.controller.linear,
            self.controller,
            self.read_out,
        )

    def _parameters(self):
        lstm, linear, read_out = self.controller.lstm, self.controller.linear, self.read_out
        return Parameters(
            upward_W=lstm.upward.W,
            upward_b=lstm.upward.b,
            lateral_W=lstm.lateral.W,
            linear_W=linear.W,
            linear_b=linear.b,
            read_out_W=read_out.W,
            read_out_b=read_out.b,
        )

    def _token_of(self, parameters):
        """What connects a single step to the parameters in the graph: a token, where it can."""
        if not chainer.config.enable_backprop or self.xp is not np:
            return parameters  # the gradient of a token is a NumPy array
        if not stands_for(self._token, parameters):
            (self._token,) = Token().apply(parameters)
        return (self._token,)

    def _initialize(self, X):
        """Give the weights of a deferred input width their shape, in the dtype of the link."""
        lstm = self.controller.lstm
        if lstm.upward.W.array is not None:
            return
        with self._own_dtype(), chainer.using_device(self.device):
            lstm.upward._initialize_params(X + self.sizes.R * self.sizes.W)
            lstm._initialize_params()

    def copy(self, mode="share"):
        """A copy with a state of its own, which starts a new graph; see ``chainer.Link.copy``."""
        with self._own_dtype():
            copied = super().copy(mode)
        copied._token = None
        return copied

    def __getstate__(self):
        """What pickle and deepcopy take: all but the place in the graph."""
        return {**self.__dict__, "_token": None}

    def serialize(self, serializer):
        """Save or load the parameters; see ``chainer.Link.serialize``."""
        with self._own_dtype():
            super().serialize(serializer)

    def copyparams(self, link, copy_persistent=True):
        """Take over the parameters of another link; see ``chainer.Link.copyparams``."""
        with self._own_dtype():
            super().copyparams(link, copy_persistent)

    def _own_dtype(self):
        """A context in which parameters that get their shape get the dtype of the link too."""
        return chainer.using_config("dtype", self.dtype)
