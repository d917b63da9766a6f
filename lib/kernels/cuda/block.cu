// What the kernels of the memory step are made of.
//
// Every function here and in the files after this one is called by all threads of a block at once.
// Threads see what others of their block have written after a __syncthreads() alone, where a
// function has one inside, this is said; and what other blocks have written in the next launch.

#define ALL_LANES 0xffffffffu
#define LANES_A_ROW 8  // threads that share a row of the memory

// The threads of all blocks of a sequence, numbered.
__device__ int me() { return blockIdx.y * blockDim.x + threadIdx.x; }

__device__ int team() { return gridDim.y * blockDim.x; }

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

// Σ over all threads of the block, in all of them. `shared` has room for a number of each warp, and
// nobody may be using it. Ends with a barrier.
__device__ real block_sum(real x, real* shared) {
    x = warp_sum(x);
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = x;
    __syncthreads();
    real total = 0;
    for (int warp = 0; warp < blockDim.x / 32; warp++) total += shared[warp];
    __syncthreads();
    return total;
}

// Σ of one number of each block of the sequence, in all lanes of a warp.
__device__ real sum_of_blocks(const real* numbers) {
    real sum = 0;
    for (int b = threadIdx.x % 32; b < gridDim.y; b += 32) sum += numbers[b];
    return warp_sum(sum);
}

// Σ_n x[n] y[n] for n from first to end, by one warp, in all of its lanes.
__device__ real warp_dot(const real* x, const real* y, int first, int end) {
    real sum = 0;
    for (int i = first + threadIdx.x % 32; i < end; i += 32) sum += x[i] * y[i];
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

// products[h, n] = factors[n] (rows[n] · vectors[h]) for the block's rows, and vectors (H, W);
// `factors` may be null.
__device__ void rows_times(const Sizes& s, const real* rows, const real* vectors,
                           const real* factors, int H, real* products) {
    int lane = threadIdx.x % LANES_A_ROW, group = threadIdx.x / LANES_A_ROW, W = s.W;
    for (int first = s.first; first < s.end; first += blockDim.x / LANES_A_ROW) {
        int n = first + group;
        for (int h = 0; h < H; h++) {
            real sum = 0;
            if (n < s.end)
                for (int w = lane; w < W; w += LANES_A_ROW)
                    sum += rows[n * W + w] * vectors[h * W + w];
            sum = row_sum(sum);
            if (n < s.end && lane == 0) products[h * s.N + n] = factors ? factors[n] * sum : sum;
        }
    }
}

// sums[r, j] = Σ_i link[i, j] weights[r, i] for a link (N, N), a thread a column: by one block.
__device__ void columns_times(const real* link, const real* weights, int N, int R, real* sums) {
    for (int at = threadIdx.x; at < R * N; at += blockDim.x) {
        const real* w = weights + at / N * N;
        real sum = 0;
        for (int i = 0; i < N; i++) sum += link[(size_t)i * N + at % N] * w[i];
        sums[at] = sum;
    }
}

// Sorts N keys ascending, ties by the lower location, `sign` -1: descending; `order` gets the
// locations. Both have room for P, the next power of two: what is beyond N comes last. By one
// block. Begins and ends with a barrier.
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

// One map after another.
__device__ Affine then(Affine first, Affine second) {
    return {second.a * first.a, second.a * first.b + second.b};
}

// What the maps of all earlier threads of the block come to, the first thread's first. `shared` has
// room for two numbers of each thread, and is in use until the next barrier. Barriers inside.
__device__ Affine maps_before(Affine map, real* shared) {
    int me = threadIdx.x;
    real *a = shared, *b = shared + blockDim.x;
    a[me] = map.a, b[me] = map.b;
    for (int by = 1; by < blockDim.x; by *= 2) {
        __syncthreads();
        if (me >= by) map = then({a[me - by], b[me - by]}, map);
        __syncthreads();
        a[me] = map.a, b[me] = map.b;
    }
    __syncthreads();
    return me > 0 ? Affine{a[me - 1], b[me - 1]} : Affine{1, 0};
}

// The same of all earlier threads of the sequence, of whose blocks `maps` has the maps. Barriers
// inside.
__device__ Affine all_maps_before(Affine map, const Affine* maps, real* shared) {
    Affine before = {1, 0};
    for (int b = 0; b < blockIdx.y; b++) before = then(before, maps[b]);
    return then(before, maps_before(map, shared));
}

// Writes the map of the block. Barriers inside.
__device__ void map_of_block(Affine map, Affine* maps, real* shared) {
    Affine before = maps_before(map, shared);
    if (threadIdx.x == blockDim.x - 1) maps[blockIdx.y] = then(before, map);
}

// The places of the block that a thread takes, one after the other, so that all are taken.
struct Share {
    int first, end;
};

__device__ Share share_of(const Sizes& s) {
    int each = (s.end - s.first + blockDim.x - 1) / blockDim.x;
    int first = min(s.end, s.first + int(threadIdx.x) * each);
    return {first, min(s.end, first + each)};
}
