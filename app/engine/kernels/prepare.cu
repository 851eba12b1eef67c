// Makes the input x of the next linears and, with it, the small products t = A x that they need (EoRA's inner product,
// DeltaNet's unquantized gates). One block makes at least one element of t; every block computes the whole of x for
// itself, which costs less than another launch, and writes its share.
//
//   prepare_norm    h = before + Σ partials of the last linear;  x = h / rms(h) · (1 + w)
//   prepare_gated   x = y / rms of its head · w · silu(z);  also moves the convolution's window on by one token
//   prepare_plain   x is there already
//
// x is bf16 and written once for each order of inputs that the linears were sorted into (act-order).
// Bytes (the floor): A once, 2 · ranks · inputs; the rest stays in L2. grid (blocks, tokens), 512 threads.
#include "device.cuh"

#define TURNS 3  // float4 loads of each thread on their way at once

struct Next {
    u16* x;            // [copies][tokens][inputs]
    const int* order;  // [copies][inputs]: x[i] of a copy is the input order[i]
    const u16* a;      // [ranks][inputs], inputs in their own order
    u16* t;            // [tokens][ranks]
    float* t_exact;    // the same, unrounded
    int inputs, copies, ranks;
};

// What a block reads of the next linears' weights, while the kernel before is still at work.
__device__ inline void fetch_weights(const Next& next) {
    let_next_start();
    for (int rank = blockIdx.x; rank < next.ranks; rank += gridDim.x)
        for (int i = threadIdx.x * 64; i < next.inputs; i += blockDim.x * 64)
            fetch_ahead(next.a + static_cast<long long>(rank) * next.inputs + i);
    wait_for_previous();
}

__device__ inline void finish(const Next& next, const u16* x, float* spare) {
    __syncthreads();
    const int token = blockIdx.y, tokens = gridDim.y;
    for (int copy = 0; copy < next.copies; ++copy) {
        const int* order = next.order + copy * next.inputs;
        u16* to = next.x + static_cast<long long>(copy * tokens + token) * next.inputs;
        for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < next.inputs; i += gridDim.x * blockDim.x)
            to[i] = x[order[i]];
    }
    for (int rank = blockIdx.x; rank < next.ranks; rank += gridDim.x) {
        const u16* a = next.a + static_cast<long long>(rank) * next.inputs;
        float sum = 0.0f;
#pragma unroll 4
        for (int i = threadIdx.x * 8; i < next.inputs; i += blockDim.x * 8) {
            const uint4 left = *reinterpret_cast<const uint4*>(a + i), right = *reinterpret_cast<const uint4*>(x + i);
            sum += low_to_float(left.x) * low_to_float(right.x) + high_to_float(left.x) * high_to_float(right.x);
            sum += low_to_float(left.y) * low_to_float(right.y) + high_to_float(left.y) * high_to_float(right.y);
            sum += low_to_float(left.z) * low_to_float(right.z) + high_to_float(left.z) * high_to_float(right.z);
            sum += low_to_float(left.w) * low_to_float(right.w) + high_to_float(left.w) * high_to_float(right.w);
        }
        sum = block_sum(sum, spare);
        if (threadIdx.x == 0) {
            next.t[token * next.ranks + rank] = to_bf16(sum);
            next.t_exact[token * next.ranks + rank] = sum;
        }
    }
}

