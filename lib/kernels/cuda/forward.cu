// One memory step: step() of memory/step.py, whose equations these are, in phases. Of what other
// blocks write in a phase, none of them reads anything.

__device__ real sigmoid(real x) { return tanh(x * real(0.5)) * real(0.5) + real(0.5); }

__device__ real oneplus(real x) { return 1 + max(x, real(0)) + log1p(exp(-fabs(x))); }

// The unit vectors of all keys and their inverse lengths, a warp a key.
__device__ void unit_keys(const Forward& s) {
    for (int h = me() / 32; h <= s.R; h += team() / 32) {
        const real* key = s.xi + key_of(s.at, h, s.W);
        real squared = warp_dot(key, key, 0, s.W);
        real scale = is_ordinary(squared) ? 1 / sqrt(squared) : wide_inverse_length(key, s.W);
        for (int w = threadIdx.x % 32; w < s.W; w += 32) s.units[h * s.W + w] = key[w] * scale;
        if (threadIdx.x % 32 == 0) s.key_scales[h] = scale;
    }
}

// The interface vector, activated, in its own layout; and the unit keys.
__device__ void activate(const Forward& s) {
    const real* xi = s.xi;
    for (int i = me(); i < s.at.read_modes; i += team())
        s.active[i] = is_strength(s.at, i) ? oneplus(xi[i])
                      : is_gate(s.at, i)   ? sigmoid(xi[i])
                                           : xi[i];
    for (int r = me(); r < s.R; r += team()) {
        int first = s.at.read_modes + 3 * r;
        const real* x = xi + first;
        real top = max(x[0], max(x[1], x[2])), e[3];
        for (int m = 0; m < 3; m++) e[m] = exp(x[m] - top);
        for (int m = 0; m < 3; m++) s.active[first + m] = e[m] / (e[0] + e[1] + e[2]);
    }
    unit_keys(s);
}

// u_t = (u + w^w - u∘w^w)_{t-1} ∘ Π_r (1 - f^r w^{r,r}_{t-1}).
__device__ void update_usage(const Forward& s) {
    const real* free_gates = s.active + s.at.free_gates;
    for (int n = s.first + threadIdx.x; n < s.end; n += blockDim.x) {
        real retained = 1, u = s.usage[n], w = s.write[n];
        for (int r = 0; r < s.R; r++) retained *= 1 - free_gates[r] * s.read[r * s.N + n];
        s.new_usage[n] = (u + w - u * w) * retained;
    }
}

// Of the softmax of strength · similarity over the locations, for the heads from `from` to `to`, a
// warp a head: the exponentials of the block's, each of its own largest, and their sum.
__device__ void exponentials(const Forward& s, int from, int to) {
    int lane = threadIdx.x % 32;
    for (int h = from + threadIdx.x / 32; h < to; h += blockDim.x / 32) {
        const real* x = s.similarity + h * s.N;
        real beta = s.active[strength_of(s.at, h)], top = -LARGEST, sum = 0;
        for (int n = s.first + lane; n < s.end; n += 32) top = max(top, beta * x[n]);
        top = warp_max(top);
        for (int n = s.first + lane; n < s.end; n += 32) {
            real e = exp(beta * x[n] - top);
            s.content[h * s.N + n] = e;
            sum += e;
        }
        sum = warp_sum(sum);
        if (lane == 0) s.peaks[h * gridDim.y + blockIdx.y] = {top, sum};
    }
}

// What the exponentials of all blocks make it.
__device__ void content_weighting(const Forward& s, int from, int to) {
    int lane = threadIdx.x % 32;
    for (int h = from + threadIdx.x / 32; h < to; h += blockDim.x / 32) {
        const Peak* peaks = s.peaks + h * gridDim.y;
        real top = -LARGEST, sum = 0;
        for (int b = lane; b < gridDim.y; b += 32) top = max(top, peaks[b].top);
        top = warp_max(top);
        for (int b = lane; b < gridDim.y; b += 32) sum += peaks[b].sum * exp(peaks[b].top - top);
        sum = warp_sum(sum);
        real scale = exp(peaks[blockIdx.y].top - top);
        for (int n = s.first + lane; n < s.end; n += 32) s.content[h * s.N + n] *= scale / sum;
    }
}

// u_t, and what the write head looks for. A barrier inside.
__device__ void look(const Forward& s) {
    update_usage(s);
    rows_times(s, s.memory, s.units, s.row_scales, 1, s.similarity);
    __syncthreads();
    exponentials(s, 0, 1);
}

// The product of the usages in a thread's share of the order of allocation.
__device__ real product_of(const Forward& s, Share mine) {
    real product = 1;
    for (int j = mine.first; j < mine.end; j++) product *= s.new_usage[s.order[j]];
    return product;
}

// The allocation weighting, and the products of usages before each place in the order:
// a[φ_j] = (1 - u[φ_j]) Π_{i<j} u[φ_i]. Barriers inside.
__device__ void allocate(const Forward& s, real* shared) {
    Share mine = share_of(s);
    real product = all_maps_before({product_of(s, mine), 0}, s.maps, shared).a;
    for (int j = mine.first; j < mine.end; j++) {
        real u = s.new_usage[s.order[j]];
        s.allocated[s.order[j]] = (1 - u) * product;
        s.products[j] = product;
        product *= u;
    }
}

