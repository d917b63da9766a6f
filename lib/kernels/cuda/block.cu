// What the kernels of the memory step are made of: one block of threads works on one sequence.
//
// `real` is float or double, by an option of the compiler. Every function below is called by all
// threads of a block at once. Threads see what others have written after a __syncthreads() alone;
// where a function begins or ends with one, this is said. N locations, W word width, R read heads,
// K entries kept per row of a sparse link matrix.

#define ALL_LANES 0xffffffffu
#define LANES_A_ROW 8  // threads that share a row of the memory

// Σ over the 32 lanes of a warp, in all of them.
__device__ real warp_sum(real x) {
    for (int by = 16; by > 0; by /= 2) x += __shfl_xor_sync(ALL_LANES, x, by);
    return x;
}

__device__ real warp_max(real x) {
    for (int by = 16; by > 0; by /= 2) x = max(x, __shfl_xor_sync(ALL_LANES, x, by));
    return x;
}

// Σ over the lanes that share a row, in all of them.
__device__ real row_sum(real x) {
    for (int by = LANES_A_ROW / 2; by > 0; by /= 2) x += __shfl_xor_sync(ALL_LANES, x, by);
    return x;
}

// Σ over all threads of the block, in all of them. Ends with a barrier.
__device__ real block_sum(real x, real* partial) {
    x = warp_sum(x);
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = x;
    __syncthreads();
    real total = 0;
    for (int warp = 0; warp < blockDim.x / 32; warp++) total += partial[warp];
    __syncthreads();
    return total;
}

// Σ_n x[n] y[n] by one warp, in all of its lanes.
__device__ real warp_dot(const real* x, const real* y, int n) {
    real sum = 0;
    for (int i = threadIdx.x % 32; i < n; i += 32) sum += x[i] * y[i];
    return warp_sum(sum);
}

// 1 / |v|, 0 for a zero vector, where its square is no number or next to 0: by one thread.
__device__ real wide_inverse_length(const real* v, int W) {
    double squared = 0;
    for (int w = 0; w < W; w++) squared += double(v[w]) * double(v[w]);
    return squared < SMALLEST_SQUARE ? real(0) : real(1 / sqrt(squared));
}

__device__ bool is_ordinary(real squared) {
    return SMALLEST_NORMAL <= squared && squared <= LARGEST;
}

// The unit vectors of H keys (H, W) and their inverse lengths, a warp a key.
__device__ void unit_keys(const real* keys, int H, int W, real* units, real* scales) {
    for (int h = threadIdx.x / 32; h < H; h += blockDim.x / 32) {
        const real* key = keys + h * W;
        real squared = warp_dot(key, key, W);
        real scale = is_ordinary(squared) ? 1 / sqrt(squared) : wide_inverse_length(key, W);
        for (int w = threadIdx.x % 32; w < W; w += 32) units[h * W + w] = key[w] * scale;
        if (threadIdx.x % 32 == 0) scales[h] = scale;
    }
}

// products[h, n] = factors[n] (rows[n] · vectors[h]) for rows (N, W), vectors (H, W); `factors` may
// be null.
__device__ void rows_times(const real* rows, const real* vectors, const real* factors, int N, int W,
                           int H, real* products) {
    int lane = threadIdx.x % LANES_A_ROW, group = threadIdx.x / LANES_A_ROW;
    for (int first = 0; first < N; first += blockDim.x / LANES_A_ROW) {
        int n = first + group;
        for (int h = 0; h < H; h++) {
            real sum = 0;
            if (n < N)
                for (int w = lane; w < W; w += LANES_A_ROW) sum += rows[n * W + w] * vectors[h * W + w];
            sum = row_sum(sum);
            if (n < N && lane == 0) products[h * N + n] = factors ? factors[n] * sum : sum;
        }
    }
}

