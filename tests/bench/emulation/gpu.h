// A GPU made of fibers, slow and exact: enough of CUDA to run the kernels' own sources on a processor (x86-64, g++).
//
// Every thread of a block is a fiber with a stack of its own; a barrier or a warp's joint instruction switches to the
// next fiber until all have come. Blocks run one after another, the last first, or, where they wait for each other, all
// at once; then nothing of them may be static. Dynamic shared memory begins as 0xff…, which is NaN, and asynchronous
// copies happen as late as they may: what a kernel forgets to wait for is not there.
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
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
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

const int STACK = 32 * 1024, PATIENCE = 50'000'000;

struct Copy { void* to; const void* from; int bytes; };

struct Block;

struct Fiber {
    void* stack_pointer = nullptr;
    Block* block = nullptr;
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

struct Block {
    Triple index;
    std::vector<uint4> memory;
    std::vector<Fiber> fibers;
    std::vector<Warp> warps;
    int alive = 0, at_barrier = 0;
    unsigned barrier_turn = 0;
    unsigned char* pool() { return reinterpret_cast<unsigned char*>(memory.data()); }
    void open_barrier_if_all_came() {
        if (alive == 0 || at_barrier < alive) return;
        at_barrier = 0;
        ++barrier_turn;
    }
};

inline Triple grid, block;
inline std::function<void()> kernel;
inline std::vector<std::unique_ptr<char[]>> stacks;
inline Fiber* me = nullptr;
inline void* scheduler = nullptr;
inline Warp& my_warp() { return me->block->warps[me->warp]; }

inline void yield() { switch_fiber(&me->stack_pointer, scheduler); }

inline void barrier() {
    Block& mine = *me->block;
    const unsigned turn = mine.barrier_turn;
    ++mine.at_barrier;
    mine.open_barrier_if_all_came();
    while (mine.barrier_turn == turn) yield();
}

// The last lane to come does the work for all.
template <class Work>
void together(Work work) {
    Warp& warp = my_warp();
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
    Block& mine = *me->block;
    if (me->waited != mine.fibers[0].waited && mine.fibers[0].done) {
        std::fprintf(stderr, "thread %u does not wait for the kernel before as thread 0 does\n", me->index.x);
        std::abort();
    }
    --mine.alive;
    mine.open_barrier_if_all_came();
    yield();
}

inline void begin_block(Block& mine, int shared, int stack) {
    const int count = static_cast<int>(block.x);
    mine.memory.resize(shared / 16 + 1);
    std::memset(mine.pool(), 0xff, shared);
    mine.fibers.assign(count, Fiber());
    mine.warps.assign(count / 32, Warp());
    mine.alive = count;
    while (static_cast<int>(stacks.size()) < stack + count) stacks.emplace_back(new char[STACK]);
    for (int i = 0; i < count; ++i) {
        char* end = stacks[stack + i].get() + STACK;
        void** top = reinterpret_cast<void**>(reinterpret_cast<uintptr_t>(end) & ~uintptr_t(63));
        *--top = nullptr;
        *--top = reinterpret_cast<void*>(begin_fiber);
        for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
        Fiber& fiber = mine.fibers[i];
        fiber.stack_pointer = top;
        fiber.block = &mine;
        fiber.index.x = i;
        fiber.lane = i % 32;
        fiber.warp = i / 32;
    }
}

inline void run_blocks(std::vector<Block>& blocks) {
    int alive = 1;
    for (int rounds = 0; alive > 0; ++rounds) {
        alive = 0;
        for (Block& one : blocks) {
            for (Fiber& fiber : one.fibers) {
                if (fiber.done) continue;
                me = &fiber;
                switch_fiber(&scheduler, fiber.stack_pointer);
            }
            alive += one.alive;
        }
        if (rounds > PATIENCE) {
            std::fprintf(stderr, "the blocks wait for ever\n");
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
void launch(void (*function)(Types...), bool at_once, int width, int height, int threads, int shared, void** values) {
    grid.x = width;
    grid.y = height;
    block.x = threads;
    kernel = [=] { call(function, values, std::index_sequence_for<Types...>()); };
    std::vector<Block> blocks(at_once ? width * height : 1);
    for (int i = width * height - 1; i >= 0; --i) {
        Block& one = blocks[at_once ? i : 0];
        one = Block();
        one.index.x = i % width;
        one.index.y = i / width;
        begin_block(one, shared, at_once ? i * threads : 0);
        if (!at_once) run_blocks(blocks);
    }
    if (at_once) run_blocks(blocks);
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
#define blockIdx (emulation::me->block->index)
#define blockDim emulation::block
#define gridDim emulation::grid
#define __syncthreads emulation::barrier
#define SHARED_POOL(name) unsigned char* name = emulation::me->block->pool()

inline u32 float_to_bits(float value) {
    u32 bits;
    std::memcpy(&bits, &value, 4);
    return bits;
}
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
    emulation::Warp& mine = emulation::my_warp();
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

// mma.m16n8k32 of bytes, those of A signed or not, by the same tables.
template <class Byte>
void multiply_bytes_of(int (&sum)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
    emulation::Warp& mine = emulation::my_warp();
    const int lane = emulation::me->lane;
    const u32 given[6] = {a0, a1, a2, a3, b0, b1};
    std::memcpy(mine.given[lane], given, sizeof given);
    emulation::together([](emulation::Warp& warp) {
        Byte a[16][32];
        signed char b[32][8];
        for (int lane = 0; lane < 32; ++lane)
            for (int i = 0; i < 4; ++i) {
                const int group = lane / 4, column = lane % 4 * 4 + i;
                const u32* given = warp.given[lane];
                const auto byte = [=](int place) { return given[place] >> (8 * i); };
                a[group][column] = static_cast<Byte>(byte(0));
                a[group + 8][column] = static_cast<Byte>(byte(1));
                a[group][column + 16] = static_cast<Byte>(byte(2));
                a[group + 8][column + 16] = static_cast<Byte>(byte(3));
                b[column][group] = static_cast<signed char>(byte(4));
                b[column + 16][group] = static_cast<signed char>(byte(5));
            }
        for (int lane = 0; lane < 32; ++lane)
            for (int place = 0; place < 4; ++place) {
                const int row = lane / 4 + place / 2 * 8, column = lane % 4 * 2 + place % 2;
                int product = 0;
                for (int k = 0; k < 32; ++k) product += a[row][k] * b[k][column];
                std::memcpy(&warp.taken[lane][place], &product, 4);
            }
    });
    for (int place = 0; place < 4; ++place) {
        int product;
        std::memcpy(&product, &mine.taken[lane][place], 4);
        sum[place] += product;
    }
}
inline void multiply_signed(int (&sum)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
    multiply_bytes_of<signed char>(sum, a0, a1, a2, a3, b0, b1);
}
inline void multiply_mixed_bytes(int (&sum)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
    multiply_bytes_of<unsigned char>(sum, a0, a1, a2, a3, b0, b1);
}
inline u32 choose_bytes(u32 a, u32 b, u32 which) {
    const unsigned long long all = static_cast<unsigned long long>(b) << 32 | a;
    u32 chosen = 0;
    for (int i = 0; i < 4; ++i) chosen |= static_cast<u32>(all >> (which >> (4 * i) & 7) * 8 & 255) << (8 * i);
    return chosen;
}

inline u32 select_bits(u32 a, u32 b, u32 mask) { return (a & mask) | (b & ~mask); }

template <class Join>
u32 joined_lanes(u32 value, Join join) {
    emulation::Warp& mine = emulation::my_warp();
    const int lane = emulation::me->lane;
    mine.given[lane][0] = value;
    emulation::together([=](emulation::Warp& warp) {
        u32 all = warp.given[0][0];
        for (int i = 1; i < 32; ++i) all = join(all, warp.given[i][0]);
        for (int i = 0; i < 32; ++i) warp.taken[i][0] = bits_to_float(all);
    });
    return float_to_bits(mine.taken[lane][0]);
}
inline u32 warp_most(u32 value) {
    return joined_lanes(value, [](u32 a, u32 b) { return a > b ? a : b; });
}
inline int warp_total(int value) {
    return static_cast<int>(joined_lanes(static_cast<u32>(value), [](u32 a, u32 b) { return a + b; }));
}
inline float4 fresh_float4(const float* from) { return *reinterpret_cast<const float4*>(from); }
inline uint2 fresh_uint2(const u16* from) { return *reinterpret_cast<const uint2*>(from); }
inline float fresh_float(const float* from) { return *from; }
inline float about_inverse(float value) { return 1.0f / value; }
inline float rsqrtf(float value) { return 1.0f / std::sqrt(value); }
inline void share_writes() {}
inline void count_one(u32* counter) { ++*counter; }
inline u32 counted(const u32* counter) {
    emulation::yield();
    return *counter;
}

inline u32 glanced(const u32* counter) { return *counter; }

inline float from_lane_xor(float value, int mask) {
    emulation::Warp& mine = emulation::my_warp();
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