// M_t = M_{t-1} ∘ (1 - w eᵀ) + w vᵀ, and the inverse lengths of its rows.
__device__ void write_memory(const Forward& s) {
    const real *erase = s.active + s.at.erase, *vector = s.active + s.at.write_vector;
    int lane = threadIdx.x % LANES_A_ROW, group = threadIdx.x / LANES_A_ROW;
    for (int first = s.first; first < s.end; first += blockDim.x / LANES_A_ROW) {
        int n = first + group;
        real squared = 0, *row = s.new_memory + n * s.W;
        if (n < s.end)
            for (int w = lane; w < s.W; w += LANES_A_ROW) {
                real weight = s.new_write[n], old = s.memory[n * s.W + w];
                row[w] = old * (1 - weight * erase[w]) + weight * vector[w];
                squared += row[w] * row[w];
            }
        squared = row_sum(squared);
        __syncwarp();
        if (n < s.end && lane == 0)
            s.new_scales[n] =
                is_ordinary(squared) ? 1 / sqrt(squared) : wide_inverse_length(row, s.W);
    }
}

// c^w_t, w^w_t and M_t, and what the read heads look for in it, where each lane needs what it wrote
// itself; b gets zeros for sparse links to add to. Barriers inside, the first before a_t is read.
__device__ void write_head(const Forward& s, real* shared) {
    real g_a = s.active[s.at.allocation_gate], g_w = s.active[s.at.write_gate], total = 0;
    content_weighting(s, 0, 1);
    __syncthreads();
    for (int n = s.first + threadIdx.x; n < s.end; n += blockDim.x) {
        s.new_write[n] = g_w * (g_a * s.allocated[n] + (1 - g_a) * s.content[n]);
        total += s.new_write[n];
        for (int r = 0; r < s.R && s.K; r++) s.backward[r * s.N + n] = 0;
    }
    total = block_sum(total, shared);
    if (threadIdx.x == 0) s.totals[blockIdx.y] = total;
    write_memory(s);
    rows_times(s, s.new_memory, s.units + s.W, s.new_scales, s.R, s.similarity + s.N);
    __syncthreads();
    exponentials(s, 1, 1 + s.R);
}

// p_t, c^r_t and w^r_t. A barrier inside, before f and b are read.
__device__ void weigh(const Forward& s) {
    content_weighting(s, 1, 1 + s.R);
    real total = sum_of_blocks(s.totals);
    for (int n = s.first + threadIdx.x; n < s.end; n += blockDim.x)
        s.new_precedence[n] = (1 - total) * s.precedence[n] + s.new_write[n];
    __syncthreads();
    for (int r = 0; r < s.R; r++) {
        const real *modes = s.active + s.at.read_modes + 3 * r, *c = s.content + (1 + r) * s.N;
        for (int n = s.first + threadIdx.x; n < s.end; n += blockDim.x) {
            int at = r * s.N + n;
            s.new_read[at] = modes[0] * s.backward[at] + modes[1] * c[n] + modes[2] * s.forward[at];
        }
    }
}

// r^r_t = M_tᵀ w^{r,r}_t, by one block.
__device__ void read_vectors(const Forward& s, real* vectors) {
    for (int at = threadIdx.x; at < s.R * s.W; at += blockDim.x) {
        const real* weight = s.new_read + at / s.W * s.N;
        real sum = 0;
        for (int n = 0; n < s.N; n++) sum += weight[n] * s.new_memory[n * s.W + at % s.W];
        vectors[at] = sum;
    }
}

// All of it with a block a sequence. P is the next power of two of N; `vectors` (B, R, W) is to be
// filled.
extern "C" __global__ void __launch_bounds__(512)
    dnc_step(FORWARD(PARAMETER) int N, int W, int R, int K, int P, real* vectors) {
    THIS_SEQUENCE(Forward, FORWARD)
    extern __shared__ real keys[];
    real* shared = keys + P;
    int *locations = (int*)(shared + 2 * blockDim.x), *S = locations + P, *Q = S + K;
    activate(s);
    __syncthreads();
    look(s);
    sort(s.new_usage, 1, N, P, keys, locations);
    for (int n = threadIdx.x; n < N; n += blockDim.x) s.order[n] = locations[n];
    __syncthreads();
    allocate(s, shared);
    write_head(s, shared);
    if (K == 0) {
        link_dense(s);
        __syncthreads();
        columns_times(s.new_link, s.read, N, R, s.backward);
    } else {
        sort(s.new_write, -1, N, P, keys, locations);
        for (int k = threadIdx.x; k < K; k += blockDim.x) S[k] = locations[k];
        sort(s.precedence, -1, N, P, keys, locations);
        for (int k = threadIdx.x; k < K; k += blockDim.x) Q[k] = locations[k];
        link_sparse(s, S, Q);
    }
    weigh(s);
    __syncthreads();
    read_vectors(s, vectors + sequence * R * W);
}