// sums[h, w] = Σ_n weights[h, n] rows[n, w].
__device__ void weighted_rows(const real* weights, const real* rows, int N, int W, int H, real* sums) {
    for (int at = threadIdx.x; at < H * W; at += blockDim.x) {
        const real* weight = weights + at / W * N;
        real sum = 0;
        for (int n = 0; n < N; n++) sum += weight[n] * rows[n * W + at % W];
        sums[at] = sum;
    }
}

// The softmax of strengths[h] similarity[h, n] over the locations, a warp a head.
__device__ void content_weighting(const real* similarity, const real* strengths, int N, int H,
                                  real* weights) {
    int lane = threadIdx.x % 32;
    for (int h = threadIdx.x / 32; h < H; h += blockDim.x / 32) {
        const real* s = similarity + h * N;
        real top = -LARGEST, sum = 0;
        for (int n = lane; n < N; n += 32) top = max(top, strengths[h] * s[n]);
        top = warp_max(top);
        for (int n = lane; n < N; n += 32) {
            real e = exp(strengths[h] * s[n] - top);
            weights[h * N + n] = e;
            sum += e;
        }
        sum = warp_sum(sum);
        for (int n = lane; n < N; n += 32) weights[h * N + n] /= sum;
    }
}

// Sorts N keys ascending, ties by the lower location, `sign` -1: descending; `order` gets the
// locations. Both have room for P, the next power of two: what is beyond N comes last. Begins and
// ends with a barrier.
__device__ void sort(const real* x, int sign, int N, int P, real* keys, int* order) {
    __syncthreads();
    for (int i = threadIdx.x; i < P; i += blockDim.x) {
        keys[i] = i < N ? sign * x[i] : 0;
        order[i] = i;
    }
    for (int size = 2; size <= P; size *= 2)
        for (int by = size / 2; by > 0; by /= 2) {
            __syncthreads();
            for (int pair = threadIdx.x; pair < P / 2; pair += blockDim.x) {
                int i = pair / by * 2 * by + pair % by, j = i + by;
                bool beyond_i = order[i] >= N, beyond_j = order[j] >= N;
                bool later = keys[i] > keys[j] || (keys[i] == keys[j] && order[i] > order[j]);
                if (beyond_i || beyond_j) later = order[i] > order[j];
                if (later == ((i & size) == 0)) {
                    real key = keys[i];
                    int location = order[i];
                    keys[i] = keys[j], order[i] = order[j];
                    keys[j] = key, order[j] = location;
                }
            }
        }
    __syncthreads();
}

// A map x -> a x + b.
struct Affine {
    real a, b;
};

// What the maps of all earlier threads come to, one after the other, the first thread's first.
// `a` and `b` have room for a number of each thread, and are in use until the next barrier.
__device__ Affine maps_before(Affine map, real* a, real* b) {
    int me = threadIdx.x;
    a[me] = map.a, b[me] = map.b;
    for (int by = 1; by < blockDim.x; by *= 2) {
        __syncthreads();
        Affine later = {a[me], b[me]};
        if (me >= by) {
            later.b += later.a * b[me - by];
            later.a *= a[me - by];
        }
        __syncthreads();
        a[me] = later.a, b[me] = later.b;
    }
    __syncthreads();
    Affine before = {1, 0};
    if (me > 0) before = {a[me - 1], b[me - 1]};
    return before;
}

// How many of N things each thread takes, one after the other, so that all are taken.
__device__ int share_of(int N) { return (N + blockDim.x - 1) / blockDim.x; }

// The allocation weighting, and the products of usages before each location in `order`:
// a[φ_j] = (1 - u[φ_j]) Π_{i<j} u[φ_i]. `products` (N,) has them in that order.
__device__ void allocate(const real* usage, const int* order, int N, real* a, real* b, real* weights,
                         real* products) {
    int first = threadIdx.x * share_of(N), end = min(N, first + share_of(N));
    real product = 1;
    for (int j = first; j < end; j++) product *= usage[order[j]];
    product = maps_before({product, 0}, a, b).a;
    for (int j = first; j < end; j++) {
        real u = usage[order[j]];
        weights[order[j]] = (1 - u) * product;
        products[j] = product;
        product *= u;
    }
}
