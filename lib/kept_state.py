"""The state that a DNC keeps from one call to the next."""

from typing import NamedTuple

import chainer
import chainer.functions as F

from . import checks
from .graph.held_state import HeldState, constant
from .memory.sparse_linkage import SparseLink, first_columns, settle_columns
from .state import State, map_arrays


class Sizes(NamedTuple):
    """The sizes of a :class:`DNC`, by the paper's symbols; all but the width of its input."""

    Y: int  #: width of the output
    N: int  #: memory locations
    W: int  #: width of a word
    R: int  #: read heads
    H: int  #: units of the controller
    K: int  #: entries kept per row of the link matrix, 0 or K ≥ N: all


class KeepsState(chainer.Chain):
    """A chain with the recurrent state of a DNC, of a batch of sequences, or none before the first.

    Args:
        sizes (Sizes): see there.
        dtype: of all that is not an index.
    """

    def __init__(self, sizes, dtype):
        super().__init__()
        self.sizes = sizes
        self.dtype = dtype
        self._held = None

    @property
    def sparse(self):
        """Whether the link matrix is the top-K sparse one."""
        return 0 < self.sizes.K < self.sizes.N

    def state_shapes(self, B):
        """The :class:`State` of the fields' shapes for a batch of B."""
        _, N, W, R, H, K = self.sizes
        # Lists: map_arrays goes into tuples.
        link = SparseLink([B, N, K], [B, N, K]) if self.sparse else [B, N, N]
        return State([B, N, W], [B, N], [B, N], link, [B, N], [B, R, N], [B, R * W], [B, H], [B, H])

    def zero_state(self, B):
        """The :class:`State` from which a batch of B sequences starts, as Variables."""
        return map_arrays(constant, self.zero_arrays(B))

    def zero_arrays(self, B):
        """The same as arrays."""
        with chainer.using_device(self.device):
            state = map_arrays(lambda shape: self.xp.zeros(shape, self.dtype), self.state_shapes(B))
            if self.sparse:
                columns = self.xp.array(first_columns(state.link.values.shape, self.xp))
                state = state._replace(link=state.link._replace(columns=columns))
        return state

    @property
    def _state(self):
        """The state as Variables, or None."""
        return None if self._held is None else self._held.variables()

    @_state.setter
    def _state(self, state):
        self._held = None if state is None else HeldState(variables=state)

    @property
    def batch_size(self):
        """How many sequences the state has, None before the first step."""
        return None if self._held is None else len(self._held)

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
                with chainer.using_device(self.device):  # CuPy copies to the current one
                    given = self.device.send(given.copy())
                return chainer.Variable(given, requires_grad=False)
            return given if given.device == self.device else F.copy(given, self.device)

        state = map_arrays(variable, state, self.zero_state(len(leaves[0])))
        if self.sparse:
            with chainer.using_device(self.device):
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
        copied = super().copy(mode)
        if self._state is not None:
            copied._state = map_arrays(detached_copy, self._state)
        return copied


def cut(variable):
    """A Variable of the same array outside the graph."""
    return constant(variable.array)


def detached_copy(variable):
    """A Variable of the same numbers outside the graph."""
    with chainer.using_device(variable.device):  # CuPy copies to the current one
        return chainer.Variable(variable.array.copy(), requires_grad=variable.requires_grad)
