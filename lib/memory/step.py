"""One step of the external memory, in the paper's order, forward and backward, on arrays.

B batch, N locations, W word width, R read heads, K entries kept per row of a sparse link matrix.
"""

from typing import Any, NamedTuple

from . import allocation, content, heads, interface, linkage, sparse_linkage


class MemoryState(NamedTuple):
    """What one memory step hands to the next; also the shape of its gradient."""

    memory: Any  # M (B, N, W)
    usage: Any  # u (B, N)
    precedence: Any  # p (B, N)
    link: Any  # L (B, N, N), or a SparseLink of values and columns (B, N, K)
    write_weights: Any  # w^w (B, N)
    read_weights: Any  # w^r (B, R, N)


class MemoryTrace(NamedTuple):
    """What the gradient of one step needs: O(N·(R+K)) numbers besides the two states."""

    before: MemoryState
    after: MemoryState
    row_scales_before: Any  # 1 / |M_{t-1}[i]| (B, N)
    row_scales: Any  # 1 / |M_t[i]| (B, N)
    interface: interface.Interface
    retained: Any  # ψ (B, N)
    allocated: Any  # a (B, N)
    allocation: allocation.AllocationTrace
    write_content: content.ContentTrace
    read_content: content.ContentTrace
    link: Any
    forward: Any  # f (B, R, N)
    backward: Any  # b (B, R, N)


def step(state, row_scales, xi):
    """One memory step.

    Args:
        state: the :class:`MemoryState` of t - 1.
        row_scales: 1 / |M_{t-1}[i]| (B, N), the ``row_scales`` of the trace of the step before.
        xi: the interface vector ξ_t (B, W·R + 3W + 5R + 3).

    Returns:
        The :class:`MemoryState` of t, the read vectors (B, R·W) and a :class:`MemoryTrace`.
    """
    links = linkage_for(state.link)
    i = interface.parse(xi, state.memory.shape[2], state.read_weights.shape[1])

    retained = allocation.retention(i.free_gates, state.read_weights)
    usage = allocation.update_usage(state.usage, state.write_weights, retained)
    allocated, allocation_trace = allocation.allocation(usage)
    looked_up, write_content = content.content_weighting(
        state.memory, row_scales, i.write_key, i.write_strength
    )
    write_weights = heads.write_weighting(i, allocated, looked_up[:, 0])
    memory = heads.write(state.memory, write_weights, i.erase, i.write_vector)

    link, link_trace = links.update_link(state.link, state.precedence, write_weights)
    precedence = linkage.update_precedence(state.precedence, write_weights)
    forward = links.forward_weighting(link, state.read_weights)
    backward = links.backward_weighting(link, state.read_weights)

    scales = content.inverse_norms(memory)
    recalled, read_content = content.content_weighting(
        memory, scales, i.read_keys, i.read_strengths
    )
    read_weights = heads.read_weighting(i.read_modes, backward, recalled, forward)
    read_vectors = heads.read(memory, read_weights).reshape(len(xi), -1)

    after = MemoryState(memory, usage, precedence, link, write_weights, read_weights)
    trace = MemoryTrace(
        before=state,
        after=after,
        row_scales_before=row_scales,
        row_scales=scales,
        interface=i,
        retained=retained,
        allocated=allocated,
        allocation=allocation_trace,
        write_content=write_content,
        read_content=read_content,
        link=link_trace,
        forward=forward,
        backward=backward,
    )
    return after, read_vectors, trace


def linkage_for(link):
    """The module whose functions handle this form of link matrix."""
    return sparse_linkage if isinstance(link, sparse_linkage.SparseLink) else linkage


def step_backward(trace, g, g_read_vectors):
    """The gradient of :func:`step`, its stages in reverse.

    Args:
        trace: its :class:`MemoryTrace`.
        g: gradients of the :class:`MemoryState` of t, ``g.link`` that of the values where the link
            is sparse. Its memory and link are overwritten.
        g_read_vectors: gradient of the read vectors (B, R·W).

    Returns:
        The gradients of the state of t - 1, in the same form, and of ξ_t.
    """
    g_forward, g_backward, g_reading = read_backward(trace, g, g_read_vectors)
    g, g_written = link_backward(trace, g, g_forward, g_backward)
    g_allocated, g_writing = write_backward(trace, g, g_written)
    g, g_freeing = usage_backward(trace, g, g_allocated)
    g_interface = interface.Interface(**g_reading, **g_writing, **g_freeing)
    return g, interface.parse_backward(trace.interface, g_interface)


