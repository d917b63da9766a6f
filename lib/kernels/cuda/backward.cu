// The gradient of one memory step: step_backward() of memory/step.py, in phases. Of what other
// blocks write in a phase, none of them reads anything.

// Where a block writes its part of the gradient of the interface vector.
__device__ real* own_part(const Backward& s) { return s.g_active + blockIdx.y * s.at.size; }

// From g, the gradient of w^r_t (R, N) by way of what was read and of what follows: those of the
// modes, and of what they mix, b, c and f; a warp a head.
__device__ void modes_backward(const Backward& s) {
    int lane = threadIdx.x % 32, N = s.N;
    for (int r = threadIdx.x / 32; r < s.R; r += blockDim.x / 32) {
        const real *pi = s.active + s.at.read_modes + 3 * r, *c = s.content + N;
        real of[3] = {0, 0, 0};
        for (int n = s.first + lane; n < s.end; n += 32) {
            int at = r * N + n;
            real g = s.g_weights[at] + s.g_new_read[at];
            of[0] += g * s.backward[at], of[1] += g * c[at], of[2] += g * s.forward[at];
            s.g_backward[at] = pi[0] * g;
            s.scores[N + at] = pi[1] * g;
            s.g_forward[at] = pi[2] * g;
        }
        for (int m = 0; m < 3; m++) of[m] = warp_sum(of[m]);
        if (lane > 0) continue;
        for (int m = 0; m < 3; m++) own_part(s)[s.at.read_modes + 3 * r + m] = of[m];
        s.means[(1 + r) * gridDim.y + blockIdx.y] = pi[1] * of[1];
    }
}

// The gradients of the modes, of b, c^r and f; those of p_{t-1}, w^w_t and w^r_{t-1} as far as they
// go without the links. Barriers inside.
__device__ void weigh_backward(const Backward& s, real* shared) {
    rows_times(s, s.new_memory, s.g_vectors, nullptr, s.R, s.g_weights);
    real total = sum_of_blocks(s.totals), faded = 0;
    for (int n = s.first + threadIdx.x; n < s.end; n += blockDim.x) {
        real g = s.g_new_precedence[n];
        faded += g * s.precedence[n];
        s.g_precedence[n] = (1 - total) * g;
        s.g_written[n] = s.g_new_write[n] + g;
        for (int r = 0; r < s.R; r++) s.g_read[r * s.N + n] = 0;
    }
    faded = block_sum(faded, shared);
    if (threadIdx.x == 0) s.faded[blockIdx.y] = faded;
    modes_backward(s);
}

// From the gradient of the content weightings of the heads from `from` to `to`, in `scores`, and
// its mean: that of what the softmax was taken of, and that of the strengths; a warp a head.
__device__ void content_backward(const Backward& s, int from, int to) {
    int lane = threadIdx.x % 32;
    for (int h = from + threadIdx.x / 32; h < to; h += blockDim.x / 32) {
        const real *c = s.content + h * s.N, *similarity = s.similarity + h * s.N;
        real *scores = s.scores + h * s.N, beta = s.active[strength_of(s.at, h)], g_beta = 0;
        real mean = sum_of_blocks(s.means + h * gridDim.y);
        for (int n = s.first + lane; n < s.end; n += 32) {
            real g = c[n] * (scores[n] - mean);
            g_beta += g * similarity[n];
            scores[n] = beta * g;
        }
        g_beta = warp_sum(g_beta);
        if (lane == 0) own_part(s)[strength_of(s.at, h)] = g_beta;
    }
}

// What the block's rows add to the gradients of the keys of these heads, by way of the products of
// keys and rows.
__device__ void keys_backward(const Backward& s, const real* rows, const real* scales, int from,
                              int to) {
    for (int at = from * s.W + threadIdx.x; at < to * s.W; at += blockDim.x) {
        int h = at / s.W, w = at % s.W;
        real sum = 0;
        for (int n = s.first; n < s.end; n++)
            sum += s.scores[h * s.N + n] * scales[n] * rows[n * s.W + w];
        own_part(s)[key_of(s.at, h, s.W) + w] = sum;
    }
}

// The gradient of entry w of row n by way of these heads' look-ups: Σ_h scores (k̂ - cos m̂) / |m|.
// The scale of a row may be so large or small that its square would be no number, or 0.
__device__ real row_looked_up(const Backward& s, const real* row, real scale, int from, int to,
                              int n, int w) {
    real along = 0, radial = 0;
    for (int h = from; h < to; h++) {
        along += s.scores[h * s.N + n] * scale * s.units[h * s.W + w];
        radial += s.scores[h * s.N + n] * s.similarity[h * s.N + n];
    }
    return along - radial * scale * (row[w] * scale);
}

