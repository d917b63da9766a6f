// CUDA C++ as ordinary C++: every thread of a block is a fiber, and fibers switch where CUDA's
// threads wait for each other, at barriers and in warp functions, and nowhere else. Put before the
// kernels, which are compiled unchanged but for `extern __shared__ T x[];` (see emulate.py). One
// block runs after the other, in several orders too. For x86-64.
//
// A barrier that is missing shows where one thread reads what another has not written yet, or has
// written again. It does not show between two threads that add to one number, which is never cut
// short here, nor where lanes of a warp have just waited for each other.
#include <math.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <type_traits>
#include <utility>
#include <vector>

#include <sys/mman.h>

#define CPU_CUDA 1
#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __shared__ static
#define __forceinline__ inline
#define __launch_bounds__(...)
#define warpSize 32

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x, y, z; };

namespace cpu_cuda {

enum Wait { RUNNING, AT_BLOCK, AT_WARP, DONE };

struct Fiber {
    void* sp = nullptr;
    Wait wait = RUNNING;
    unsigned mask = 0;
    uint3 tid{};
    int lane = 0, warp = 0;
    unsigned parity = 0;
};

struct WarpSlots { unsigned long long value[2][32]; };

inline Fiber* me = nullptr;
inline uint3 block_index{};
inline void* scheduler_sp = nullptr;
inline std::vector<Fiber> fibers;
inline std::vector<WarpSlots> warps;
inline std::vector<char> shared_memory;
inline unsigned long schedule = 0;  // 0: in order, 1: reversed, else a seed
inline std::mt19937 random_order(0);
inline void (*body)(void*) = nullptr;
inline void* body_argument = nullptr;
inline const char* failure = nullptr;

extern "C" void cpu_cuda_switch(void** from, void* to);
asm(R"(
.text
.weak cpu_cuda_switch
.type cpu_cuda_switch,@function
cpu_cuda_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size cpu_cuda_switch,.-cpu_cuda_switch
)");

constexpr size_t STACK = 64 * 1024;
constexpr size_t GUARD = 256;  // bytes beyond the shared memory, which must stay as they are
constexpr char RUBBISH = char(0xA5);
inline char* stacks = nullptr;

inline void wait(Wait what, unsigned mask = 0) {
    me->wait = what;
    me->mask = mask;
    cpu_cuda_switch(&me->sp, scheduler_sp);
}

// Of a thread: never returns.
inline void fail(const char* what) {
    failure = what;
    for (;;) cpu_cuda_switch(&me->sp, scheduler_sp);
}

inline void entry() {
    body(body_argument);
    me->wait = DONE;
    for (;;) cpu_cuda_switch(&me->sp, scheduler_sp);
}

inline void start(Fiber& f, size_t i) {
    char* top = stacks + (i + 1) * STACK;
    void** sp = reinterpret_cast<void**>(reinterpret_cast<uintptr_t>(top) & ~uintptr_t(15));
    *--sp = nullptr;  // keeps the stack as a call would leave it
    *--sp = reinterpret_cast<void*>(&entry);
    for (int k = 0; k < 6; k++) *--sp = nullptr;
    f.sp = sp;
}

// Let every thread of a warp run that can, the last one first or in a random order; whether one did.
inline bool run_lanes(size_t first, size_t& done) {
    size_t lanes = std::min<size_t>(32, fibers.size() - first);
    unsigned turn = schedule > 1 ? random_order() : 0;
    bool moved = false;
    for (size_t l = 0; l < lanes && !failure; l++) {
        Fiber& f = fibers[first + ((schedule == 1 ? lanes - 1 - l : l) + turn) % lanes];
        if (f.wait != RUNNING) continue;
        me = &f;
        moved = true;
        cpu_cuda_switch(&scheduler_sp, f.sp);
        done += f.wait == DONE;
    }
    return moved;
}

// Let those lanes of a warp go on that wait for each other and have all come; whether any has.
inline bool release_lanes(size_t first) {
    size_t lanes = std::min<size_t>(32, fibers.size() - first);
    bool released = false;
    for (size_t i = first; i < first + lanes; i++) {
        if (fibers[i].wait != AT_WARP) continue;
        unsigned mask = fibers[i].mask;
        bool all = true;
        for (size_t l = 0; l < lanes; l++) {
            Fiber& f = fibers[first + l];
            if (mask >> l & 1) all = all && f.wait == AT_WARP && f.mask == mask;
        }
        for (size_t l = 0; all && l < lanes; l++)
            if (mask >> l & 1) fibers[first + l].wait = RUNNING;
        released = released || all;
    }
    return released;
}

// Let all warps run, one after the other: each as far as it comes before the next one begins, or,
// in some random orders, one step each. Whether one did.
inline bool run_once(std::vector<size_t>& order, size_t& done) {
    if (schedule > 1) std::shuffle(order.begin(), order.end(), random_order);
    bool far = schedule <= 1 || random_order() % 2, moved = false;
    for (size_t first : order) {
        bool went = true;
        for (bool again = true; again && went && !failure; again = far) {
            went = run_lanes(first, done);
            went = release_lanes(first) || went;
            moved = moved || went;
        }
    }
    return moved;
}

// Nobody could go on: all are at a barrier, or it is a deadlock.
inline void release_block(bool strict) {
    size_t at = 0, ended = 0;
    for (Fiber& f : fibers) at += f.wait == AT_BLOCK, ended += f.wait == DONE;
    if (at + ended < fibers.size() || !at)
        failure = "deadlock: threads wait at different barriers";
    else if (strict && ended)
        failure = "a barrier that some threads of the block never reach";
    for (Fiber& f : fibers)
        if (f.wait == AT_BLOCK) f.wait = RUNNING;
}

inline void run_block(dim3 block, size_t shared_bytes, bool strict) {
    size_t count = size_t(block.x) * block.y * block.z, done = 0;
    fibers.assign(count, Fiber());
    warps.assign((count + 31) / 32, WarpSlots());
    shared_memory.assign(shared_bytes + GUARD + 16, RUBBISH);
    std::vector<size_t> order(warps.size());
    for (size_t w = 0; w < order.size(); w++) order[w] = 32 * (schedule == 1 ? order.size() - 1 - w : w);
    for (size_t i = 0; i < count; i++) {
        Fiber& f = fibers[i];
        f.tid = {unsigned(i % block.x), unsigned(i / block.x % block.y),
                 unsigned(i / block.x / block.y)};
        f.lane = int(i % 32), f.warp = int(i / 32);
        start(f, i);
    }
    while (done < count && !failure)
        if (!run_once(order, done) && !failure && done < count) release_block(strict);
}

inline char* shared_start() {
    uintptr_t start = reinterpret_cast<uintptr_t>(shared_memory.data());
    return reinterpret_cast<char*>((start + 15) & ~uintptr_t(15));
}

inline void* dynamic_shared() { return shared_start(); }

}  // namespace cpu_cuda

