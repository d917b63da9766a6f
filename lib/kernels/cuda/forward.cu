// One memory step, a block a sequence: step() of memory/step.py, whose equations these are.

__device__ real sigmoid(real x) { return tanh(x * real(0.5)) * real(0.5) + real(0.5); }

__device__ real oneplus(real x) { return 1 + max(x, real(0)) + log1p(exp(-fabs(x))); }

// Where the parts of the interface vector start.
struct Layout {
    int read_keys, read_strengths, write_key, write_strength, erase, write_vector, free_gates;
    int allocation_gate, write_gate, read_modes, size;
};

__device__ Layout layout_of(int W, int R) {
    Layout at;
    at.read_keys = 0;
    at.read_strengths = R * W;
    at.write_key = at.read_strengths + R;
    at.write_strength = at.write_key + W;
    at.erase = at.write_strength + 1;
    at.write_vector = at.erase + W;
    at.free_gates = at.write_vector + W;
    at.allocation_gate = at.free_gates + R;
    at.write_gate = at.allocation_gate + 1;
    at.read_modes = at.write_gate + 1;
    at.size = at.read_modes + 3 * R;
    return at;
}

// The interface vector, activated, in its own layout.
__device__ void activate(const real* xi, Layout at, int R, real* active) {
    for (int i = threadIdx.x; i < at.read_modes; i += blockDim.x) {
        bool strength = (i >= at.read_strengths && i < at.write_key) || i == at.write_strength;
        bool gate = i >= at.erase && (i < at.write_vector || i >= at.free_gates);
        active[i] = strength ? oneplus(xi[i]) : gate ? sigmoid(xi[i]) : xi[i];
    }
    for (int r = threadIdx.x; r < R; r += blockDim.x) {
        const real* x = xi + at.read_modes + 3 * r;
        real top = max(x[0], max(x[1], x[2])), e[3];
        for (int m = 0; m < 3; m++) e[m] = exp(x[m] - top);
        for (int m = 0; m < 3; m++) active[at.read_modes + 3 * r + m] = e[m] / (e[0] + e[1] + e[2]);
    }
}

// u_t = (u + w^w - u∘w^w)_{t-1} ∘ Π_r (1 - f^r w^{r,r}_{t-1}).
__device__ void update_usage(const real* usage, const real* write, const real* read,
                             const real* free_gates, int N, int R, real* updated) {
    for (int n = threadIdx.x; n < N; n += blockDim.x) {
        real retained = 1;
        for (int r = 0; r < R; r++) retained *= 1 - free_gates[r] * read[r * N + n];
        updated[n] = (usage[n] + write[n] - usage[n] * write[n]) * retained;
    }
}

// M_t = M_{t-1} ∘ (1 - w eᵀ) + w vᵀ, and the inverse lengths of its rows.
__device__ void write_memory(const real* memory, const real* weights, const real* erase,
                             const real* vector, int N, int W, real* written, real* scales) {
    int lane = threadIdx.x % LANES_A_ROW, group = threadIdx.x / LANES_A_ROW;
    for (int first = 0; first < N; first += blockDim.x / LANES_A_ROW) {
        int n = first + group;
        real squared = 0;
        if (n < N)
            for (int w = lane; w < W; w += LANES_A_ROW) {
                real x = memory[n * W + w] * (1 - weights[n] * erase[w]) + weights[n] * vector[w];
                written[n * W + w] = x;
                squared += x * x;
            }
        squared = row_sum(squared);
        __syncwarp();
        if (n < N && lane == 0)
            scales[n] = is_ordinary(squared) ? 1 / sqrt(squared)
                                             : wide_inverse_length(written + n * W, W);
    }
}

// L_t (N, N), then f = L_t w (R, N) a warp a row, b = L_tᵀ w a thread a column.
__device__ void link_dense(const real* link, const real* precedence, const real* write,
                           const real* read, int N, int R, real* linked, real* forward,
                           real* backward) {
    int lane = threadIdx.x % 32;
    for (int i = threadIdx.x / 32; i < N; i += blockDim.x / 32) {
        real* row = linked + (size_t)i * N;
        for (int j = lane; j < N; j += 32) {
            real kept = (1 - write[i]) - write[j];
            real entry = kept * link[(size_t)i * N + j] + write[i] * precedence[j];
            row[j] = i == j ? 0 : entry;
        }
        for (int r = 0; r < R; r++) {
            real f = warp_dot(row, read + r * N, N);
            if (lane == 0) forward[r * N + i] = f;
        }
    }
    __syncthreads();
    for (int at = threadIdx.x; at < R * N; at += blockDim.x) {
        const real* w = read + at / N * N;
        real b = 0;
        for (int i = 0; i < N; i++) b += linked[(size_t)i * N + at % N] * w[i];
        backward[at] = b;
    }
}

