// The temporal links, dense and sparse: memory/linkage.py and memory/sparse_linkage.py. A block has
// the rows of its locations.

__device__ bool is_own(const Sizes& s, int n) { return s.first <= n && n < s.end; }

// L_t (N, N) and f = L_t w (R, N), a warp a row.
__device__ void link_dense(const Forward& s) {
    int lane = threadIdx.x % 32, N = s.N;
    for (int i = s.first + threadIdx.x / 32; i < s.end; i += blockDim.x / 32) {
        const real* old = s.link + (size_t)i * N;
        real *row = s.new_link + (size_t)i * N, w = s.new_write[i];
        for (int j = lane; j < N; j += 32)
            row[j] = i == j ? 0 : ((1 - w) - s.new_write[j]) * old[j] + w * s.precedence[j];
        for (int r = 0; r < s.R; r++) {
            real f = warp_dot(row, s.read + r * N, 0, N);
            if (lane == 0) s.forward[r * N + i] = f;
        }
    }
}

// The entries of L̂_{t-1} after a step that adds none.
__device__ void decay_links(const Forward& s) {
    for (int at = s.first * s.K + threadIdx.x; at < s.end * s.K; at += blockDim.x) {
        int i = at / s.K, j = s.columns[at];
        s.new_link[at] = i == j ? 0 : ((1 - s.new_write[i]) - s.new_write[j]) * s.link[at];
        s.new_columns[at] = j;
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

// L̂_t of the rows in S: they gain w[i] p[j] for j in Q, and keep their K highest, ties by the
// lower column. `candidates` (K, 3K) is scratch. `kept` (K, 2 + 2K) has for each row in S: the row,
// its column of Q, and for each of its new entries the place in the old row and in Q, or -1. A
// barrier inside.
__device__ void select_links(const Forward& s, const int* S, const int* Q) {
    int K = s.K, all = 3 * K, width = 2 + 2 * K;
    for (int at = threadIdx.x; at < K * all; at += blockDim.x) {
        int i = S[at / all];
        if (!is_own(s, i)) continue;
        Candidate found = candidate(at % all, s.columns + i * K, Q, K);
        real value = found.place >= 0 ? s.new_link[i * K + found.place] : 0;
        if (found.q >= 0 && Q[found.q] != i) value += s.new_write[i] * s.precedence[Q[found.q]];
        s.candidates[at] = found.valid ? value : -LARGEST;
    }
    // With NaN there may be fewer than K: what is not filled must name no place.
    for (int at = threadIdx.x; at < K * width; at += blockDim.x) {
        int row = at / width, place = at % width;
        if (is_own(s, S[row])) s.kept[at] = place == 0 ? S[row] : place == 1 ? Q[row] : -1;
    }
    __syncthreads();
    for (int at = threadIdx.x; at < K * all; at += blockDim.x) {
        int row = at / all, i = S[row], rank = 0;
        if (!is_own(s, i)) continue;
        Candidate mine = candidate(at % all, s.columns + i * K, Q, K);
        if (!mine.valid) continue;
        real value = s.candidates[at];
        for (int c = 0; c < all && rank < K; c++) {
            real other = s.candidates[row * all + c];
            if (other > value) rank++;
            if (other == value) {
                Candidate theirs = candidate(c, s.columns + i * K, Q, K);
                rank += theirs.valid && theirs.column < mine.column;
            }
        }
        if (rank >= K) continue;
        s.new_link[i * K + rank] = value;
        s.new_columns[i * K + rank] = mine.column;
        s.kept[row * width + 2 + rank] = mine.place;
        s.kept[row * width + 2 + K + rank] = mine.q;
    }
}

// f = L̂ w and b = L̂ᵀ w (R, N), b being 0 before. The additions to an entry of b come in any
// order.
__device__ void follow_links(const Forward& s) {
    int count = s.end - s.first, K = s.K;
    for (int at = threadIdx.x; at < s.R * count; at += blockDim.x) {
        int i = s.first + at % count, head = at / count * s.N;
        real f = 0;
        for (int k = 0; k < K; k++) {
            real value = s.new_link[i * K + k];
            if (value == 0) continue;
            f += value * s.read[head + s.new_columns[i * K + k]];
            atomicAdd(s.backward + head + s.new_columns[i * K + k], value * s.read[head + i]);
        }
        s.forward[head + i] = f;
    }
}

// L̂_t by rows (N, K), f and b, from S and Q, the K locations of the highest w^w_t and p_{t-1}.
// Barriers inside, the first before S and Q are read.
__device__ void link_sparse(const Forward& s, const int* S, const int* Q) {
    decay_links(s);
    __syncthreads();
    select_links(s, S, Q);
    __syncthreads();
    follow_links(s);
}

// Turns the gradient of L_t (N, N) into that of L_{t-1}; adds to those of w^w_t and w^r_{t-1} what
// goes by rows, and writes what the block's rows add to those of w^w_t and p_{t-1} by columns. A
// warp a row, then a thread a column. A barrier inside.
__device__ void link_dense_backward(const Backward& s) {
    int lane = threadIdx.x % 32, N = s.N;
    for (int i = s.first + threadIdx.x / 32; i < s.end; i += blockDim.x / 32) {
        const real *old = s.link + (size_t)i * N, *row = s.new_link + (size_t)i * N;
        real *g = s.g_link + (size_t)i * N, sum = 0;
        for (int j = lane; j < N; j += 32) {
            real entry = g[j];
            for (int head = 0; head < s.R * N; head += N)
                entry += s.g_forward[head + i] * s.read[head + j] +
                         s.read[head + i] * s.g_backward[head + j];
            if (i == j) entry = 0;
            g[j] = entry;
            sum += entry * (s.precedence[j] - old[j]);
        }
        sum = warp_sum(sum);
        if (lane == 0) s.g_written[i] += sum;
        for (int head = 0; head < s.R * N; head += N) {
            real along = warp_dot(row, s.g_backward + head, 0, N);
            if (lane == 0) s.g_read[head + i] += along;
        }
    }
    __syncthreads();
    real *from_old = s.of_columns + blockIdx.y * N, *from_added = from_old + BLOCKS * N;
    for (int j = threadIdx.x; j < N; j += blockDim.x) {
        real kept = 0, added = 0;
        for (int i = s.first; i < s.end; i++) {
            size_t at = (size_t)i * N + j;
            real w = s.new_write[i];
            kept += s.g_link[at] * s.link[at];
            added += w * s.g_link[at];
            s.g_link[at] *= (1 - w) - s.new_write[j];
        }
        from_old[j] = kept, from_added[j] = added;
    }
}

// Adds what all blocks have written for the block's columns, and L_tᵀ g_f, which is `followed`.
__device__ void add_columns(const Backward& s) {
    for (int n = s.first + threadIdx.x; n < s.end; n += blockDim.x) {
        const real *from_old = s.of_columns + n, *from_added = from_old + BLOCKS * s.N;
        for (size_t b = 0; b < BLOCKS; b++) {
            s.g_written[n] -= from_old[b * s.N];
            s.g_precedence[n] += from_added[b * s.N];
        }
        for (int r = 0; r < s.R; r++) s.g_read[r * s.N + n] += s.followed[r * s.N + n];
    }
}

// Adds to the gradients of the values of L̂_t (N, K) and of w^r_{t-1} (R, N).
__device__ void following_links(const Backward& s) {
    for (int at = s.first * s.K + threadIdx.x; at < s.end * s.K; at += blockDim.x) {
        int i = at / s.K, j = s.new_columns[at];
        real value = s.new_link[at], sum = 0;
        for (int head = 0; head < s.R * s.N; head += s.N) {
            sum += s.g_forward[head + i] * s.read[head + j] +
                   s.read[head + i] * s.g_backward[head + j];
            if (value == 0) continue;
            atomicAdd(s.g_read + head + i, value * s.g_backward[head + j]);
            atomicAdd(s.g_read + head + j, value * s.g_forward[head + i]);
        }
        s.g_link[at] += sum;
    }
}

// Takes the gradients of the rows in S to the places that their entries had before, and adds to
// those of p_{t-1} and w^w_t. `moved` (K, K) is scratch. A barrier inside.
__device__ void select_links_backward(const Backward& s) {
    int K = s.K, width = 2 + 2 * K;
    for (int at = threadIdx.x; at < K * K; at += blockDim.x) {
        const int* kept = s.kept + at / K * width;
        int i = kept[0], q = kept[2 + K + at % K];
        if (!is_own(s, i)) continue;
        real entry = s.g_link[i * K + at % K];
        s.moved[at] = entry;
        int j = q >= 0 ? s.kept[q * width + 1] : i;
        if (j == i) continue;
        atomicAdd(s.g_written + i, entry * s.precedence[j]);
        atomicAdd(s.g_precedence + j, entry * s.new_write[i]);
    }
    for (int at = threadIdx.x; at < K * K; at += blockDim.x) {  // each its own entry again
        int i = s.kept[at / K * width];
        if (is_own(s, i)) s.g_link[i * K + at % K] = 0;
    }
    __syncthreads();
    for (int at = threadIdx.x; at < K * K; at += blockDim.x) {
        const int* kept = s.kept + at / K * width;
        int place = kept[2 + at % K];
        if (is_own(s, kept[0]) && place >= 0) s.g_link[kept[0] * K + place] = s.moved[at];
    }
}

// Turns the gradient of the values of L̂_t (N, K) into that of L̂_{t-1}; adds to those of p_{t-1},
// w^w_t and w^r_{t-1}. Barriers inside.
__device__ void link_sparse_backward(const Backward& s) {
    following_links(s);
    __syncthreads();
    select_links_backward(s);
    __syncthreads();
    for (int at = s.first * s.K + threadIdx.x; at < s.end * s.K; at += blockDim.x) {
        int i = at / s.K, j = s.columns[at];
        real from_old = i == j ? 0 : s.g_link[at] * s.link[at];
        if (from_old != 0) {
            atomicAdd(s.g_written + i, -from_old);
            atomicAdd(s.g_written + j, -from_old);
        }
        s.g_link[at] *= i == j ? 0 : (1 - s.new_write[i]) - s.new_write[j];
    }
}
