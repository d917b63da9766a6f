// The gradient of one memory step, a block a sequence: step_backward() of memory/step.py.

// From the gradient of the weights (H, N) of content_weighting, a warp a head: `scores` (H, N) of
// what the softmax was taken of; that of the strengths before their oneplus; and Σ of the scores
// times the similarity, with which the unit keys go. `g_weights` and `scores` may be the same.
__device__ void looking_up(const real* weights, const real* similarity, const real* strengths,
                           const real* g_weights, int N, int H, real* scores, real* g_strengths,
                           real* key_radial) {
    int lane = threadIdx.x % 32;
    for (int h = threadIdx.x / 32; h < H; h += blockDim.x / 32) {
        const real* c = weights + h * N;
        real mean = warp_dot(c, g_weights + h * N, N), beta = strengths[h], g_beta = 0;
        for (int n = lane; n < N; n += 32) {
            real g = c[n] * (g_weights[h * N + n] - mean);
            g_beta += g * similarity[h * N + n];
            scores[h * N + n] = beta * g;
        }
        g_beta = warp_sum(g_beta);
        if (lane == 0) {
            g_strengths[h] = -g_beta * expm1(1 - beta);
            key_radial[h] = beta * g_beta;
        }
    }
}

// The gradients of the keys (H, W) from the scores; `scales` are those of the rows.
__device__ void keys_backward(const real* rows, const real* scales, const real* scores,
                              const real* units, const real* key_scales, const real* key_radial,
                              int N, int W, int H, real* g_keys) {
    for (int at = threadIdx.x; at < H * W; at += blockDim.x) {
        int h = at / W;
        real sum = 0;
        for (int n = 0; n < N; n++) sum += scores[h * N + n] * scales[n] * rows[n * W + at % W];
        g_keys[at] = (sum - key_radial[h] * units[at]) * key_scales[h];
    }
}

// The gradient of entry w of row n by way of a look-up: Σ_h scores (k̂ - cos m̂) / |m|. The scale of
// a row may be so large or small that its square would be no number, or 0.
__device__ real row_looked_up(const real* row, real scale, const real* scores,
                              const real* similarity, const real* units, int n, int w, int N, int W,
                              int H) {
    real along = 0, radial = 0;
    for (int h = 0; h < H; h++) {
        along += scores[h * N + n] * scale * units[h * W + w];
        radial += scores[h * N + n] * similarity[h * N + n];
    }
    return along - radial * scale * (row[w] * scale);
}

// Gradients of the modes before their softmax, and of what they mix, from that of w^r (R, N).
__device__ void modes_backward(const real* modes, const real* backward, const real* content,
                               const real* forward, const real* g_read, int N, int R, real* g_modes,
                               real* g_backward, real* g_content, real* g_forward) {
    int lane = threadIdx.x % 32;
    for (int r = threadIdx.x / 32; r < R; r += blockDim.x / 32) {
        const real *pi = modes + 3 * r, *g = g_read + r * N;
        real g0 = warp_dot(g, backward + r * N, N), g1 = warp_dot(g, content + r * N, N);
        real g2 = warp_dot(g, forward + r * N, N);
        real mixed = pi[0] * g0 + pi[1] * g1 + pi[2] * g2;
        if (lane == 0) {
            g_modes[3 * r] = pi[0] * (g0 - mixed);
            g_modes[3 * r + 1] = pi[1] * (g1 - mixed);
            g_modes[3 * r + 2] = pi[2] * (g2 - mixed);
        }
        for (int n = lane; n < N; n += 32) {
            g_backward[r * N + n] = pi[0] * g[n];
            g_content[r * N + n] = pi[1] * g[n];
            g_forward[r * N + n] = pi[2] * g[n];
        }
    }
}

// Turns the gradient g of L_t (N, N) into that of L_{t-1}; adds to those of p_{t-1}, w^w_t and
// w^r_{t-1} (R, N). A warp a row, then a thread a column.
__device__ void links_dense(const real* old, const real* linked, const real* precedence,
                            const real* write, const real* read, const real* g_forward,
                            const real* g_backward, int N, int R, real* g, real* g_precedence,
                            real* g_write, real* g_read) {
    int lane = threadIdx.x % 32;
    for (int i = threadIdx.x / 32; i < N; i += blockDim.x / 32) {
        size_t row = (size_t)i * N;
        real sum = 0;
        for (int j = lane; j < N; j += 32) {
            real entry = g[row + j];
            for (int r = 0; r < R; r++)
                entry += g_forward[r * N + i] * read[r * N + j] +
                         read[r * N + i] * g_backward[r * N + j];
            if (i == j) entry = 0;
            g[row + j] = entry;
            sum += entry * (precedence[j] - old[row + j]);
        }
        sum = warp_sum(sum);
        if (lane == 0) g_write[i] += sum;
        for (int r = 0; r < R; r++) {
            real along = warp_dot(linked + row, g_backward + r * N, N);
            if (lane == 0) g_read[r * N + i] += along;
        }
    }
    __syncthreads();
    for (int at = threadIdx.x; at < R * N; at += blockDim.x) {
        real sum = 0;
        for (int i = 0; i < N; i++) sum += linked[(size_t)i * N + at % N] * g_forward[at - at % N + i];
        g_read[at] += sum;
    }
    for (int j = threadIdx.x; j < N; j += blockDim.x) {
        real from_old = 0, from_added = 0;
        for (int i = 0; i < N; i++) {
            size_t at = (size_t)i * N + j;
            from_old += g[at] * old[at];
            from_added += write[i] * g[at];
            g[at] *= (1 - write[i]) - write[j];
        }
        g_write[j] -= from_old;
        g_precedence[j] += from_added;
    }
}

