"""The Differentiable Neural Computer as a Chainer link, a drop-in for ``chainer.links.LSTM``."""

from typing import NamedTuple

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
from chainer.links.rnn.lstm import LSTMBase  # without a state, which programs would find and reset

from . import checks
from .arrays import keep_freed_memory
from .graph import sequence
from .graph.hooks import hooks_of
from .graph.node import Unroll
from .graph.sequence import Parameters
from .graph.single_steps import Token, stands_for
from .memory.bounds import Options
from .memory.sparse_linkage import SparseLink, first_columns, settle_columns
from .start import initial_bias
from .state import State, map_arrays

keep_freed_memory()


class Sizes(NamedTuple):
    """The sizes of a :class:`DNC`, by the paper's symbols; all but the width of its input."""

    Y: int  #: width of the output
    N: int  #: memory locations
    W: int  #: width of a word
    R: int  #: read heads
    H: int  #: units of the controller
    K: int  #: entries kept per row of the link matrix, 0 or K ≥ N: all


class Controller(chainer.Chain):
    """An LSTM and one linear layer on its output, which gives [ν ; ξ]."""

    def __init__(self, in_size, hidden, bias):
        super().__init__()
        with self.init_scope():
            self.lstm = LSTMBase(in_size, hidden)
            # Given as what the bias starts with, it is there in copies with new parameters too.
            self.linear = L.Linear(hidden, len(bias), initial_bias=bias)


