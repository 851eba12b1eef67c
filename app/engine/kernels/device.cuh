// What the kernels need of the GPU, one function an instruction. No other header is included: NVRTC has none at hand.
// bf16 numbers travel as bits: one in a u16, two in a u32 with the first in the low half.
#pragma once

typedef unsigned short u16;
typedef unsigned int u32;

#ifndef EMULATED  // a host build for debugging brings its own versions of what follows

#define SHARED_POOL(name) extern __shared__ __align__(16) unsigned char name[]

__device__ inline float bits_to_float(u32 bits) { return __uint_as_float(bits); }
__device__ inline u32 float_to_bits(float value) { return __float_as_uint(value); }

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

// The same for whole numbers, exact: sum[16 × 8] += A[16 × 32] · B[32 × 8], of signed bytes, four to a register. Lane
// 4g + t holds, of A, rows g and g + 8, columns 4t…4t + 3 (a0, a1) and 16 more (a2, a3); of B the same columns as rows of
// its column g (b0, b1); of the sum what it holds above. PTX ISA, "Matrix fragments for mma.m16n8k32".
__device__ inline void multiply_signed(int (&sum)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// Bytes of two registers, chosen by the digits of `which`: 0…3 are those of a, 4…7 those of b.
__device__ inline u32 choose_bytes(u32 a, u32 b, u32 which) { return __byte_perm(a, b, which); }

// The same, the bytes of A being unsigned.
__device__ inline void multiply_mixed_bytes(int (&sum)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
    asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// (a & mask) | (b & ~mask), in one instruction.
__device__ inline u32 select_bits(u32 a, u32 b, u32 mask) {
    u32 d;
    asm("lop3.b32 %0, %1, %2, %3, 0xe4;" : "=r"(d) : "r"(a), "r"(b), "r"(mask));
    return d;
}

// The largest of a warp's numbers, and the sum, in every lane.
__device__ inline u32 warp_most(u32 value) { return __reduce_max_sync(0xffffffffu, value); }
__device__ inline int warp_total(int value) { return __reduce_add_sync(0xffffffffu, value); }


// 1 / value, but for its last bit or so.
__device__ inline float about_inverse(float value) {
    float inverse;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(value));
    return inverse;
}

// Reads past the L1 cache, in which there may still be what was there before.
__device__ inline float4 fresh_float4(const float* from) {
    float4 value;
    asm volatile("ld.global.cg.v4.f32 {%0,%1,%2,%3}, [%4];"
                 : "=f"(value.x), "=f"(value.y), "=f"(value.z), "=f"(value.w)
                 : "l"(from)
                 : "memory");
    return value;
}
__device__ inline uint2 fresh_uint2(const u16* from) {
    uint2 value;
    asm volatile("ld.global.cg.v2.u32 {%0,%1}, [%2];" : "=r"(value.x), "=r"(value.y) : "l"(from) : "memory");
    return value;
}
__device__ inline float fresh_float(const float* from) {
    float value;
    asm volatile("ld.global.cg.f32 %0, [%1];" : "=f"(value) : "l"(from) : "memory");
    return value;
}

// How blocks tell each other: each thread shares what it wrote, one of them counts, others see the count and then all
// that was shared before.
__device__ inline void share_writes() { __threadfence(); }
__device__ inline void count_one(u32* counter) { atomicAdd(counter, 1u); }
__device__ inline u32 counted(const u32* counter) {
    u32 value;
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(counter) : "memory");
    return value;
}
// The same without a promise: who goes on by it reads what was shared past the L1 cache.
__device__ inline u32 glanced(const u32* counter) {
    u32 value;
    asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(counter) : "memory");
    return value;
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
// The same in a few instructions, with an error of a few units in the last place.
__device__ inline float quick_silu(float x) { return x * about_inverse(1.0f + exp2f(-1.4426950408889634f * x)); }

// The sum over a warp, in every lane; always added in the same order.
__device__ inline float warp_sum(float value) {
    for (int mask = 16; mask > 0; mask >>= 1) value += from_lane_xor(value, mask);
    return value;
}

// The sum over 16 lanes that follow each other, in each of them.
__device__ inline float half_sum(float value) {
    for (int mask = 8; mask > 0; mask >>= 1) value += from_lane_xor(value, mask);
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
