"""Dynamic memory allocation (Methods, 'Dynamic memory allocation')."""

from typing import Any, NamedTuple

from ..arrays import fused, module_of
from .sorting import gather, scatter, stable_argsort


def retention(free_gates, read_weights):
    """ψ (B, N) = Π_i (1 - f^i w^{r,i}_{t-1}) from f (B, R) and w^r_{t-1} (B, R, N)."""
    return kept_by(free_gates[:, :, None], read_weights).prod(axis=1)


@fused("T gate, T weight", "T kept", "kept = 1 - gate * weight")
def kept_by(gate, weight):
    """1 - f w: what a head leaves of the usage."""
    return 1 - gate * weight


def retention_backward(free_gates, read_weights, g_retention):
    """Gradients of the free gates (B, R) and of the read weights (B, R, N)."""
    kept = kept_by(free_gates[:, :, None], read_weights)
    g_kept = g_retention[:, None, :] * product_of_others(kept)
    g_free_gates = -(g_kept * read_weights).sum(axis=2)
    return g_free_gates, -g_kept * free_gates[:, :, None]


def product_of_others(x):
    """Π_{j≠i} x[:, j] for x (B, R, N), without a division: factors may be 0."""
    xp = module_of(x)
    before, after = xp.ones_like(x), xp.ones_like(x)
    xp.cumprod(x[:, :-1], axis=1, out=before[:, 1:])
    xp.cumprod(x[:, :0:-1], axis=1, out=after[:, -2::-1])
    return before * after


@fused("T usage, T write, T retained", "T u", "u = (usage + write - usage * write) * retained")
def update_usage(usage, write_weights, retained):
    """u_t = (u + w^w - u∘w^w)_{t-1} ∘ ψ_t, all (B, N)."""
    return (usage + write_weights - usage * write_weights) * retained


@fused(
    "T usage, T write, T retained, T g_usage",
    "T g_before, T g_write, T g_retained",
    """T g_written = g_usage * retained;
       g_retained = g_usage * (usage + write - usage * write);
       g_before = g_written * (1 - write);
       g_write = g_written * (1 - usage)""",
)
def update_usage_backward(usage, write_weights, retained, g_usage):
    """Gradients of u_{t-1}, w^w_{t-1} and ψ_t, all (B, N)."""
    g_written = g_usage * retained
    g_retained = g_usage * (usage + write_weights - usage * write_weights)
    return g_written * (1 - write_weights), g_written * (1 - usage), g_retained


class AllocationTrace(NamedTuple):
    """What the gradient of the allocation weighting needs, all (B, N)."""

    order: Any  # φ, locations by ascending usage
    usage: Any  # u[φ_j]
    products: Any  # Π_{i<j} u[φ_i]


def allocation(usage):
    """a[φ_j] = (1 - u[φ_j]) Π_{i<j} u[φ_i], where φ sorts the usage ascending.

    Args:
        usage: u_t (B, N). Ties go to the lower location first.

    Returns:
        The allocation weighting a_t (B, N) and an :class:`AllocationTrace`.
    """
    order = stable_argsort(usage)
    usage = gather(usage, order)
    products = exclusive_products(usage)
    weights = scatter(rest_of(usage, products), order, usage.shape[1])
    return weights, AllocationTrace(order, usage, products)


@fused("T usage, T product", "T weight", "weight = (1 - usage) * product")
def rest_of(usage, product):
    """(1 - u) Π, of each location what those before it have left."""
    return (1 - usage) * product


def allocation_backward(trace, g_weights):
    """Gradient of the usage (B, N); the order is a constant.

    With s_j sorted and P_j = Π_{i<j} s_i, ∂/∂s_k = -P_k g_k + Σ_{j>k} g_j (1 - s_j) P_j / s_k. The
    division is right for k ≥ 1, where s_k = 0 makes P_k, and so the gradient, 0 (the order is
    ascending). For k = 0 the product is formed anew without s_0.
    """
    g = gather(g_weights, trace.order)
    usage, products = trace.usage, trace.products
    g_usage = sums_after(g * (1 - usage) * products)
    g_usage /= usage + (usage == 0)
    g_usage[:, 0] = ((g * (1 - usage))[:, 1:] * exclusive_products(usage[:, 1:])).sum(axis=1)
    g_usage -= products * g
    return scatter(g_usage, trace.order, usage.shape[1])


def exclusive_products(x):
    """Π_{i<j} x_i along the last axis of x (B, N)."""
    xp = module_of(x)
    products = xp.ones_like(x)
    xp.cumprod(x[:, :-1], axis=1, out=products[:, 1:])
    return products


def sums_after(x):
    """Σ_{j>k} x_j along the last axis of x (B, N)."""
    xp = module_of(x)
    sums = xp.zeros_like(x)
    xp.cumsum(x[:, :0:-1], axis=1, out=sums[:, -2::-1])
    return sums
