"""The Differentiable Neural Computer as a Chainer link, a drop-in for ``chainer.links.LSTM``."""

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np

from lib import checks, interface
from lib.arrays import keep_freed_memory
from lib.sequence import Parameters
from lib.sparse_linkage import SparseLink, first_columns, settle_columns
from lib.state import State, map_arrays
from lib.unroll import Unroll
from lib.weights import Token, stands_for

keep_freed_memory()


class Controller(chainer.Chain):
    """An LSTM and one linear layer on its output, which gives [ν ; ξ]."""

    def __init__(self, in_size, hidden, initial_bias):
        super().__init__()
        with self.init_scope():
            self.lstm = L.LSTM(in_size, hidden)
            self.linear = L.Linear(hidden, len(initial_bias), initial_bias=initial_bias)


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

    The dtype is ``chainer.config.dtype`` at construction, float32 or float64.

    Raises:
        TypeError: a size is not an integer, or the dtype is another.
        ValueError: a size is out of range, or ``gpu`` names no usable device.
    """

    def __init__(self, X, Y, N, W, R, lstm_hidden_dim, K=8, gpu=-1):
        if X is not None:
            X = checks.integer("X", X, least=1)
        sizes = {"Y": Y, "N": N, "W": W, "R": R, "lstm_hidden_dim": lstm_hidden_dim}
        Y, N, W, R, H = (checks.integer(name, n, least=1) for name, n in sizes.items())
        K = checks.integer("K", K, least=0)
        gpu = checks.device(gpu)
        super().__init__()
        self.Y, self.N, self.W, self.R, self.H, self.K = Y, N, W, R, H, K
        self.dtype = checks.configured_dtype()
        self._state = None
        self._token = None
        in_size = None if X is None else X + R * W
        with self.init_scope():
            bias = np.append(np.zeros(Y), interface.initial_bias(N, W, R)).astype(self.dtype)
            self.controller = Controller(in_size, H, bias)
            self.read_out = L.Linear(R * W, Y)
        if gpu >= 0:
            self.to_gpu(gpu)

    @property
    def X(self):
        """Width of the input, None before the first call where it was deferred."""
        weights = self.controller.lstm.upward.W.array
        return None if weights is None else weights.shape[1] - self.R * self.W

    @property
    def sparse(self):
        """Whether the link matrix is the top-K sparse one."""
        return 0 < self.K < self.N

    def forward(self, x):
        """One time step.

        Args:
            x: input (B, X), an array or Variable of the link's dtype. A batch smaller than that of
                the state feeds its first sequences; the others keep their state.

        Returns:
            ~chainer.Variable: output (B, Y).

        Raises:
            TypeError: ``x`` is no array, or of another dtype.
            ValueError: ``x`` has another rank or width, is empty, or B has grown.
        """
        checks.inputs("x", x, ("B", "X"), self)
        return self._advance(x, np.ones(len(x), dtype=int))

    def unroll(self, xs, lengths=None, recompute=False):
        """A whole sequence: the same numbers and gradients as T calls of the link, faster.

        Args:
            xs: inputs (T, B, X), an array or Variable of the link's dtype.
            lengths: for each sequence its number of steps, B ints in 0…T in any order. Its state
                stops changing there, and its later outputs are 0. None: all have T steps.
            recompute: keep about 2√T steps for the gradient in place of T, and run each step twice.
                The numbers are the same up to rounding, as long as no parameter is changed in place
                before the backward pass.

        Returns:
            ~chainer.Variable: outputs (T, B, Y).

        Raises:
            TypeError: ``xs`` is no array, or of another dtype; ``lengths`` are no integers.
            ValueError: ``xs`` has another rank or width, is empty, or B has grown; ``lengths`` are
                not B numbers in 0…T.
        """
        checks.inputs("xs", xs, ("T", "B", "X"), self)
        T, B, _ = xs.shape
        return self._advance(xs, checks.lengths(lengths, T, B), recompute)

    def _advance(self, xs, lengths, recompute=False):
        """Run checked inputs (B, X) or (T, B, X) from the kept state on."""
        self._initialize(xs.shape[-1])
        state = self._zero_state(len(lengths)) if self._state is None else self._state
        lengths = np.append(lengths, np.zeros(len(state.h) - len(lengths), dtype=int))
        link, columns = (state.link, None)
        if self.sparse:
            link, columns = link.values, link.columns.array
        parameters = self._parameters()
        arrays = Parameters(*(parameter.array for parameter in parameters))
        weights = self._token_of(parameters) if xs.ndim == 2 else parameters
        node = Unroll(arrays, columns, lengths, recompute)
        ys, *fields = node.apply((xs, *weights, *state._replace(link=link)))
        state = State(*fields)
        if self.sparse:
            columns = chainer.Variable(node.columns, requires_grad=False)
            state = state._replace(link=SparseLink(state.link, columns))
        self._state = state
        return ys

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
        if not chainer.config.enable_backprop or self.xp is not np or chainer.is_debug():
            return parameters  # arrays of objects are NumPy's, and not to be searched for NaN
        if not stands_for(self._token, parameters):
            (self._token,) = Token().apply(parameters)
        return (self._token,)

    def _initialize(self, X):
        """Give the weights of a deferred input width their shape, in the dtype of the link."""
        lstm = self.controller.lstm
        if lstm.upward.W.array is not None:
            return
        with self._own_dtype(), chainer.using_device(self.device):
            lstm.upward._initialize_params(X + self.R * self.W)
            lstm._initialize_params()

    def state_shapes(self, B):
        """The :class:`State` of the fields' shapes for a batch of B."""
        N, W, R, H, K = self.N, self.W, self.R, self.H, self.K
        # Lists: map_arrays goes into tuples.
        link = SparseLink([B, N, K], [B, N, K]) if self.sparse else [B, N, N]
        return State([B, N, W], [B, N], [B, N], link, [B, N], [B, R, N], [B, R * W], [B, H], [B, H])

    def _zero_state(self, B):
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

    def set_state(self, state):
        """Go on from ``state``, as :meth:`get_state` gives it.

        Args:
            state: its nine fields, Variables or arrays; gradients flow into Variables. None, for
                the state or a field, means zero.

        Raises:
            TypeError: something is no array, or of another dtype.
            ValueError: a field is missing or has another shape.
        """
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

        state = map_arrays(variable, state, self._zero_state(len(leaves[0])))
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
        """The same as :meth:`get_h`."""
        return self.get_h()

    @property
    def c(self):
        """The same as :meth:`get_c`."""
        return self.get_c()

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


def detached_copy(variable):
    """A Variable of the same numbers outside the graph."""
    return chainer.Variable(variable.array.copy(), requires_grad=variable.requires_grad)