// Adds to the gradients of the values of L̂_t (N, K) and of w^r_{t-1} (R, N).
__device__ void following_links(const real* values, const int* columns, const real* read,
                                const real* g_forward, const real* g_backward, int N, int K, int R,
                                real* g, real* g_read) {
    for (int at = threadIdx.x; at < N * K; at += blockDim.x) {
        int i = at / K, j = columns[at];
        real sum = 0;
        for (int head = 0; head < R * N; head += N) {
            sum += g_forward[head + i] * read[head + j] + read[head + i] * g_backward[head + j];
            if (values[at] == 0) continue;
            atomicAdd(g_read + head + i, values[at] * g_backward[head + j]);
            atomicAdd(g_read + head + j, values[at] * g_forward[head + i]);
        }
        g[at] += sum;
    }
}

// Turns the gradient g of the values of L̂_t (N, K) into that of L̂_{t-1}; adds to those of p_{t-1}
// and w^w_t. `moved` (K, K) is scratch. Begins with a barrier.
__device__ void links_sparse(const real* old, const int* columns, const int* kept,
                             const real* precedence, const real* write, int N, int K, real* g,
                             real* moved, real* g_precedence, real* g_write) {
    int width = 2 + 2 * K;
    __syncthreads();
    for (int at = threadIdx.x; at < K * K; at += blockDim.x) {
        int i = kept[at / K * width], q = kept[at / K * width + 2 + K + at % K];
        real entry = g[i * K + at % K];
        moved[at] = entry;
        int j = q >= 0 ? kept[q * width + 1] : i;
        if (j == i) continue;
        atomicAdd(g_write + i, entry * precedence[j]);
        atomicAdd(g_precedence + j, entry * write[i]);
    }
    for (int at = threadIdx.x; at < K * K; at += blockDim.x)
        g[kept[at / K * width] * K + at % K] = 0;
    __syncthreads();
    for (int at = threadIdx.x; at < K * K; at += blockDim.x) {
        int place = kept[at / K * width + 2 + at % K];
        if (place >= 0) g[kept[at / K * width] * K + place] = moved[at];
    }
    __syncthreads();
    for (int at = threadIdx.x; at < N * K; at += blockDim.x) {
        int i = at / K, j = columns[at];
        real from_old = i == j ? 0 : g[at] * old[at];
        if (from_old != 0) {
            atomicAdd(g_write + i, -from_old);
            atomicAdd(g_write + j, -from_old);
        }
        g[at] *= i == j ? 0 : (1 - write[i]) - write[j];
    }
}

// The gradient of the whole row n of M_t into g (N, W), and of w^w_t by way of it.
__device__ void rows_backward(const real* memory, const real* written, const real* scales,
                              const real* write, const real* read, const real* g_vectors,
                              const real* scores, const real* similarity, const real* units,
                              const real* erase, const real* vector, int N, int W, int R, real* g,
                              real* g_write) {
    int lane = threadIdx.x % LANES_A_ROW, group = threadIdx.x / LANES_A_ROW;
    for (int first = 0; first < N; first += blockDim.x / LANES_A_ROW) {
        int n = first + group;
        real sum = 0;
        if (n < N)
            for (int w = lane; w < W; w += LANES_A_ROW) {
                real x = g[n * W + w];
                x += row_looked_up(written + n * W, scales[n], scores, similarity, units, n, w, N, W, R);
                for (int r = 0; r < R; r++) x += read[r * N + n] * g_vectors[r * W + w];
                g[n * W + w] = x;
                sum += x * (vector[w] - erase[w] * memory[n * W + w]);
            }
        sum = row_sum(sum);
        if (n < N && lane == 0) g_write[n] += sum;
    }
}