// The entries of L̂_{t-1} after a step that adds none.
__device__ void decay_links(const real* values, const int* columns, const real* write, int N, int K,
                            real* decayed, int* same_columns) {
    for (int at = threadIdx.x; at < N * K; at += blockDim.x) {
        int i = at / K, j = columns[at];
        decayed[at] = i == j ? 0 : ((1 - write[i]) - write[j]) * values[at];
        same_columns[at] = j;
    }
}

__device__ int place_of(int column, const int* columns, int K) {
    for (int k = 0; k < K; k++)
        if (columns[k] == column) return k;
    return -1;
}

// Candidate c of 3K for the entries of row i: its old entries, the columns in Q, and the lowest
// columns, whose zeros fill a row. A column that stood before is none again.
struct Candidate {
    int column, place, q;  // place in the old row and in Q, or -1
    bool valid;
};

__device__ Candidate candidate(int c, const int* old, const int* Q, int K) {
    Candidate found;
    if (c < K)
        found = {old[c], c, place_of(old[c], Q, K), true};
    else if (c < 2 * K)
        found = {Q[c - K], -1, c - K, place_of(Q[c - K], old, K) < 0};
    else
        found = {c - 2 * K, -1, -1,
                 place_of(c - 2 * K, old, K) < 0 && place_of(c - 2 * K, Q, K) < 0};
    return found;
}

// L̂_t by rows (N, K): the rows in S gain w[i] p[j] for j in Q, and keep their K highest, ties by the
// lower column. `candidates` (K, 3K) is scratch. `kept` (K, 2 + 2K) has for each row in S: the row,
// its column of Q, and for each of its new entries the place in the old row and in Q, or -1.
__device__ void link_sparse(const int* columns, const int* S, const int* Q, const real* precedence,
                            const real* write, int K, real* linked, int* linked_columns,
                            real* candidates, int* kept) {
    for (int at = threadIdx.x; at < 3 * K * K; at += blockDim.x) {
        int s = at / (3 * K), i = S[s];
        Candidate found = candidate(at % (3 * K), columns + i * K, Q, K);
        real value = found.place >= 0 ? linked[i * K + found.place] : 0;
        if (found.q >= 0 && Q[found.q] != i) value += write[i] * precedence[Q[found.q]];
        candidates[at] = found.valid ? value : -LARGEST;
    }
    // With NaN there may be fewer than K: what is not filled must name no place.
    for (int at = threadIdx.x; at < K * (2 + 2 * K); at += blockDim.x) kept[at] = -1;
    __syncthreads();
    for (int at = threadIdx.x; at < 3 * K * K; at += blockDim.x) {
        int s = at / (3 * K), i = S[s], rank = 0;
        Candidate mine = candidate(at % (3 * K), columns + i * K, Q, K);
        if (!mine.valid) continue;
        real value = candidates[at];
        for (int c = 0; c < 3 * K && rank < K; c++) {
            real other = candidates[s * 3 * K + c];
            if (other > value) rank++;
            if (other == value) {
                Candidate theirs = candidate(c, columns + i * K, Q, K);
                rank += theirs.valid && theirs.column < mine.column;
            }
        }
        if (rank >= K) continue;
        linked[i * K + rank] = value;
        linked_columns[i * K + rank] = mine.column;
        kept[s * (2 + 2 * K) + 2 + rank] = mine.place;
        kept[s * (2 + 2 * K) + 2 + K + rank] = mine.q;
    }
    for (int s = threadIdx.x; s < K; s += blockDim.x) {
        kept[s * (2 + 2 * K)] = S[s];
        kept[s * (2 + 2 * K) + 1] = Q[s];
    }
}

// f = L̂ w and b = L̂ᵀ w (R, N). The additions to an entry of b come in any order.
__device__ void follow_links(const real* values, const int* columns, const real* read, int N, int K,
                             int R, real* forward, real* backward) {
    for (int at = threadIdx.x; at < R * N; at += blockDim.x) backward[at] = 0;
    __syncthreads();
    for (int at = threadIdx.x; at < R * N; at += blockDim.x) {
        int i = at % N, head = at - i;
        real f = 0;
        for (int k = 0; k < K; k++) {
            real value = values[i * K + k];
            if (value == 0) continue;
            f += value * read[head + columns[i * K + k]];
            atomicAdd(backward + head + columns[i * K + k], value * read[at]);
        }
        forward[at] = f;
    }
}