// The gradients of the rows of M_t, and that of w^w_t by way of them and of Σ w^w_t in p_t.
__device__ void rows_backward(const Backward& s) {
    const real *erase = s.active + s.at.erase, *vector = s.active + s.at.write_vector;
    int lane = threadIdx.x % LANES_A_ROW, group = threadIdx.x / LANES_A_ROW, W = s.W;
    real faded = sum_of_blocks(s.faded);
    for (int first = s.first; first < s.end; first += blockDim.x / LANES_A_ROW) {
        int n = first + group;
        real sum = 0;
        if (n < s.end)
            for (int w = lane; w < W; w += LANES_A_ROW) {
                real x = s.g_memory[n * W + w];
                x += row_looked_up(s, s.new_memory + n * W, s.new_scales[n], 1, 1 + s.R, n, w);
                for (int r = 0; r < s.R; r++) x += s.new_read[r * s.N + n] * s.g_vectors[r * W + w];
                s.g_memory[n * W + w] = x;
                sum += x * (vector[w] - erase[w] * s.memory[n * W + w]);
            }
        sum = row_sum(sum);
        if (n < s.end && lane == 0) s.g_written[n] += sum - faded;
    }
}

// What the block's rows add to the gradients of the erase and the write vector.
__device__ void vectors_backward(const Backward& s) {
    for (int w = threadIdx.x; w < s.W; w += blockDim.x) {
        real erased = 0, written = 0;
        for (int n = s.first; n < s.end; n++) {
            real part = s.new_write[n] * s.g_memory[n * s.W + w];
            erased -= part * s.memory[n * s.W + w];
            written += part;
        }
        own_part(s)[s.at.erase + w] = erased;
        own_part(s)[s.at.write_vector + w] = written;
    }
}

// The gradients of a_t and of c^w_t, its mean, and those of the gates. Barriers inside.
__device__ void write_weighting_backward(const Backward& s, real* shared) {
    real g_a = s.active[s.at.allocation_gate], gate = s.active[s.at.write_gate];
    real mixed = 0, difference = 0, mean = 0;
    for (int n = s.first + threadIdx.x; n < s.end; n += blockDim.x) {
        real g = s.g_written[n], a = s.allocated[n], c = s.content[n];
        s.g_allocated[n] = gate * g_a * g;
        s.scores[n] = gate * (1 - g_a) * g;
        mean += c * s.scores[n];
        mixed += g * (g_a * a + (1 - g_a) * c);
        difference += g * (a - c);
    }
    mixed = block_sum(mixed, shared), difference = block_sum(difference, shared);
    mean = block_sum(mean, shared);
    if (threadIdx.x == 0) {
        own_part(s)[s.at.write_gate] = mixed;
        own_part(s)[s.at.allocation_gate] = gate * difference;
        s.means[blockIdx.y] = mean;
    }
}

// The gradient of M_t, and what it and the links make that of w^w_t. Barriers inside.
__device__ void write_backward(const Backward& s, real* shared) {
    if (s.K == 0) add_columns(s);
    __syncthreads();
    rows_backward(s);
    keys_backward(s, s.new_memory, s.new_scales, 1, 1 + s.R);
    __syncthreads();
    vectors_backward(s);
    write_weighting_backward(s, shared);
}

// The gradient of M_{t-1}. Barriers inside.
__device__ void look_backward(const Backward& s) {
    const real* erase = s.active + s.at.erase;
    content_backward(s, 0, 1);
    __syncthreads();
    keys_backward(s, s.memory, s.row_scales, 0, 1);
    for (int i = s.first * s.W + threadIdx.x; i < s.end * s.W; i += blockDim.x) {
        int n = i / s.W, w = i % s.W;
        s.g_memory[i] = s.g_memory[i] * (1 - s.new_write[n] * erase[w]) +
                        row_looked_up(s, s.memory + n * s.W, s.row_scales[n], 0, 1, n, w);
    }
}

// With s_k in ascending order, ∂/∂s_k = P_k (Σ_{j>k} g_j (1 - s_j) Π_{k<i<j} s_i - g_k); the sum
// follows from that of k + 1 as g (1 - s) + s · sum, without a division, so a usage of 0 is like
// any other. That is a map for each place; places are counted from the last one in the order.
__device__ Affine later_map(const Backward& s, int place) {
    int n = s.order[s.N - 1 - place];
    real u = s.new_usage[n];
    return {u, s.g_allocated[n] * (1 - u)};
}

// Those of a thread's share, one after the other.
__device__ Affine later_maps(const Backward& s, Share mine) {
    Affine map = {1, 0};
    for (int place = mine.first; place < mine.end; place++) map = then(map, later_map(s, place));
    return map;
}

