// Makes the input x of `linear.cu` and, with it, the small products t = A x that it needs (EoRA's inner product). One block makes at least one element of t; every block computes the whole of x for
// itself, which costs less than another launch, and writes its share.
//
//   prepare_norm    h = before + Σ partials of the last linear;  x = h / rms(h) · (1 + w)
//   prepare_plain   x is there already
//
// x is bf16 and written once for each order of inputs that the linears were sorted into (act-order).
// Bytes (the floor): A once, 2 · ranks · inputs; the rest stays in L2. grid (blocks, tokens), 512 threads.
#include "device.cuh"

#define TURNS 3   // float4 loads of each thread on their way at once
#define AHEAD 2   // pieces of A, of 8 numbers, that a thread fetches ahead; the others come as far as the L2 cache
#define COPIES 3  // orders of which a thread fetches its first element ahead

struct Next {
    u16* x;            // [copies][tokens][inputs]
    const int* order;  // [copies][inputs]: x[i] of a copy is the input order[i]
    const u16* a;      // [ranks][inputs], inputs in their own order
    u16* t;            // [tokens][ranks]
    float* t_exact;    // the same, unrounded
    int inputs, copies, ranks;
};

// What a block needs of the next linears' weights, fetched while the kernel before is still at work. The pieces of its
// rows of A follow each other: piece s is part s % parts of its row s / parts.
struct Fetched {
    uint4 a[AHEAD];
    int order[COPIES], parts;

    __device__ explicit Fetched(const Next& next) {
        parts = (next.inputs + blockDim.x * 8 - 1) / (blockDim.x * 8);
#pragma unroll
        for (int s = 0; s < AHEAD; ++s) a[s] = piece(next, s);
        for (int s = AHEAD; blockIdx.x + s / parts * gridDim.x < next.ranks; ++s) {
            const int i = (s % parts * blockDim.x + threadIdx.x) * 8;
            if (threadIdx.x % 8 == 0 && i < next.inputs) fetch_ahead(row(next, s) + i);
        }
        const int i = blockIdx.x * blockDim.x + threadIdx.x;
#pragma unroll
        for (int copy = 0; copy < COPIES; ++copy)
            order[copy] = copy < next.copies && i < next.inputs ? next.order[copy * next.inputs + i] : 0;
    }
    __device__ const u16* row(const Next& next, int s) const {
        return next.a + static_cast<long long>(blockIdx.x + s / parts * gridDim.x) * next.inputs;
    }
    __device__ uint4 piece(const Next& next, int s) const {
        const int rank = blockIdx.x + s / parts * gridDim.x, i = (s % parts * blockDim.x + threadIdx.x) * 8;
        if (rank >= next.ranks || i >= next.inputs) return make_uint4(0u, 0u, 0u, 0u);
        return *reinterpret_cast<const uint4*>(row(next, s) + i);
    }
};

__device__ inline float product(const uint4& left, const uint4& right) {
    return low_to_float(left.x) * low_to_float(right.x) + high_to_float(left.x) * high_to_float(right.x) +
           low_to_float(left.y) * low_to_float(right.y) + high_to_float(left.y) * high_to_float(right.y) +
           low_to_float(left.z) * low_to_float(right.z) + high_to_float(left.z) * high_to_float(right.z) +
           low_to_float(left.w) * low_to_float(right.w) + high_to_float(left.w) * high_to_float(right.w);
}

// x in shared memory is complete but for a barrier.
__device__ inline void finish(const Next& next, const Fetched& fetched, const u16* x, float* spare) {
    __syncthreads();
    const int token = blockIdx.y, tokens = gridDim.y, first = blockIdx.x * blockDim.x + threadIdx.x;
    for (int copy = 0; copy < next.copies; ++copy) {
        const int* order = next.order + copy * next.inputs;
        u16* to = next.x + static_cast<long long>(copy * tokens + token) * next.inputs;
        int known = copy < COPIES ? fetched.order[0] : -1;
#pragma unroll
        for (int c = 1; c < COPIES; ++c) known = copy == c ? fetched.order[c] : known;
        for (int i = first; i < next.inputs; i += gridDim.x * blockDim.x) {
            to[i] = x[known < 0 ? order[i] : known];
            known = -1;
        }
    }
    const int rows = (next.ranks - static_cast<int>(blockIdx.x) + gridDim.x - 1) / static_cast<int>(gridDim.x);
    float sum = 0.0f;
    auto use = [&](int s, const uint4& a) {
        const int i = (s % fetched.parts * blockDim.x + threadIdx.x) * 8;
        if (i < next.inputs) sum += product(a, *reinterpret_cast<const uint4*>(x + i));
        if ((s + 1) % fetched.parts != 0) return;
        sum = block_sum(sum, spare);
        const int rank = blockIdx.x + s / fetched.parts * gridDim.x;
        if (threadIdx.x == 0) {
            next.t[token * next.ranks + rank] = to_bf16(sum);
            next.t_exact[token * next.ranks + rank] = sum;
        }
        sum = 0.0f;
    };
#pragma unroll
    for (int s = 0; s < AHEAD; ++s)
        if (s < rows * fetched.parts) use(s, fetched.a[s]);
    for (int s = AHEAD; s < rows * fetched.parts; ++s) use(s, fetched.piece(next, s));
}

