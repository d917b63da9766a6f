// The LSTM cell, a thread a unit: cell() and cell_backward() of memory/cell.py.

// c_t and h_t (B, H) from c_{t-1} and the gates before activation z (B, H, 4), a, i, f, o.
extern "C" __global__ void dnc_cell(const real* c, const real* z, real* gates, real* new_c, real* h,
                                    real* squashed, int count) {
    size_t at = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at >= count) return;
    real* g = gates + 4 * at;
    g[0] = tanh(z[4 * at]);
    for (int k = 1; k < 4; k++) g[k] = tanh(z[4 * at + k] * real(0.5)) * real(0.5) + real(0.5);
    new_c[at] = g[0] * g[1] + g[2] * c[at];
    squashed[at] = tanh(new_c[at]);
    h[at] = g[3] * squashed[at];
}

// Gradients of c_{t-1} (B, H) and of z (B, H, 4).
extern "C" __global__ void dnc_cell_backward(const real* gates, const real* c, const real* squashed,
                                             const real* g_c, const real* g_h, real* g_before,
                                             real* g_z, int count) {
    size_t at = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at >= count) return;
    real a = gates[4 * at], i = gates[4 * at + 1], f = gates[4 * at + 2], o = gates[4 * at + 3];
    real s = squashed[at], g_new = g_c[at] + g_h[at] * o * (1 - s * s);
    g_z[4 * at] = g_new * i * (1 - a * a);
    g_z[4 * at + 1] = g_new * a * i * (1 - i);
    g_z[4 * at + 2] = g_new * c[at] * f * (1 - f);
    g_z[4 * at + 3] = g_h[at] * s * o * (1 - o);
    g_before[at] = g_new * f;
}
