// A GPU made of fibers, slow and exact: enough of CUDA to run the kernels' own sources on a processor (x86-64, g++).
//
// Every thread of a block is a fiber with a stack of its own; a barrier or a warp's joint instruction switches to the
// next fiber until all have come. Blocks run one after another, the last first. Dynamic shared memory begins as 0xff…,
// which is NaN, and asynchronous copies happen as late as they may: what a kernel forgets to wait for is not there.
// Not emulated: speed, memory ordering between threads without a barrier, alignment of plain loads.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#define EMULATED
#define __device__
#define __global__
#define __shared__ static
#define __launch_bounds__(...)
#define __maxnreg__(...)

using std::max;
using std::min;

struct uint2 { unsigned x, y; };
struct uint4 { unsigned x, y, z, w; };
struct int4 { int x, y, z, w; };
struct float4 { float x, y, z, w; };
struct Triple { unsigned x = 0, y = 0, z = 0; };
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned char* Shared;

extern "C" void switch_fiber(void** from, void* to);
asm(R"(
.text
.globl switch_fiber
.type switch_fiber, @function
switch_fiber:
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
)");

namespace emulation {

const int STACK = 64 * 1024, PATIENCE = 50'000'000;

struct Copy { void* to; const void* from; int bytes; };

struct Fiber {
    void* stack_pointer = nullptr;
    Triple index;
    int lane = 0, warp = 0;
    bool done = false, waited = false;
    std::vector<Copy> open;
    std::vector<std::vector<Copy>> closed;
    size_t copied = 0;
};

// What the lanes of a warp bring to a joint instruction, and what each takes away.
struct Warp {
    int arrived = 0;
    unsigned turn = 0;
    u32 given[32][6] = {};
    float taken[32][4] = {};
};

inline Triple grid, block, block_index;
inline unsigned char* pool = nullptr;
inline std::function<void()> kernel;
inline std::vector<Fiber> fibers;
inline std::vector<Warp> warps;
inline std::vector<std::unique_ptr<char[]>> stacks;
inline Fiber* me = nullptr;
inline void* scheduler = nullptr;
inline int alive = 0, at_barrier = 0;
inline unsigned barrier_turn = 0;

inline void yield() { switch_fiber(&me->stack_pointer, scheduler); }

inline void open_barrier_if_all_came() {
    if (alive == 0 || at_barrier < alive) return;
    at_barrier = 0;
    ++barrier_turn;
}

inline void barrier() {
    const unsigned turn = barrier_turn;
    ++at_barrier;
    open_barrier_if_all_came();
    while (barrier_turn == turn) yield();
}

// The last lane to come does the work for all.
template <class Work>
void together(Work work) {
    Warp& warp = warps[me->warp];
    const unsigned turn = warp.turn;
    if (++warp.arrived == 32) {
        work(warp);
        warp.arrived = 0;
        ++warp.turn;
    } else {
        while (warp.turn == turn) yield();
    }
}

inline void begin_fiber() {
    kernel();
    me->done = true;
    if (me->waited != fibers[0].waited && fibers[0].done) {
        std::fprintf(stderr, "thread %u does not wait for the kernel before as thread 0 does\n", me->index.x);
        std::abort();
    }
    --alive;
    open_barrier_if_all_came();
    yield();
}

inline void run_block() {
    const int count = static_cast<int>(block.x);
    fibers.assign(count, Fiber());
    warps.assign(count / 32, Warp());
    alive = count;
    at_barrier = 0;
    while (static_cast<int>(stacks.size()) < count) stacks.emplace_back(new char[STACK]);
    for (int i = 0; i < count; ++i) {
        void** top = reinterpret_cast<void**>(reinterpret_cast<uintptr_t>(stacks[i].get() + STACK) & ~uintptr_t(63));
        *--top = nullptr;
        *--top = reinterpret_cast<void*>(begin_fiber);
        for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
        fibers[i].stack_pointer = top;
        fibers[i].index.x = i;
        fibers[i].lane = i % 32;
        fibers[i].warp = i / 32;
    }
    for (int rounds = 0; alive > 0; ++rounds) {
        for (Fiber& fiber : fibers) {
            if (fiber.done) continue;
            me = &fiber;
            switch_fiber(&scheduler, fiber.stack_pointer);
        }
        if (rounds > PATIENCE) {
            std::fprintf(stderr, "the block waits for ever\n");
            std::abort();
        }
    }
}

template <class... Types, size_t... Places>
void call(void (*function)(Types...), void** values, std::index_sequence<Places...>) {
    function(*static_cast<Types*>(values[Places])...);
}

// Launch a kernel with the addresses of its arguments, as cuLaunchKernel takes them.
template <class... Types>
void launch(void (*function)(Types...), int width, int height, int threads, int shared, void** values) {
    grid.x = width;
    grid.y = height;
    block.x = threads;
    std::vector<uint4> memory(shared / 16 + 1);
    pool = reinterpret_cast<unsigned char*>(memory.data());
    kernel = [=] { call(function, values, std::index_sequence_for<Types...>()); };
    for (int y = height - 1; y >= 0; --y)
        for (int x = width - 1; x >= 0; --x) {
            block_index.x = x;
            block_index.y = y;
            std::memset(pool, 0xff, shared);
            run_block();
        }
}

inline void require_aligned(const void* place, int bytes) {
    if (reinterpret_cast<uintptr_t>(place) % bytes == 0) return;
    std::fprintf(stderr, "a copy of %d bytes that is not aligned\n", bytes);
    std::abort();
}

inline void copy(void* to, const void* from, int bytes) {
    require_aligned(to, bytes);
    require_aligned(from, bytes);
    me->open.push_back({to, from, bytes});
}

}  // namespace emulation