// Gradients of the erase vector before its sigmoid, and of the write vector.
__device__ void writing_backward(const real* memory, const real* write, const real* erase,
                                 const real* g, int N, int W, real* g_erase, real* g_vector) {
    for (int w = threadIdx.x; w < W; w += blockDim.x) {
        real erased = 0, written = 0;
        for (int n = 0; n < N; n++) {
            real part = write[n] * g[n * W + w];
            erased -= part * memory[n * W + w];
            written += part;
        }
        g_erase[w] = erased * erase[w] * (1 - erase[w]);
        g_vector[w] = written;
    }
}

// Adds to the gradient of the usage that by way of the allocation weighting. With s_k in ascending
// order, ∂/∂s_k = P_k (Σ_{j>k} g_j (1 - s_j) Π_{k<i<j} s_i - g_k); the sum follows from that of
// k + 1 as g (1 - s) + s · sum, without a division, so a usage of 0 is like any other.
__device__ void allocate_backward(const real* usage, const int* order, const real* products,
                                  const real* g_allocated, int N, real* a, real* b, real* g_usage) {
    int last = N - 1 - threadIdx.x * share_of(N), end = max(-1, last - share_of(N));
    Affine map = {1, 0};
    for (int k = last; k > end; k--) {
        real s = usage[order[k]], g = g_allocated[order[k]];
        map.a *= s;
        map.b = g * (1 - s) + s * map.b;
    }
    real later = maps_before(map, a, b).b;
    for (int k = last; k > end; k--) {
        real s = usage[order[k]], g = g_allocated[order[k]];
        g_usage[order[k]] += products[k] * (later - g);
        later = g * (1 - s) + s * later;
    }
}

// Gradients of u_{t-1}, w^w_{t-1} and w^r_{t-1}, to which is added, from g, that of u_t; `kept`
// (R, N) gets that of 1 - f w^r.
__device__ void usage_backward(const real* usage, const real* write, const real* read,
                               const real* free_gates, const real* g, int N, int R, real* g_usage,
                               real* g_write, real* g_read, real* g_kept) {
    for (int n = threadIdx.x; n < N; n += blockDim.x) {
        real u = usage[n], w = write[n], before = 1, after = 1;
        for (int r = 0; r < R; r++) {  // the products of the heads before, and then of those after
            g_kept[r * N + n] = before;
            before *= 1 - free_gates[r] * read[r * N + n];
        }
        g_usage[n] = g[n] * before * (1 - w);
        g_write[n] = g[n] * before * (1 - u);
        for (int r = R - 1; r >= 0; r--) {
            real g_factor = g[n] * (u + w - u * w) * g_kept[r * N + n] * after;
            g_kept[r * N + n] = g_factor;
            g_read[r * N + n] -= g_factor * free_gates[r];
            after *= 1 - free_gates[r] * read[r * N + n];
        }
    }
}