class DNC(chainer.Chain):
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
        gpu = checks.device(gpu)
        dtype = checks.configured_dtype()
        cell_clip = checks.limit("cell_clip", cell_clip, dtype)
        bounded_reads = checks.flag("bounded_reads", bounded_reads)
        super().__init__()
        self.sizes = Sizes(Y, N, W, R, H, K)
        self.options = Options(cell_clip, bounded_reads)
        self.dtype = dtype
        self._state = None
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

    @property
    def sparse(self):
        """Whether the link matrix is the top-K sparse one."""
        return 0 < self.sizes.K < self.sizes.N

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
        return self._advance(x, np.ones(len(x), dtype=int))

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
            TypeError: ``xs`` is no array, or of another dtype; ``lengths`` are no integers.
            ValueError: ``xs`` has too few axes, another width or no steps, or B has grown;
                ``lengths`` are not B numbers in 0…T.
        """
        xs = checks.inputs("xs", xs, ("T", "B", "X"), self)
        T, B, _ = xs.shape
        return self._advance(xs, checks.lengths(lengths, T, B), recompute)

    def _advance(self, xs, lengths, recompute=False):
        """Run checked inputs (B, X) or (T, B, X) from the kept state on."""
        self._initialize(xs.shape[-1])
        state = self._state or self.zero_state(len(lengths))
        link, columns = (state.link, None)
        if self.sparse:
            link, columns = link.values, link.columns.array
        with hooks_of(self._inner_links()):
            parameters = self._parameters()
            weights = self._token_of(parameters) if xs.ndim == 2 else parameters
            arrays = Parameters(*(parameter.array for parameter in parameters))
            node = Unroll(sequence, arrays, self.options, State, lengths, columns, recompute)
            ys, *fields = node.apply((xs, *weights, *state._replace(link=link)))
        if len(state.h) > 0:  # an empty batch decides nothing
            self._state = self._next_state(State(*fields), node.columns)
        return ys

    def _next_state(self, state, columns):
        if self.sparse:
            columns = chainer.Variable(columns, requires_grad=False)
            state = state._replace(link=SparseLink(state.link, columns))
        return state

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

    def state_shapes(self, B):
        """The :class:`State` of the fields' shapes for a batch of B."""
        _, N, W, R, H, K = self.sizes
        # Lists: map_arrays goes into tuples.
        link = SparseLink([B, N, K], [B, N, K]) if self.sparse else [B, N, N]
        return State([B, N, W], [B, N], [B, N], link, [B, N], [B, R, N], [B, R * W], [B, H], [B, H])

    def zero_state(self, B):
        """The :class:`State` from which a batch of B sequences starts, as Variables."""

        def zeros(shape):
            return chainer.Variable(self.xp.zeros(shape, self.dtype), requires_grad=False)

        with chainer.using_device(self.device):
            state = map_arrays(zeros, self.state_shapes(B))
            if self.sparse:
                columns = self.xp.array(first_columns(state.link.values.shape, self.xp))
                columns = chainer.Variable(columns, requires_grad=False)
                state = state._replace(link=state.link._replace(columns=columns))
        return state

    def reset_state(self):
        """Go back to the zero state; the next call may have any batch size."""
        self._state = None

    def get_state(self):
        """The state after the last step.

        Returns:
            State or None: a NamedTuple of Variables, batch first: ``memory`` (B, N, W), ``usage``
            (B, N), ``precedence`` (B, N), ``link`` (dense: (B, N, N); sparse: a pair of ``values``
            (B, N, K) and int32 ``columns`` (B, N, K)), ``write_weights`` (B, N), ``read_weights``
            (B, R, N), ``read_vectors`` (B, R·W), ``c`` (B, H) and ``h`` (B, H). None before the
            first step. Gradients flow through it; it never changes afterwards.
        """
        return self._state

    def set_state(self, state=None, h=None, *, c=None):
        """Go on from ``state``, as :meth:`get_state` gives it.

        Also called as that of ``chainer.links.LSTM``, ``set_state(c, h)``: all of the state is
        then given, the memory is empty. (To keep it, assign ``model.c`` and ``model.h``.)

        Args:
            state: its nine fields, Variables or arrays; gradients flow into Variables. None, for
                the state or a field, means zero.
            h: output of the controller (B, H), where only the controller's state is given.
            c: its cell state (B, H); also the first argument where ``h`` is the second.

        Raises:
            TypeError: something is no array, or of another dtype.
            ValueError: a field is missing or has another shape.
        """
        if state is not None and c is not None:
            raise TypeError("state and c exclude each other: set_state(state) or set_state(c, h)")
        if h is not None or c is not None:
            state = State(*[None] * 7, c=state if c is None else c, h=h)
        state = None if state is None else checks.state(state, self)
        self._state = None if state is None else self._adopt(state)

    def _adopt(self, state):
        """A checked state as Variables on the device of the link, its missing fields zero."""
        leaves = [field for _, field in checks.named_fields(state) if field is not None]

        def variable(given, zero):
            if given is None:
                return zero
            if not isinstance(given, chainer.Variable):
                return chainer.Variable(self.device.send(given.copy()), requires_grad=False)
            return given if given.device == self.device else F.copy(given, self.device)

        state = map_arrays(variable, state, self.zero_state(len(leaves[0])))
        if self.sparse:
            columns = settle_columns(state.link.values.array, state.link.columns.array)
            columns = chainer.Variable(columns, requires_grad=False)
            state = state._replace(link=state.link._replace(columns=columns))
        return state

    def get_h(self):
        """Output of the controller (B, H), a Variable, or None before the first step."""
        return None if self._state is None else self._state.h

    def get_c(self):
        """Cell state of the controller (B, H), a Variable, or None before the first step."""
        return None if self._state is None else self._state.c

    @property
    def h(self):
        """The same as :meth:`get_h`; what is assigned replaces it, the rest of the state stays.

        An array, or a Variable that nothing led to, cuts the graph before, as ``h = h.array`` does
        in an LSTM; so for all of the state. None, as programs assign it to reset an LSTM, resets
        the whole state.
        """
        return self.get_h()

    @h.setter
    def h(self, h):
        self._assign("h", h)

    @property
    def c(self):
        """The same as :meth:`get_c`; assigned as :attr:`h` is."""
        return self.get_c()

    @c.setter
    def c(self, c):
        self._assign("c", c)

    def _assign(self, name, value):
        if value is None:
            return self.reset_state()
        state = self._state or State(*[None] * 9)
        if self._state and getattr(value, "creator_node", None) is None:
            state = map_arrays(cut, state)
        self.set_state(state._replace(**{name: value}))

    def device_resident_accept(self, visitor):
        """Move parameters and state to another device; the moved state starts a new graph."""
        super().device_resident_accept(visitor)
        if self._state is not None:
            self._state = map_arrays(detached_copy, self._state)
            map_arrays(visitor.visit_variable, self._state)

    def copy(self, mode="share"):
        """A copy with a state of its own, which starts a new graph; see ``chainer.Link.copy``."""
        with self._own_dtype():
            copied = super().copy(mode)
        copied._token = None
        if self._state is not None:
            copied._state = map_arrays(detached_copy, self._state)
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


def cut(variable):
    """A Variable of the same array outside the graph."""
    return chainer.Variable(variable.array, requires_grad=False)


def detached_copy(variable):
    """A Variable of the same numbers outside the graph."""
    return chainer.Variable(variable.array.copy(), requires_grad=variable.requires_grad)
