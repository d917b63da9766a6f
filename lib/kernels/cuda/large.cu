// The phases of a memory step as a launch each, with several blocks a sequence. Between them, where
// cuda_large.py says so, a library sorts, or forms products with a dense link.

extern "C" __global__ void __launch_bounds__(512)
    dnc_activate(FORWARD(PARAMETER) int N, int W, int R, int K) {
    THIS_SEQUENCE(Forward, FORWARD)
    activate(s);
}

extern "C" __global__ void __launch_bounds__(512)
    dnc_look(FORWARD(PARAMETER) int N, int W, int R, int K) {
    THIS_SEQUENCE(Forward, FORWARD)
    look(s);
}

// `sorted` (B, N) is the order of allocation, as the library gives it.
extern "C" __global__ void __launch_bounds__(512)
    dnc_multiply_usages(FORWARD(PARAMETER) int N, int W, int R, int K, const long long* sorted) {
    THIS_SEQUENCE(Forward, FORWARD)
    extern __shared__ real shared[];
    for (int j = s.first + threadIdx.x; j < s.end; j += blockDim.x)
        s.order[j] = int(sorted[sequence * N + j]);
    __syncthreads();
    map_of_block({product_of(s, share_of(s)), 0}, s.maps, shared);
}

extern "C" __global__ void __launch_bounds__(512)
    dnc_allocate(FORWARD(PARAMETER) int N, int W, int R, int K) {
    THIS_SEQUENCE(Forward, FORWARD)
    extern __shared__ real shared[];
    allocate(s, shared);
}

// `descending` (2, B, N) gets what the library is to sort for a sparse link, -w^w_t and -p_{t-1}.
extern "C" __global__ void __launch_bounds__(512)
    dnc_write(FORWARD(PARAMETER) int N, int W, int R, int K, real* descending) {
    THIS_SEQUENCE(Forward, FORWARD)
    extern __shared__ real shared[];
    write_head(s, shared);
    for (int n = s.first + threadIdx.x; n < s.end && K; n += blockDim.x) {
        descending[sequence * N + n] = -s.new_write[n];
        descending[(gridDim.x + sequence) * N + n] = -s.precedence[n];
    }
}

extern "C" __global__ void __launch_bounds__(512)
    dnc_link_dense(FORWARD(PARAMETER) int N, int W, int R, int K) {
    THIS_SEQUENCE(Forward, FORWARD)
    link_dense(s);
}

// `highest` (2, B, N) has the locations in descending order of w^w_t and of p_{t-1}.
extern "C" __global__ void __launch_bounds__(512)
    dnc_link_sparse(FORWARD(PARAMETER) int N, int W, int R, int K, const long long* highest) {
    THIS_SEQUENCE(Forward, FORWARD)
    extern __shared__ int S[];
    int* Q = S + K;
    for (int k = threadIdx.x; k < K; k += blockDim.x) {
        S[k] = int(highest[sequence * N + k]);
        Q[k] = int(highest[(gridDim.x + sequence) * N + k]);
    }
    link_sparse(s, S, Q);
}

extern "C" __global__ void __launch_bounds__(512)
    dnc_weigh(FORWARD(PARAMETER) int N, int W, int R, int K) {
    THIS_SEQUENCE(Forward, FORWARD)
    weigh(s);
}

extern "C" __global__ void __launch_bounds__(512)
    dnc_weigh_backward(BACKWARD(PARAMETER) int N, int W, int R, int K) {
    THIS_SEQUENCE(Backward, BACKWARD)
    extern __shared__ real shared[];
    weigh_backward(s, shared);
}

extern "C" __global__ void __launch_bounds__(512)
    dnc_link_backward(BACKWARD(PARAMETER) int N, int W, int R, int K) {
    THIS_SEQUENCE(Backward, BACKWARD)
    content_backward(s, 1, 1 + R);
    if (K == 0)
        link_dense_backward(s);
    else
        link_sparse_backward(s);
}

extern "C" __global__ void __launch_bounds__(512)
    dnc_write_backward(BACKWARD(PARAMETER) int N, int W, int R, int K) {
    THIS_SEQUENCE(Backward, BACKWARD)
    extern __shared__ real shared[];
    write_backward(s, shared);
}

extern "C" __global__ void __launch_bounds__(512)
    dnc_look_backward(BACKWARD(PARAMETER) int N, int W, int R, int K) {
    THIS_SEQUENCE(Backward, BACKWARD)
    extern __shared__ real shared[];
    look_backward(s);
    map_of_block(later_maps(s, share_of(s)), s.maps, shared);
}

extern "C" __global__ void __launch_bounds__(512)
    dnc_allocate_backward(BACKWARD(PARAMETER) int N, int W, int R, int K) {
    THIS_SEQUENCE(Backward, BACKWARD)
    extern __shared__ real shared[];
    allocate_backward(s, shared);
}

extern "C" __global__ void __launch_bounds__(512)
    dnc_usage_backward(BACKWARD(PARAMETER) int N, int W, int R, int K) {
    THIS_SEQUENCE(Backward, BACKWARD)
    usage_backward(s);
}

extern "C" __global__ void __launch_bounds__(512)
    dnc_activate_backward(BACKWARD(PARAMETER) int N, int W, int R, int K) {
    THIS_SEQUENCE(Backward, BACKWARD)
    activate_backward(s);
}