// The gradient of u_t, also by way of the allocation weighting. Barriers inside.
__device__ void allocate_backward(const Backward& s, real* shared) {
    Share mine = share_of(s);
    Affine before = all_maps_before(later_maps(s, mine), s.maps, shared);
    for (int place = mine.first; place < mine.end; place++) {
        int k = s.N - 1 - place, n = s.order[k];
        s.g_used[n] = s.g_new_usage[n] + s.products[k] * (before.b - s.g_allocated[n]);
        before = then(before, later_map(s, place));
    }
}

// Gradients of u_{t-1}, w^w_{t-1} and w^r_{t-1}, and of the free gates. A barrier inside.
__device__ void usage_backward(const Backward& s) {
    const real* free_gates = s.active + s.at.free_gates;
    real* g_kept = s.g_weights;  // (R, N) that of 1 - f w^r
    for (int n = s.first + threadIdx.x; n < s.end; n += blockDim.x) {
        real u = s.usage[n], w = s.write[n], g = s.g_used[n], before = 1, after = 1;
        for (int r = 0; r < s.R; r++) {  // the products of the heads before, later of those after
            g_kept[r * s.N + n] = before;
            before *= 1 - free_gates[r] * s.read[r * s.N + n];
        }
        s.g_usage[n] = g * before * (1 - w);
        s.g_write[n] = g * before * (1 - u);
        for (int r = s.R - 1; r >= 0; r--) {
            real g_factor = g * (u + w - u * w) * g_kept[r * s.N + n] * after;
            g_kept[r * s.N + n] = g_factor;
            s.g_read[r * s.N + n] -= g_factor * free_gates[r];
            after *= 1 - free_gates[r] * s.read[r * s.N + n];
        }
    }
    __syncthreads();
    for (int r = threadIdx.x / 32; r < s.R; r += blockDim.x / 32) {
        real sum = warp_dot(g_kept + r * s.N, s.read + r * s.N, s.first, s.end);
        if (threadIdx.x % 32 == 0) own_part(s)[s.at.free_gates + r] = -sum;
    }
}

// The gradient of an entry of the interface vector, activated, of all blocks.
__device__ real g_active(const Backward& s, int entry) {
    real sum = 0;
    for (size_t b = 0; b < BLOCKS; b++) sum += s.g_active[b * s.at.size + entry];
    return sum;
}

// That of an entry of a key: without what stands along the key.
__device__ real key_backward(const Backward& s, int h, int w) {
    int strength = strength_of(s.at, h), at = h * s.W + w;
    real along = s.active[strength] * g_active(s, strength) * s.units[at];
    return (g_active(s, key_of(s.at, h, s.W) + w) - along) * s.key_scales[h];
}

// That of a read mode before the softmax.
__device__ real mode_backward(const Backward& s, int entry) {
    int first = s.at.read_modes + (entry - s.at.read_modes) / 3 * 3;
    real mixed = 0;
    for (int m = first; m < first + 3; m++) mixed += s.active[m] * g_active(s, m);
    return s.active[entry] * (g_active(s, entry) - mixed);
}

// The gradient of the interface vector.
__device__ void activate_backward(const Backward& s) {
    for (int i = me(); i < s.at.size; i += team()) {
        real y = s.active[i];
        if (i < s.at.read_strengths)
            s.g_xi[i] = key_backward(s, 1 + i / s.W, i % s.W);
        else if (i >= s.at.write_key && i < s.at.write_strength)
            s.g_xi[i] = key_backward(s, 0, i - s.at.write_key);
        else if (i >= s.at.read_modes)
            s.g_xi[i] = mode_backward(s, i);
        else if (is_strength(s.at, i))
            s.g_xi[i] = -g_active(s, i) * expm1(1 - y);
        else
            s.g_xi[i] = g_active(s, i) * (is_gate(s.at, i) ? y * (1 - y) : 1);
    }
}

// All of it with a block a sequence.
extern "C" __global__ void __launch_bounds__(512)
    dnc_step_backward(BACKWARD(PARAMETER) int N, int W, int R, int K) {
    THIS_SEQUENCE(Backward, BACKWARD)
    extern __shared__ real shared[];
    weigh_backward(s, shared);
    __syncthreads();
    content_backward(s, 1, 1 + R);
    if (K == 0) {
        link_dense_backward(s);
        columns_times(s.new_link, s.g_forward, N, R, s.followed);
    } else {
        link_sparse_backward(s);
    }
    __syncthreads();
    write_backward(s, shared);
    __syncthreads();
    look_backward(s);
    allocate_backward(s, shared);
    __syncthreads();
    usage_backward(s);
    __syncthreads();
    activate_backward(s);
}