def read_backward(trace, g, g_read_vectors):
    """Gradients of f and b (B, R, N) and of the fields of the interface used in reading.

    Adds the gradient of the memory to ``g.memory``.
    """
    i, after = trace.interface, trace.after
    g_memory, g_weights = heads.read_backward(
        after.memory, after.read_weights, g_read_vectors.reshape(i.read_keys.shape)
    )
    g_weights += g.read_weights
    g_modes, g_backward, g_recalled, g_forward = heads.read_weighting_backward(
        i.read_modes, trace.backward, trace.read_content.weights, trace.forward, g_weights
    )
    g_recalling, g_keys, g_strengths = content.content_weighting_backward(
        trace.read_content, after.memory, trace.row_scales, i.read_strengths, g_recalled
    )
    g_memory += g_recalling
    g.memory[...] += g_memory
    g_reading = {"read_keys": g_keys, "read_strengths": g_strengths, "read_modes": g_modes}
    return g_forward, g_backward, g_reading


def link_backward(trace, g, g_forward, g_backward):
    """``g`` with link, precedence and read weights of t - 1, and the gradient of w^w_t (B, N)."""
    before, after = trace.before, trace.after
    links = linkage_for(after.link)
    g_read_weights = links.backward_weighting(after.link, g_forward)
    g_read_weights += links.forward_weighting(after.link, g_backward)
    links.add_outer(g.link, after.link, g_forward, before.read_weights)
    links.add_outer(g.link, after.link, before.read_weights, g_backward)
    g_precedence, g_written = linkage.update_precedence_backward(
        before.precedence, after.write_weights, g.precedence
    )
    g_link, g_previous, g_linked = links.update_link_backward(
        trace.link, before.link, before.precedence, after.write_weights, g.link
    )
    g_precedence += g_previous
    g_written += g_linked
    g_written += g.write_weights
    return g._replace(link=g_link, precedence=g_precedence, read_weights=g_read_weights), g_written


def write_backward(trace, g, g_written):
    """Gradients of a_t (B, N) and of the fields of the interface used in writing.

    Turns ``g.memory`` from the gradient of M_t into that of M_{t-1}.
    """
    i, before, after = trace.interface, trace.before, trace.after
    g_memory, g_weights, g_erase, g_vector = heads.write_backward(
        before.memory, after.write_weights, i.erase, i.write_vector, g.memory
    )
    g_weights += g_written
    g_allocation_gate, g_write_gate, g_allocated, g_looked_up = heads.write_weighting_backward(
        i, trace.allocated, trace.write_content.weights[:, 0], g_weights
    )
    g_looking, g_key, g_strength = content.content_weighting_backward(
        trace.write_content,
        before.memory,
        trace.row_scales_before,
        i.write_strength,
        g_looked_up[:, None, :],
    )
    g_memory += g_looking
    return g_allocated, {
        "write_key": g_key,
        "write_strength": g_strength,
        "erase": g_erase,
        "write_vector": g_vector,
        "allocation_gate": g_allocation_gate,
        "write_gate": g_write_gate,
    }


def usage_backward(trace, g, g_allocated):
    """``g`` with usage, write weights and read weights of t - 1, and the gradient of f."""
    before, free_gates = trace.before, trace.interface.free_gates
    g_usage = g.usage + allocation.allocation_backward(trace.allocation, g_allocated)
    g_usage, g_write_weights, g_retained = allocation.update_usage_backward(
        before.usage, before.write_weights, trace.retained, g_usage
    )
    g_free_gates, g_freed = allocation.retention_backward(
        free_gates, before.read_weights, g_retained
    )
    g_read_weights = g.read_weights + g_freed
    g = g._replace(usage=g_usage, write_weights=g_write_weights, read_weights=g_read_weights)
    return g, {"free_gates": g_free_gates}