// Arguments: what dnc_step was given and has filled, then gradients: of t, of which those of memory
// and link become those of t - 1, those of t - 1 and of the interface vector, to be filled; scratch
// (B, 4, R, N) for the gradients of w^r_t, b, scores and f, and (B, 4, N), (B, K, K).
extern "C" __global__ void __launch_bounds__(512) dnc_step_backward(
    const real* memory, const real* row_scales, const real* usage, const real* precedence,
    const real* link, const int* columns, const real* write, const real* read,
    const real* new_memory, const real* new_scales, const real* new_usage, const real* new_link,
    const int* new_columns, const real* new_write, const real* new_read, const real* active,
    const int* order, const real* content, const real* similarity, const real* directions,
    const int* kept, const real* units, const real* key_scales, const real* allocated,
    const real* products, real* g_memory, const real* g_new_usage, const real* g_new_precedence,
    real* g_link, const real* g_new_write, const real* g_new_read, const real* g_vectors,
    real* g_usage, real* g_precedence, real* g_write, real* g_read, real* g_xi, real* of_heads,
    real* of_locations, real* moved, int N, int W, int R, int K) {
    extern __shared__ real shared[];
    real *a = shared, *b = a + blockDim.x, *partial = b + blockDim.x, *key_radial = partial + 32;
    Layout at = layout_of(W, R);
    size_t seq = blockIdx.x, rows = seq * N, links = K ? rows * K : rows * N;
    memory += rows * W, row_scales += rows, usage += rows, precedence += rows, link += links;
    write += rows, read += rows * R, new_memory += rows * W, new_scales += rows, new_usage += rows;
    new_link += links, new_write += rows, new_read += rows * R, active += seq * at.size;
    order += rows, content += rows * (1 + R), similarity += rows * (1 + R);
    directions += rows * 2 * R, units += seq * (1 + R) * W, key_scales += seq * (1 + R);
    allocated += rows, products += rows, g_memory += rows * W, g_new_usage += rows;
    g_new_precedence += rows, g_link += links, g_new_write += rows, g_new_read += rows * R;
    g_vectors += seq * R * W, g_usage += rows, g_precedence += rows, g_write += rows;
    g_read += rows * R, g_xi += seq * at.size, of_heads += rows * 4 * R, of_locations += rows * 4;
    const real *erase = active + at.erase, *vector = active + at.write_vector;
    real *g_weights = of_heads, *g_b = g_weights + R * N, *scores = g_b + R * N;
    real *g_f = scores + R * N, *g_w = of_locations, *g_allocated = g_w + N;
    real *looked = g_allocated + N, *g_u = looked + N;

    for (int i = threadIdx.x; i < R * N; i += blockDim.x) g_read[i] = 0;
    rows_times(new_memory, g_vectors, nullptr, N, W, R, g_weights);
    __syncthreads();
    for (int i = threadIdx.x; i < R * N; i += blockDim.x) g_weights[i] += g_new_read[i];
    __syncthreads();
    modes_backward(active + at.read_modes, directions + R * N, content + N, directions, g_weights, N,
                   R, g_xi + at.read_modes, g_b, scores, g_f);
    // Of what another thread has written this needs nothing: the lanes share a head as before.
    looking_up(content + N, similarity + N, active + at.read_strengths, scores, N, R, scores,
               g_xi + at.read_strengths, key_radial);
    real total = 0, g_kept = 0;
    for (int n = threadIdx.x; n < N; n += blockDim.x) {
        total += new_write[n];
        g_kept += g_new_precedence[n] * precedence[n];
    }
    total = block_sum(total, partial), g_kept = block_sum(g_kept, partial);
    for (int n = threadIdx.x; n < N; n += blockDim.x) {
        g_precedence[n] = (1 - total) * g_new_precedence[n];
        g_w[n] = g_new_write[n] + g_new_precedence[n] - g_kept;
    }
    __syncthreads();
    if (K == 0) {
        links_dense(link, new_link, precedence, new_write, read, g_f, g_b, N, R, g_link,
                    g_precedence, g_w, g_read);
    } else {
        columns += links, new_columns += links, kept += seq * K * (2 + 2 * K), moved += seq * K * K;
        following_links(new_link, new_columns, read, g_f, g_b, N, K, R, g_link, g_read);
        links_sparse(link, columns, kept, precedence, new_write, N, K, g_link, moved, g_precedence,
                     g_w);
    }
    __syncthreads();

    keys_backward(new_memory, new_scales, scores, units + W, key_scales + 1, key_radial, N, W, R,
                  g_xi + at.read_keys);
    rows_backward(memory, new_memory, new_scales, new_write, new_read, g_vectors, scores,
                  similarity + N, units + W, erase, vector, N, W, R, g_memory, g_w);
    __syncthreads();
    writing_backward(memory, new_write, erase, g_memory, N, W, g_xi + at.erase,
                     g_xi + at.write_vector);

    real g_a = active[at.allocation_gate], gate = active[at.write_gate], mixed = 0, difference = 0;
    for (int n = threadIdx.x; n < N; n += blockDim.x) {
        g_allocated[n] = gate * g_a * g_w[n];
        looked[n] = gate * (1 - g_a) * g_w[n];
        mixed += g_w[n] * (g_a * allocated[n] + (1 - g_a) * content[n]);
        difference += g_w[n] * (allocated[n] - content[n]);
        g_u[n] = g_new_usage[n];
    }
    mixed = block_sum(mixed, partial), difference = block_sum(difference, partial);
    if (threadIdx.x == 0) {
        g_xi[at.write_gate] = mixed * gate * (1 - gate);
        g_xi[at.allocation_gate] = gate * difference * g_a * (1 - g_a);
    }
    looking_up(content, similarity, active + at.write_strength, looked, N, 1, looked,
               g_xi + at.write_strength, key_radial);
    __syncthreads();
    keys_backward(memory, row_scales, looked, units, key_scales, key_radial, N, W, 1,
                  g_xi + at.write_key);
    for (int i = threadIdx.x; i < N * W; i += blockDim.x) {
        int n = i / W, w = i % W;
        g_memory[i] = g_memory[i] * (1 - new_write[n] * erase[w]) +
                      row_looked_up(memory + n * W, row_scales[n], looked, similarity, units, n, w,
                                    N, W, 1);
    }
    allocate_backward(new_usage, order, products, g_allocated, N, a, b, g_u);
    __syncthreads();
    usage_backward(usage, write, read, active + at.free_gates, g_u, N, R, g_usage, g_write, g_read,
                   g_weights);
    __syncthreads();
    for (int r = threadIdx.x / 32; r < R; r += blockDim.x / 32) {
        real f = active[at.free_gates + r], sum = warp_dot(g_weights + r * N, read + r * N, N);
        if (threadIdx.x % 32 == 0) g_xi[at.free_gates + r] = -sum * f * (1 - f);
    }
}