// Arguments: of t - 1; of t, to be filled; of the gradient, to be filled; scratch. All of them batch
// first, as memory_step.py has them: `content` and `similarity` (B, 1 + R, N) are the write head's,
// then the read heads'; `directions` (B, 2, R, N) are f and b; `units` (B, 1 + R, W), `allocated`
// and `products` (B, N), `candidates` (B, K, 3K).
extern "C" __global__ void __launch_bounds__(512) dnc_step(
    const real* memory, const real* row_scales, const real* usage, const real* precedence,
    const real* link, const int* columns, const real* write, const real* read, const real* xi,
    real* new_memory, real* new_scales, real* new_usage, real* new_precedence, real* new_link,
    int* new_columns, real* new_write, real* new_read, real* vectors, real* active, int* order,
    real* content, real* similarity, real* directions, int* kept, real* units, real* key_scales,
    real* allocated, real* products, real* candidates, int N, int W, int R, int K, int P) {
    extern __shared__ real shared[];
    real *keys = shared, *a = keys + P, *b = a + blockDim.x, *partial = b + blockDim.x;
    int *locations = (int*)(partial + 32), *S = locations + P, *Q = S + K;
    Layout at = layout_of(W, R);
    size_t seq = blockIdx.x, rows = seq * N, links = K ? rows * K : rows * N;
    memory += rows * W, row_scales += rows, usage += rows, precedence += rows, link += links;
    write += rows, read += rows * R, xi += seq * at.size;
    new_memory += rows * W, new_scales += rows, new_usage += rows, new_precedence += rows;
    new_link += links, new_write += rows, new_read += rows * R, vectors += seq * R * W;
    active += seq * at.size, order += rows, content += rows * (1 + R), similarity += rows * (1 + R);
    directions += rows * 2 * R, units += seq * (1 + R) * W, key_scales += seq * (1 + R);
    allocated += rows, products += rows;
    real *forward = directions, *backward = directions + R * N;

    activate(xi, at, R, active);
    __syncthreads();
    update_usage(usage, write, read, active + at.free_gates, N, R, new_usage);
    unit_keys(active + at.write_key, 1, W, units, key_scales);
    unit_keys(active + at.read_keys, R, W, units + W, key_scales + 1);
    sort(new_usage, 1, N, P, keys, locations);
    for (int n = threadIdx.x; n < N; n += blockDim.x) order[n] = locations[n];
    allocate(new_usage, locations, N, a, b, allocated, products);
    rows_times(memory, units, row_scales, N, W, 1, similarity);
    __syncthreads();
    content_weighting(similarity, active + at.write_strength, N, 1, content);
    __syncthreads();

    real g_a = active[at.allocation_gate], g_w = active[at.write_gate], total = 0;
    for (int n = threadIdx.x; n < N; n += blockDim.x) {
        new_write[n] = g_w * (g_a * allocated[n] + (1 - g_a) * content[n]);
        total += new_write[n];
    }
    total = block_sum(total, partial);
    for (int n = threadIdx.x; n < N; n += blockDim.x)
        new_precedence[n] = (1 - total) * precedence[n] + new_write[n];
    write_memory(memory, new_write, active + at.erase, active + at.write_vector, N, W, new_memory,
                 new_scales);
    if (K == 0) {
        link_dense(link, precedence, new_write, read, N, R, new_link, forward, backward);
    } else {
        columns += links, new_columns += links;
        kept += seq * K * (2 + 2 * K), candidates += seq * 3 * K * K;
        sort(new_write, -1, N, P, keys, locations);
        for (int k = threadIdx.x; k < K; k += blockDim.x) S[k] = locations[k];
        sort(precedence, -1, N, P, keys, locations);
        for (int k = threadIdx.x; k < K; k += blockDim.x) Q[k] = locations[k];
        decay_links(link, columns, new_write, N, K, new_link, new_columns);
        __syncthreads();
        link_sparse(columns, S, Q, precedence, new_write, K, new_link, new_columns, candidates, kept);
        follow_links(new_link, new_columns, read, N, K, R, forward, backward);
    }

    rows_times(new_memory, units + W, new_scales, N, W, R, similarity + N);
    __syncthreads();
    content_weighting(similarity + N, active + at.read_strengths, N, R, content + N);
    __syncthreads();
    for (int i = threadIdx.x; i < R * N; i += blockDim.x) {
        const real* modes = active + at.read_modes + 3 * (i / N);
        new_read[i] = modes[0] * backward[i] + modes[1] * content[N + i] + modes[2] * forward[i];
    }
    __syncthreads();
    weighted_rows(new_read, new_memory, N, W, R, vectors);
}
