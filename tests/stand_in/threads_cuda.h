// CUDA C++ with a thread of the system for each of CUDA's, for a sanitizer that looks for races:
// two threads at one place, one of them writing, with no barrier between. All blocks run at once.
// As on a GPU, a barrier of the block (or of a warp) orders memory, a shuffle and an atomic
// addition do not, and nothing does so between blocks. Put before the kernels as cpu_cuda.h is;
// `run` is called once in a process.
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __launch_bounds__(...)

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x, y, z; };

namespace cpu_cuda {

struct Warp {
    pthread_barrier_t barrier;
    std::atomic<unsigned long long> value[2][32];
    std::atomic<unsigned> came[2][32];  // how often a lane has put a value there
};

struct Block {
    uint3 index;
    pthread_barrier_t barrier;
    std::vector<Warp> warps;
    std::vector<double> shared;
};

inline thread_local uint3 me;
inline thread_local Block* block;
inline thread_local unsigned exchanges = 0;

inline void* dynamic_shared() { return block->shared.data(); }

template <class T>
T exchange(T value, int source) {
    Warp& warp = block->warps[me.x / 32];
    unsigned side = exchanges % 2, turn = exchanges++ / 2 + 1;
    unsigned long long bits = 0;
    memcpy(&bits, &value, sizeof(T));
    warp.value[side][me.x % 32].store(bits, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    // x86 keeps the two in order. Relaxed, they order nothing for the sanitizer.
    warp.came[side][me.x % 32].store(turn, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    for (int lane = 0; lane < 32; lane++)
        for (int tries = 0; warp.came[side][lane].load(std::memory_order_relaxed) < turn; tries++)
            if (tries < 4) sched_yield();
            else usleep(50);
    bits = warp.value[side][source & 31].load(std::memory_order_relaxed);
    T result;
    memcpy(&result, &bits, sizeof(T));
    return result;
}

}  // namespace cpu_cuda

inline dim3 blockDim, gridDim;
#define threadIdx (cpu_cuda::me)
#define blockIdx (cpu_cuda::block->index)
#define __syncthreads() ((void)pthread_barrier_wait(&cpu_cuda::block->barrier))
#define __syncwarp() \
    ((void)pthread_barrier_wait(&cpu_cuda::block->warps[threadIdx.x / 32].barrier))

namespace cpu_cuda {

// Run a kernel on the arguments that stand where `pointers` say.
template <class... A, size_t... I>
void call(void (*kernel)(A...), void** pointers, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_cv_t<std::remove_reference_t<A>>*>(pointers[I])...);
}

inline void prepare(Block& made, uint3 index, unsigned threads, size_t shared) {
    made.index = index;
    made.warps = std::vector<Warp>(threads / 32);
    made.shared.resize(shared / sizeof(double) + 1);
    pthread_barrier_init(&made.barrier, nullptr, threads);
    for (Warp& warp : made.warps) {
        pthread_barrier_init(&warp.barrier, nullptr, 32);
        for (auto& side : warp.came)
            for (auto& lane : side) lane = 0;
    }
}

template <class... A>
void run(void (*kernel)(A...), dim3 grid, unsigned threads, size_t shared, void** pointers) {
    std::vector<Block> blocks(grid.x * grid.y);
    gridDim = grid, blockDim = {threads, 1, 1};
    for (unsigned b = 0; b < blocks.size(); b++)
        prepare(blocks[b], {b % grid.x, b / grid.x, 0}, threads, shared);
    std::vector<std::thread> running;
    for (Block& each : blocks)
        for (unsigned t = 0; t < threads; t++)
            running.emplace_back([=, &each] {
                me = {t, 0, 0}, block = &each;
                call(kernel, pointers, std::index_sequence_for<A...>());
            });
    for (std::thread& thread : running) thread.join();
}

}  // namespace cpu_cuda

template <class T>
T __shfl_xor_sync(unsigned, T value, int by) {
    return cpu_cuda::exchange(value, int(threadIdx.x % 32) ^ by);
}
inline double atomicAdd(double* p, double v) {
    uint64_t* place = reinterpret_cast<uint64_t*>(p);
    uint64_t old = __atomic_load_n(place, __ATOMIC_RELAXED), changed;
    double before, after;
    do {
        memcpy(&before, &old, sizeof(old));
        after = before + v;
        memcpy(&changed, &after, sizeof(after));
    } while (!__atomic_compare_exchange_n(place, &old, changed, false, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    return before;
}
template <class T, class U>
inline std::common_type_t<T, U> max(T a, U b) { return a > b ? a : b; }
template <class T, class U>
inline std::common_type_t<T, U> min(T a, U b) { return a < b ? a : b; }