// before, after [tokens][inputs] fp32 (not the same memory: other blocks still read), partials [splits][tokens][inputs].
extern "C" __global__ void __maxnreg__(56) prepare_norm(
    const float* before, const float* partials, int splits, float* after, const float* __restrict__ weight, float eps,
    u16* x, const int* order, const u16* a, u16* t, float* t_exact, int inputs, int copies, int ranks) {
    SHARED_POOL(pool);
    __shared__ float spare[32];
    let_next_start();
    u16* normed = reinterpret_cast<u16*>(pool);
    float* hidden = reinterpret_cast<float*>(pool + inputs * 2);
    const int token = blockIdx.y, tokens = gridDim.y, stride = blockDim.x * 4, first = threadIdx.x * 4;
    const Next next = {x, order, a, t, t_exact, inputs, copies, ranks};
    const Fetched fetched(next);
    float4 h[TURNS];
    for (int i = threadIdx.x * 32; i < inputs; i += blockDim.x * 32) fetch_ahead(weight + i);
    wait_for_previous();
    float square = 0.0f;
    // The first TURNS pieces stay in registers; what is wider goes through shared memory.
    for (int base = first; base < inputs; base += TURNS * stride) {
        float4 more[TURNS];
#pragma unroll
        for (int turn = 0; turn < TURNS; ++turn)
            if (base + turn * stride < inputs)
                more[turn] = *reinterpret_cast<const float4*>(before + token * inputs + base + turn * stride);
        for (int split = 0; split < splits; ++split) {
            const float* part = partials + (split * tokens + token) * inputs + base;
#pragma unroll
            for (int turn = 0; turn < TURNS; ++turn)
                if (base + turn * stride < inputs) {
                    const float4 add = *reinterpret_cast<const float4*>(part + turn * stride);
                    more[turn].x += add.x;
                    more[turn].y += add.y;
                    more[turn].z += add.z;
                    more[turn].w += add.w;
                }
        }
#pragma unroll
        for (int turn = 0; turn < TURNS; ++turn) {
            const int i = base + turn * stride;
            if (i >= inputs) continue;
            const float4 one = more[turn];
            if (base == first)
                h[turn] = one;
            else
                *reinterpret_cast<float4*>(hidden + i) = one;
            if (i / stride % gridDim.x == blockIdx.x) *reinterpret_cast<float4*>(after + token * inputs + i) = one;
            square += one.x * one.x + one.y * one.y + one.z * one.z + one.w * one.w;
        }
    }
    const float scale = 1.0f / sqrtf(block_sum(square, spare) / static_cast<float>(inputs) + eps);
    auto put = [&](int i, const float4& value) {
        const float4 by = *reinterpret_cast<const float4*>(weight + i);
        u32* to = reinterpret_cast<u32*>(normed + i);
        to[0] = to_bf16_pair(value.x * scale * by.x, value.y * scale * by.y);
        to[1] = to_bf16_pair(value.z * scale * by.z, value.w * scale * by.w);
    };
#pragma unroll
    for (int turn = 0; turn < TURNS; ++turn)
        if (first + turn * stride < inputs) put(first + turn * stride, h[turn]);
    for (int i = first + TURNS * stride; i < inputs; i += stride)
        put(i, *reinterpret_cast<const float4*>(hidden + i));
    finish(next, fetched, normed, spare);
}

extern "C" __global__ void __maxnreg__(56) prepare_plain(
    const u16* given, u16* x, const int* order, const u16* a, u16* t, float* t_exact, int inputs, int copies,
    int ranks) {
    SHARED_POOL(pool);
    __shared__ float spare[32];
    let_next_start();
    u16* plain = reinterpret_cast<u16*>(pool);
    const Next next = {x, order, a, t, t_exact, inputs, copies, ranks};
    const Fetched fetched(next);
    wait_for_previous();
    for (int i = threadIdx.x * 8; i < inputs; i += blockDim.x * 8)
        *reinterpret_cast<uint4*>(plain + i) = *reinterpret_cast<const uint4*>(given + blockIdx.y * inputs + i);
    finish(next, fetched, plain, spare);
}
