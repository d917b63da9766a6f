"""What the write head and the read heads do with the memory (Methods, 'Writing', 'Reading')."""

from ..arrays import fused, module_of, times_transposed


def write_weighting(interface, allocated, looked_up):
    """w^w_t = g^w (g^a a_t + (1 - g^a) c^w_t), all (B, N)."""
    return interface.write_gate * mixed_by(interface.allocation_gate, allocated, looked_up)


@fused("T gate, T x, T y", "T mixed", "mixed = gate * x + (1 - gate) * y")
def mixed_by(gate, x, y):
    """G x + (1 - g) y."""
    return gate * x + (1 - gate) * y


def write_weighting_backward(interface, allocated, looked_up, g_weights):
    """Gradients of g^a (B, 1), g^w (B, 1), a_t (B, N) and c^w_t (B, N)."""
    g_a, g_w = interface.allocation_gate, interface.write_gate
    mixed = mixed_by(g_a, allocated, looked_up)
    g_write_gate = (g_weights * mixed).sum(axis=1, keepdims=True)
    g_mixed = g_w * g_weights
    g_allocation_gate = (g_mixed * (allocated - looked_up)).sum(axis=1, keepdims=True)
    return g_allocation_gate, g_write_gate, g_a * g_mixed, (1 - g_a) * g_mixed


def write(memory, weights, erase, vector):
    """M_t = M_{t-1} ∘ (1 - w eᵀ) + w vᵀ.

    Args:
        memory: M_{t-1} (B, N, W).
        weights: w^w_t (B, N).
        erase: e_t (B, W).
        vector: v_t (B, W).
    """
    return written(memory, weights[:, :, None], erase[:, None, :], vector[:, None, :])


@fused("T memory, T weight, T erase, T x", "T y", "y = (1 - weight * erase) * memory + weight * x")
def written(memory, weights, erase, vector):
    """The same for arrays that go together."""
    new = weights * -erase
    new += 1
    new *= memory
    new += weights * vector
    return new


def write_backward(memory, weights, erase, vector, g_memory):
    """Gradients of M_{t-1} (B, N, W), w (B, N), e and v (B, W). Overwrites ``g_memory``, of M_t."""
    g_erased = g_memory * memory
    g_weights = (g_memory @ vector[:, :, None] - g_erased @ erase[:, :, None])[:, :, 0]
    g_erase = -(weights[:, None, :] @ g_erased)[:, 0]
    g_vector = (weights[:, None, :] @ g_memory)[:, 0]
    erased = module_of(memory).multiply(weights[:, :, None], erase[:, None, :], out=g_erased)
    erased *= g_memory
    g_memory -= erased
    return g_memory, g_weights, g_erase, g_vector


def read_weighting(modes, backward, recalled, forward):
    """w^r_t = π[1] b + π[2] c + π[3] f, all (B, R, N); the modes π are (B, R, 3)."""
    pi = (modes[:, :, m, None] for m in range(3))
    return sum_of_three(*pi, backward, recalled, forward)


@fused("T p, T q, T r, T x, T y, T z", "T sum", "sum = p * x + q * y + r * z")
def sum_of_three(p, q, r, x, y, z):
    """P x + q y + r z."""
    total = p * x
    total += q * y
    total += r * z
    return total


def read_weighting_backward(modes, backward, recalled, forward, g_weights):
    """Gradients of π (B, R, 3), b, c and f (B, R, N)."""
    xp = module_of(modes)
    sources = (backward, recalled, forward)
    g_modes = xp.stack([(g_weights * source).sum(axis=2) for source in sources], axis=2)
    return (g_modes, *(modes[:, :, m, None] * g_weights for m in range(3)))


def read(memory, weights):
    """r^i_t = M_tᵀ w^{r,i}_t: M (B, N, W), w (B, R, N) -> (B, R, W)."""
    return weights @ memory


def read_backward(memory, weights, g_vectors):
    """Gradients of M (B, N, W) and w (B, R, N)."""
    return weights.transpose(0, 2, 1) @ g_vectors, times_transposed(g_vectors, memory)
