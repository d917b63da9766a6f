// What the kernels of the memory step are given: arrays of all sequences, batch first.
//
// `real` is float or double. N locations, W word width, R read heads, K entries kept per row of a
// sparse link matrix, 0 of a dense one. The grid is (B, blocks): a row of blocks works on a
// sequence, each of them on the locations from `first` to `end`. Where there is one, those are all.

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

__device__ bool is_strength(Layout at, int i) {
    return (i >= at.read_strengths && i < at.write_key) || i == at.write_strength;
}

// Of an entry that is no read mode.
__device__ bool is_gate(Layout at, int i) {
    return i >= at.erase && (i < at.write_vector || i >= at.free_gates);
}

// Heads are numbered 0, the write head, and 1 to R, the read heads.
__device__ int strength_of(Layout at, int head) {
    return head == 0 ? at.write_strength : at.read_strengths + head - 1;
}

__device__ int key_of(Layout at, int head, int W) {
    return head == 0 ? at.write_key : at.read_keys + (head - 1) * W;
}

// A map x -> a x + b.
struct Affine {
    real a, b;
};

// Of numbers x: their largest, and Σ e^(x - top).
struct Peak {
    real top, sum;
};

// X(type, name, how many of them a sequence has): the arguments of the kernels, in their order, as
// cuda_arrays.py has them. Those of t - 1; those of t, to be filled; what the gradient needs of the
// step, to be filled. `content` and `similarity` have all heads, `totals` Σ w^w_t of each block.
#define STEP(X) \
    X(const real, memory, N * W) \
    X(const real, row_scales, N) \
    X(const real, usage, N) \
    X(const real, precedence, N) \
    X(const real, link, LINKS) \
    X(const int, columns, N * K) \
    X(const real, write, N) \
    X(const real, read, R * N) \
    X(real, new_memory, N * W) \
    X(real, new_scales, N) \
    X(real, new_usage, N) \
    X(real, new_precedence, N) \
    X(real, new_link, LINKS) \
    X(int, new_columns, N * K) \
    X(real, new_write, N) \
    X(real, new_read, R * N) \
    X(real, active, s.at.size) \
    X(int, order, N) \
    X(real, content, (1 + R) * N) \
    X(real, similarity, (1 + R) * N) \
    X(real, forward, R * N) \
    X(real, backward, R * N) \
    X(int, kept, K * (2 + 2 * K)) \
    X(real, units, (1 + R) * W) \
    X(real, key_scales, 1 + R) \
    X(real, allocated, N) \
    X(real, products, N) \
    X(real, totals, BLOCKS)

// Besides: the interface vector, and scratch.
#define FORWARD(X) \
    STEP(X) \
    X(const real, xi, s.at.size) \
    X(real, candidates, 3 * K * K) \
    X(Peak, peaks, (1 + R) * BLOCKS) \
    X(Affine, maps, BLOCKS)

// Gradients of t, of which those of memory and link become those of t - 1; those of t - 1 and of
// the interface vector, to be filled; scratch.
#define BACKWARD(X) \
    STEP(X) \
    X(real, g_memory, N * W) \
    X(const real, g_new_usage, N) \
    X(const real, g_new_precedence, N) \
    X(real, g_link, LINKS) \
    X(const real, g_new_write, N) \
    X(const real, g_new_read, R * N) \
    X(const real, g_vectors, R * W) \
    X(real, g_usage, N) \
    X(real, g_precedence, N) \
    X(real, g_write, N) \
    X(real, g_read, R * N) \
    X(real, g_xi, s.at.size) \
    X(real, g_forward, R * N) \
    X(real, of_locations, (4 + 3 * R) * N) \
    X(real, of_blocks, BLOCKS * (s.at.size + R + 4)) \
    X(real, followed, K ? 0 : R * N) \
    X(real, of_columns, K ? 0 : 2 * BLOCKS * N) \
    X(real, moved, K * K)

#define PARAMETER(type, name, count) type *name,
#define MEMBER(type, name, count) type* name;
#define OF_SEQUENCE(type, name, count) s.name = name + sequence * (count);
#define LINKS (K ? size_t(N) * K : size_t(N) * N)
#define BLOCKS size_t(gridDim.y)

struct Sizes {
    int N, W, R, K;
    Layout at;
    int first, end;  // the block's locations; in the order of allocation, its places
};

__device__ Sizes sizes_of(int N, int W, int R, int K) {
    int each = (N + gridDim.y - 1) / gridDim.y, first = min(N, int(blockIdx.y) * each);
    return {N, W, R, K, layout_of(W, R), first, min(N, first + each)};
}

// What one sequence has of all that.
struct Forward : Sizes {
    FORWARD(MEMBER)
};

struct Backward : Sizes {
    BACKWARD(MEMBER)
    real *g_weights, *g_backward, *scores, *g_written, *g_allocated, *g_used;
    real *g_active, *means, *faded;  // `g_active`: what blocks know of that of the interface vector
    Affine* maps;
};

__device__ void place_scratch(Forward&) {}

__device__ void place_scratch(Backward& s) {
    s.g_weights = s.of_locations, s.g_backward = s.g_weights + s.R * s.N;
    s.scores = s.g_backward + s.R * s.N, s.g_written = s.scores + (1 + s.R) * s.N;
    s.g_allocated = s.g_written + s.N, s.g_used = s.g_allocated + s.N;
    s.g_active = s.of_blocks, s.means = s.g_active + BLOCKS * s.at.size;
    s.faded = s.means + BLOCKS * (1 + s.R), s.maps = (Affine*)(s.faded + BLOCKS);
}

// Declares `s`, a Forward or Backward, in a kernel with these parameters.
#define THIS_SEQUENCE(Kind, TABLE) \
    Kind s; \
    static_cast<Sizes&>(s) = sizes_of(N, W, R, K); \
    size_t sequence = blockIdx.x; \
    TABLE(OF_SEQUENCE) \
    place_scratch(s);