inline dim3 blockDim, gridDim;
#define threadIdx (cpu_cuda::me->tid)
#define blockIdx (cpu_cuda::block_index)

namespace cpu_cuda {

// What is wrong with a launch, or null where all went well.
inline const char* run(dim3 grid, dim3 block, size_t shared_bytes, bool strict, void (*f)(void*),
                       void* argument) {
    body = f, body_argument = argument, gridDim = grid, blockDim = block, failure = nullptr;
    if (!grid.x || !grid.y || !grid.z) return "no block to run";
    if (grid.x >= 1u << 31 || grid.y >= 1u << 16 || grid.z >= 1u << 16) return "too many blocks";
    if (size_t(block.x) * block.y * block.z > 1024) return "more than 1024 threads in a block";
    if (shared_bytes > 227 * 1024) return "more shared memory than a block can have";
    if (!stacks)
        stacks = static_cast<char*>(mmap(nullptr, 1024 * STACK, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (stacks == MAP_FAILED) return "no memory for stacks";
    size_t count = size_t(grid.x) * grid.y * grid.z;
    std::vector<size_t> blocks(count);
    for (size_t b = 0; b < count; b++) blocks[b] = schedule == 1 ? count - 1 - b : b;
    if (schedule > 1) std::shuffle(blocks.begin(), blocks.end(), random_order);
    for (size_t b = 0; b < count && !failure; b++) {
        size_t at = blocks[b];
        block_index = {unsigned(at % grid.x), unsigned(at / grid.x % grid.y),
                       unsigned(at / grid.x / grid.y)};
        run_block(block, shared_bytes, strict);
        char* guard = shared_start() + shared_bytes;
        for (size_t i = 0; i < GUARD && !failure; i++)
            if (guard[i] != RUBBISH) failure = "written beyond the shared memory";
    }
    me = nullptr;
    return failure;
}

// Call a kernel with arguments that stand where `pointers` say.
template <class... A, size_t... I>
void call(void (*kernel)(A...), void** pointers, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_cv_t<std::remove_reference_t<A>>*>(pointers[I])...);
}
template <class... A>
void call(void (*kernel)(A...), void** pointers) {
    call(kernel, pointers, std::index_sequence_for<A...>());
}

// The value of lane `source`.
template <class T>
T exchange(unsigned mask, T value, int source) {
    static_assert(sizeof(T) <= 8, "at most 8 bytes");
    if (!(mask >> me->lane & 1)) fail("a warp function by a lane that its mask does not name");
    unsigned p = me->parity ^= 1;
    WarpSlots& w = warps[me->warp];
    memcpy(&w.value[p][me->lane], &value, sizeof(T));
    wait(AT_WARP, mask);
    T result;
    memcpy(&result, &w.value[p][source & 31], sizeof(T));
    return result;
}

inline unsigned first_of(unsigned mask = 0xffffffffu) { return mask; }

}  // namespace cpu_cuda

#define __syncthreads() cpu_cuda::wait(cpu_cuda::AT_BLOCK)
#define __syncwarp(...) ((void)cpu_cuda::exchange<int>(cpu_cuda::first_of(__VA_ARGS__), 0, 0))

template <class T>
T __shfl_sync(unsigned mask, T value, int source) {
    return cpu_cuda::exchange(mask, value, source);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by) {
    int to = cpu_cuda::me->lane + int(by);
    return cpu_cuda::exchange(mask, value, to < 32 ? to : cpu_cuda::me->lane);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by) {
    int to = cpu_cuda::me->lane - int(by);
    return cpu_cuda::exchange(mask, value, to >= 0 ? to : cpu_cuda::me->lane);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int by) {
    return cpu_cuda::exchange(mask, value, cpu_cuda::me->lane ^ by);
}
// No two fibers run at once, so plain code is atomic.
template <class T, class U>
T atomicAdd(T* p, U v) {
    T old = *p;
    *p = T(old + T(v));
    return old;
}
template <class T, class U>
inline std::common_type_t<T, U> max(T a, U b) {
    return a > b ? a : b;
}
template <class T, class U>
inline std::common_type_t<T, U> min(T a, U b) {
    return a < b ? a : b;
}
inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline double rsqrt(double x) { return 1 / sqrt(x); }
inline float rsqrt(float x) { return 1 / sqrtf(x); }
