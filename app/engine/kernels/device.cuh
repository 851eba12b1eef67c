// What the kernels need of the GPU, one function an instruction. No other header is included: NVRTC has none at hand.
// bf16 numbers travel as bits: one in a u16, two in a u32 with the first in the low half.
#pragma once

typedef unsigned short u16;
typedef unsigned int u32;

#ifndef EMULATED  // a host build for debugging brings its own versions of what follows

#define SHARED_POOL(name) extern __shared__ __align__(16) unsigned char name[]

__device__ inline float bits_to_float(u32 bits) { return __uint_as_float(bits); }

// Two floats to bf16, rounded to nearest even.
__device__ inline u32 to_bf16_pair(float low, float high) {
    u32 pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}

__device__ inline float half_to_float(u16 bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}

// a · b + c for two bf16 numbers at once.
__device__ inline u32 fma_bf16_pair(u32 a, u32 b, u32 c) {
    u32 d;
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
    return d;
}

// (a & mask) | bits, in one instruction.
__device__ inline u32 mask_and_set(u32 a, u32 mask, u32 bits) {
    u32 d;
    asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(d) : "r"(a), "r"(mask), "r"(bits));
    return d;
}

// sum[16 × 8] += A[16 × 16] · B[16 × 8] by one warp. Lane 4g + t holds, of A, rows g and g + 8, columns 2t, 2t + 1
// (a0, a1) and 2t + 8, 2t + 9 (a2, a3); of B the same columns as rows of its column g (b0, b1); of the sum rows g
// (0, 1) and g + 8 (2, 3), columns 2t and 2t + 1. PTX ISA, "Matrix fragments for mma.m16n8k16".
__device__ inline void multiply_tiles(float (&sum)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// An address in shared memory, as a number that the compiler keeps in its register instead of making it anew.
typedef u32 Shared;
__device__ inline Shared shared_place(void* pointer) {
    u32 place = static_cast<u32>(__cvta_generic_to_shared(pointer));
    asm volatile("" : "+r"(place));
    return place;
}
__device__ inline uint4 read_16(Shared place) {
    uint4 value;
    asm volatile("ld.shared.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
                 : "r"(place)
                 : "memory");
    return value;
}
__device__ inline u32 read_4(Shared place) {
    u32 value;
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(value) : "r"(place) : "memory");
    return value;
}

// Copies that pass the registers by: started, closed into a batch, and waited for until only N batches are open.
__device__ inline void copy_16(Shared to, const void* global) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(global) : "memory");
}
__device__ inline void copy_4(Shared to, const void* global) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(to), "l"(global) : "memory");
}
__device__ inline void close_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N>
__device__ inline void wait_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

// Kernels of a token overlap from sm_90 on (programmatic dependent launch): a kernel lets the next one start at once, and
// reads or writes nothing that another kernel of the token writes or reads before the one before it is complete. Only
// what never changes may be fetched ahead. Every thread waits, so that a complete kernel means that all before it are.
// Not a single pointer to what changes is __restrict__: the compiler would read past the wait.
__device__ inline void let_next_start() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
__device__ inline void wait_for_previous() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// Brings the line of 128 bytes that holds an address into the L2 cache.
__device__ inline void fetch_ahead(const void* global) { asm volatile("prefetch.global.L2 [%0];" ::"l"(global)); }

__device__ inline float from_lane_xor(float value, int mask) { return __shfl_xor_sync(0xffffffffu, value, mask); }

#endif

#define MINUS_INFINITY bits_to_float(0xff800000u)

__device__ inline float bf16_to_float(u16 bits) { return bits_to_float(static_cast<u32>(bits) << 16); }
__device__ inline float low_to_float(u32 pair) { return bits_to_float(pair << 16); }
__device__ inline float high_to_float(u32 pair) { return bits_to_float(pair & 0xffff0000u); }
__device__ inline u16 to_bf16(float value) { return static_cast<u16>(to_bf16_pair(value, 0.0f)); }
__device__ inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
__device__ inline float silu(float x) { return x / (1.0f + expf(-x)); }

// The sum over a warp, in every lane; always added in the same order.
__device__ inline float warp_sum(float value) {
    for (int mask = 16; mask > 0; mask >>= 1) value += from_lane_xor(value, mask);
    return value;
}

// The sum over a block of at most 1,024 threads, in every thread; `spare` is shared memory for 32 floats. Begins and
// ends with a barrier, so that `spare` can be used again at once.
__device__ inline float block_sum(float value, float* spare) {
    value = warp_sum(value);
    __syncthreads();
    if (threadIdx.x % 32 == 0) spare[threadIdx.x / 32] = value;
    __syncthreads();
    float total = 0.0f;
    for (int warp = 0; warp < static_cast<int>(blockDim.x) / 32; ++warp) total += spare[warp];
    return total;
}