// before, after [tokens][inputs] fp32 (not the same memory: other blocks still read), partials [splits][tokens][inputs].
extern "C" __global__ void __launch_bounds__(512) prepare_norm(
    const float* before, const float* partials, int splits, float* after, const float* __restrict__ weight, float eps,
    u16* x, const int* order, const u16* a, u16* t, float* t_exact, int inputs, int copies, int ranks) {
    SHARED_POOL(pool);
    __shared__ float spare[32];
    float* hidden = reinterpret_cast<float*>(pool);
    u16* normed = reinterpret_cast<u16*>(pool + inputs * 4);
    const int token = blockIdx.y, tokens = gridDim.y, stride = blockDim.x * 4;
    const Next next = {x, order, a, t, t_exact, inputs, copies, ranks};
    fetch_weights(next);
    float square = 0.0f;
    for (int base = threadIdx.x * 4; base < inputs; base += TURNS * stride) {
        float4 h[TURNS];
#pragma unroll
        for (int turn = 0; turn < TURNS; ++turn)
            if (base + turn * stride < inputs)
                h[turn] = *reinterpret_cast<const float4*>(before + token * inputs + base + turn * stride);
        for (int split = 0; split < splits; ++split) {
            const float* part = partials + (split * tokens + token) * inputs + base;
#pragma unroll
            for (int turn = 0; turn < TURNS; ++turn)
                if (base + turn * stride < inputs) {
                    const float4 more = *reinterpret_cast<const float4*>(part + turn * stride);
                    h[turn].x += more.x;
                    h[turn].y += more.y;
                    h[turn].z += more.z;
                    h[turn].w += more.w;
                }
        }
#pragma unroll
        for (int turn = 0; turn < TURNS; ++turn) {
            const int i = base + turn * stride;
            if (i < inputs) {
                *reinterpret_cast<float4*>(hidden + i) = h[turn];
                if (i / stride % gridDim.x == blockIdx.x)
                    *reinterpret_cast<float4*>(after + token * inputs + i) = h[turn];
                square += h[turn].x * h[turn].x + h[turn].y * h[turn].y + h[turn].z * h[turn].z + h[turn].w * h[turn].w;
            }
        }
    }
    const float scale = 1.0f / sqrtf(block_sum(square, spare) / static_cast<float>(inputs) + eps);
    for (int i = threadIdx.x * 4; i < inputs; i += stride)
        for (int k = 0; k < 4; ++k) normed[i + k] = to_bf16(hidden[i + k] * scale * weight[i + k]);
    finish(next, normed, spare);
}

// y [tokens][inputs] fp32 in heads of 128, z [tokens][z_stride] bf16, weight [128]. window [3][channels] bf16 gets
// the inputs of the first token, mixed [channels], and lets go of its oldest; channels 0 leaves it alone.
extern "C" __global__ void __launch_bounds__(512) prepare_gated(
    const float* y, const u16* z, int z_stride, const float* __restrict__ weight, float eps, u16* window,
    const u16* mixed, int channels, u16* x, const int* order, const u16* a, u16* t, float* t_exact, int inputs,
    int copies, int ranks) {
    SHARED_POOL(pool);
    __shared__ float spare[32];
    u16* gated = reinterpret_cast<u16*>(pool);
    const int token = blockIdx.y, lane = threadIdx.x % 32;
    const Next next = {x, order, a, t, t_exact, inputs, copies, ranks};
    fetch_weights(next);
    for (int head = threadIdx.x / 32; head < inputs / 128; head += blockDim.x / 32) {
        const int at = head * 128 + lane * 4;
        const float4 v = *reinterpret_cast<const float4*>(y + token * inputs + at);
        const float square = warp_sum(v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w);
        const float scale = 1.0f / sqrtf(square / 128.0f + eps);
        const float value[4] = {v.x, v.y, v.z, v.w};
        for (int k = 0; k < 4; ++k) {
            const float gate = bf16_to_float(z[token * z_stride + at + k]);
            gated[at + k] = to_bf16(value[k] * scale * weight[lane * 4 + k] * silu(gate));
        }
    }
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; token == 0 && i < channels; i += gridDim.x * blockDim.x) {
        window[i] = window[channels + i];
        window[channels + i] = window[2 * channels + i];
        window[2 * channels + i] = mixed[i];
    }
    finish(next, gated, spare);
}

extern "C" __global__ void __launch_bounds__(512) prepare_plain(
    const u16* given, u16* x, const int* order, const u16* a, u16* t, float* t_exact, int inputs, int copies,
    int ranks) {
    SHARED_POOL(pool);
    __shared__ float spare[32];
    u16* plain = reinterpret_cast<u16*>(pool);
    const Next next = {x, order, a, t, t_exact, inputs, copies, ranks};
    fetch_weights(next);
    for (int i = threadIdx.x * 8; i < inputs; i += blockDim.x * 8)
        *reinterpret_cast<uint4*>(plain + i) = *reinterpret_cast<const uint4*>(given + blockIdx.y * inputs + i);
    finish(next, plain, spare);
}