#define threadIdx (emulation::me->index)
#define blockIdx emulation::block_index
#define blockDim emulation::block
#define gridDim emulation::grid
#define __syncthreads emulation::barrier
#define SHARED_POOL(name) unsigned char* name = emulation::pool

inline float bits_to_float(u32 bits) {
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}

inline u32 rounded_to_bf16(float value) {
    u32 bits;
    std::memcpy(&bits, &value, 4);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fffu;
    return (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
}
inline u32 to_bf16_pair(float low, float high) { return rounded_to_bf16(low) | (rounded_to_bf16(high) << 16); }

inline float half_to_float(u16 bits) {
    _Float16 value;
    std::memcpy(&value, &bits, 2);
    return static_cast<float>(value);
}

inline float of_pair(u32 pair, int which) { return bits_to_float(which == 0 ? pair << 16 : pair & 0xffff0000u); }
inline u32 fma_bf16_pair(u32 a, u32 b, u32 c) {
    return to_bf16_pair(fmaf(of_pair(a, 0), of_pair(b, 0), of_pair(c, 0)), fmaf(of_pair(a, 1), of_pair(b, 1), of_pair(c, 1)));
}
inline u32 mask_and_set(u32 a, u32 mask, u32 bits) { return (a & mask) | bits; }

// mma.m16n8k16, by the PTX ISA's table of which lane holds what.
inline void multiply_tiles(float (&sum)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
    emulation::Warp& mine = emulation::warps[emulation::me->warp];
    const int lane = emulation::me->lane;
    const u32 given[6] = {a0, a1, a2, a3, b0, b1};
    std::memcpy(mine.given[lane], given, sizeof given);
    emulation::together([](emulation::Warp& warp) {
        float a[16][16], b[16][8];
        for (int lane = 0; lane < 32; ++lane)
            for (int which = 0; which < 2; ++which) {
                const int group = lane / 4, column = lane % 4 * 2 + which;
                const u32* given = warp.given[lane];
                a[group][column] = of_pair(given[0], which);
                a[group + 8][column] = of_pair(given[1], which);
                a[group][column + 8] = of_pair(given[2], which);
                a[group + 8][column + 8] = of_pair(given[3], which);
                b[column][group] = of_pair(given[4], which);
                b[column + 8][group] = of_pair(given[5], which);
            }
        for (int lane = 0; lane < 32; ++lane)
            for (int place = 0; place < 4; ++place) {
                const int row = lane / 4 + place / 2 * 8, column = lane % 4 * 2 + place % 2;
                float product = 0.0f;
                for (int k = 0; k < 16; ++k) product += a[row][k] * b[k][column];
                warp.taken[lane][place] = product;
            }
    });
    for (int place = 0; place < 4; ++place) sum[place] += mine.taken[lane][place];
}

inline float from_lane_xor(float value, int mask) {
    emulation::Warp& mine = emulation::warps[emulation::me->warp];
    const int lane = emulation::me->lane;
    std::memcpy(mine.given[lane], &value, 4);
    emulation::together([=](emulation::Warp& warp) {
        for (int i = 0; i < 32; ++i) warp.taken[i][0] = bits_to_float(warp.given[i ^ mask][0]);
    });
    return mine.taken[lane][0];
}

inline void let_next_start() {}
inline void wait_for_previous() { emulation::me->waited = true; }
inline void fetch_ahead(const void*) {}

inline Shared shared_place(void* pointer) { return static_cast<Shared>(pointer); }
inline uint4 read_16(Shared place) {
    uint4 value;
    emulation::require_aligned(place, 16);
    std::memcpy(&value, place, 16);
    return value;
}
inline u32 read_4(Shared place) {
    u32 value;
    std::memcpy(&value, place, 4);
    return value;
}
inline void copy_16(Shared to, const void* from) { emulation::copy(to, from, 16); }
inline void copy_4(Shared to, const void* from) { emulation::copy(to, from, 4); }
inline void close_copies() {
    emulation::me->closed.push_back(std::move(emulation::me->open));
    emulation::me->open.clear();
}
template <int OPEN>
void wait_copies() {
    emulation::Fiber& fiber = *emulation::me;
    for (; fiber.closed.size() - fiber.copied > OPEN; ++fiber.copied)
        for (const emulation::Copy& copy : fiber.closed[fiber.copied]) std::memcpy(copy.to, copy.from, copy.bytes);
}
