// What many tokens need beside dense products, attention and `chunk.cu`. Inputs of a linear are x, bf16, written once for
// each order of inputs that its weights were sorted into (act-order), [copies][tokens][inputs].
//
//   add_norm        h ← h + branch;  x = h / rms(h) · (1 + w)
//   silu_up         x = silu(gate) · up
//   gate_norm       x = y / rms of its head · w · silu(z)
//   turn_heads      q, k ← turned(q / rms(q) · (1 + w)); k and v go to their places in the cache
//   gate_heads      x = attention's y · σ(gate)
//
// Bytes (the floor) for I inputs and T tokens: add_norm 12 I T; silu_up, gate_norm and gate_heads 6 I T; turn_heads 4
// bytes a number.
#include "device.cuh"

__device__ inline uint4 load_numbers(const u16* from) { return *reinterpret_cast<const uint4*>(from); }
__device__ inline void to_floats(const uint4& from, float (&to)[8]) {
    to[0] = low_to_float(from.x), to[1] = high_to_float(from.x), to[2] = low_to_float(from.y);
    to[3] = high_to_float(from.y), to[4] = low_to_float(from.z), to[5] = high_to_float(from.z);
    to[6] = low_to_float(from.w), to[7] = high_to_float(from.w);
}
__device__ inline uint4 to_numbers(const float (&from)[8]) {
    return make_uint4(to_bf16_pair(from[0], from[1]), to_bf16_pair(from[2], from[3]), to_bf16_pair(from[4], from[5]),
                      to_bf16_pair(from[6], from[7]));
}

// One token's inputs, in shared memory in their own order, to x [copies][tokens][inputs]; the token is the block's.
__device__ inline void write_sorted(const u16* natural, u16* x, const int* orders, int inputs, int copies) {
    __syncthreads();
    for (int copy = 0; copy < copies; ++copy) {
        const int* order = orders + copy * inputs;
        u16* to = x + (static_cast<long long>(copy) * gridDim.x + blockIdx.x) * inputs;
        for (int i = threadIdx.x * 8; i < inputs; i += blockDim.x * 8) {
            const int4 one = *reinterpret_cast<const int4*>(order + i), two = *reinterpret_cast<const int4*>(order + i + 4);
            const u32 a = natural[one.x] | static_cast<u32>(natural[one.y]) << 16;
            const u32 b = natural[one.z] | static_cast<u32>(natural[one.w]) << 16;
            const u32 c = natural[two.x] | static_cast<u32>(natural[two.y]) << 16;
            const u32 d = natural[two.z] | static_cast<u32>(natural[two.w]) << 16;
            *reinterpret_cast<uint4*>(to + i) = make_uint4(a, b, c, d);
        }
    }
}

// hidden [tokens][inputs] fp32 in place, branch the same in bf16. grid tokens, 256 threads, 6 · inputs bytes.
extern "C" __global__ void __launch_bounds__(256) add_norm(
    float* hidden, const u16* branch, const float* __restrict__ weight, float eps, u16* x,
    const int* __restrict__ orders, int inputs, int copies) {
    wait_for_previous();
    SHARED_POOL(pool);
    __shared__ float spare[32];
    float* kept = reinterpret_cast<float*>(pool);
    u16* normed = reinterpret_cast<u16*>(pool + inputs * 4);
    const long long row = static_cast<long long>(blockIdx.x) * inputs;
    float square = 0.0f;
    for (int i = threadIdx.x * 8; i < inputs; i += blockDim.x * 8) {
        float4* from = reinterpret_cast<float4*>(hidden + row + i);
        const float4 one = from[0], two = from[1];
        float h[8] = {one.x, one.y, one.z, one.w, two.x, two.y, two.z, two.w};
        float more[8];
        to_floats(load_numbers(branch + row + i), more);
#pragma unroll
        for (int k = 0; k < 8; ++k) h[k] += more[k];
        float4* to = reinterpret_cast<float4*>(kept + i);
        from[0] = to[0] = make_float4(h[0], h[1], h[2], h[3]);
        from[1] = to[1] = make_float4(h[4], h[5], h[6], h[7]);
#pragma unroll
        for (int k = 0; k < 8; ++k) square += h[k] * h[k];
    }
    const float scale = 1.0f / sqrtf(block_sum(square, spare) / static_cast<float>(inputs) + eps);
    for (int i = threadIdx.x * 2; i < inputs; i += blockDim.x * 2)
        *reinterpret_cast<u32*>(normed + i) =
            to_bf16_pair(kept[i] * scale * weight[i], kept[i + 1] * scale * weight[i + 1]);
    write_sorted(normed, x, orders, inputs, copies);
}

// y [tokens][2 · inputs]: gates, then what they let through; x [tokens][stride]. One thread for eight, 256 a block.
extern "C" __global__ void __launch_bounds__(256) silu_up(
    const u16* y, u16* x, int inputs, int stride, int tokens) {
    wait_for_previous();
    const int eights = inputs / 8, index = blockIdx.x * blockDim.x + threadIdx.x, token = index / eights;
    if (token >= tokens) return;
    const u16* row = y + static_cast<long long>(token) * 2 * inputs;
    const int i = (index - token * eights) * 8;
    float gate[8], up[8];
    to_floats(load_numbers(row + i), gate);
    to_floats(load_numbers(row + inputs + i), up);
#pragma unroll
    for (int k = 0; k < 8; ++k) up[k] *= silu(gate[k]);
    *reinterpret_cast<uint4*>(x + static_cast<long long>(token) * stride + i) = to_numbers(up);
}

// y [tokens][inputs] bf16 in heads of 128, z [tokens][stride], weight [128]. grid tokens, 256 threads, 2 · inputs bytes.
extern "C" __global__ void __launch_bounds__(256) gate_norm(
    const u16* y, const u16* z, int stride, const float* __restrict__ weight, float eps,
    u16* x, const int* __restrict__ orders, int inputs, int copies) {
    wait_for_previous();
    SHARED_POOL(pool);
    u16* gated = reinterpret_cast<u16*>(pool);
    const u16* y_row = y + static_cast<long long>(blockIdx.x) * inputs;
    const u16* z_row = z + static_cast<long long>(blockIdx.x) * stride;
    const int lane = threadIdx.x % 32, channel = lane * 4;
    const float4 factor = *reinterpret_cast<const float4*>(weight + channel);
    for (int head = threadIdx.x / 32; head < inputs / 128; head += blockDim.x / 32) {
        const u32* pairs = reinterpret_cast<const u32*>(y_row + head * 128 + channel);
        const u32* gates = reinterpret_cast<const u32*>(z_row + head * 128 + channel);
        const float a = low_to_float(pairs[0]), b = high_to_float(pairs[0]);
        const float c = low_to_float(pairs[1]), d = high_to_float(pairs[1]);
        const float scale = 1.0f / sqrtf(warp_sum(a * a + b * b + c * c + d * d) / 128.0f + eps);
        u32* to = reinterpret_cast<u32*>(gated + head * 128 + channel);
        to[0] = to_bf16_pair(a * scale * factor.x * silu(low_to_float(gates[0])),
                             b * scale * factor.y * silu(high_to_float(gates[0])));
        to[1] = to_bf16_pair(c * scale * factor.z * silu(low_to_float(gates[1])),
                             d * scale * factor.w * silu(high_to_float(gates[1])));
    }
    write_sorted(gated, x, orders, inputs, copies);
}

// mixed [tokens][stride] bf16: for each head [query 256 | gate 256], then keys, then values; cosines, sines
// [tokens][rotary] fp32, rotary 16, 32, 64, 128 or 256; q [tokens][heads][256]; keys, values [kv_heads][capacity][256],
// whose next row is `begin`. grid (eights of heads + 2 · kv_heads, tokens), 256 threads: a warp has a head, a lane eight
// channels.
extern "C" __global__ void __launch_bounds__(256) turn_heads(
    const u16* mixed, int stride, const float* __restrict__ q_weight, const float* __restrict__ k_weight,
    float eps, const float* cosines, const float* sines, int rotary, u16* q, u16* keys,
    u16* values, int heads, int kv_heads, int capacity, int begin) {
    wait_for_previous();
    const int lane = threadIdx.x % 32, head = blockIdx.x * 8 + threadIdx.x / 32, token = blockIdx.y, channel = lane * 8;
    if (head >= heads + 2 * kv_heads) return;
    const u16* row = mixed + static_cast<long long>(token) * stride;
    const int at = head < heads ? head * 512 : heads * 512 + (head - heads) * 256;
    const uint4 given = load_numbers(row + at + channel);
    const int kv_head = head < heads + kv_heads ? head - heads : head - heads - kv_heads;
    const long long place = (static_cast<long long>(kv_head) * capacity + begin + token) * 256 + channel;
    if (head >= heads + kv_heads) {
        *reinterpret_cast<uint4*>(values + place) = given;
        return;
    }
    float x[8], partner[8];
    to_floats(given, x);
    float square = 0.0f;
#pragma unroll
    for (int k = 0; k < 8; ++k) square += x[k] * x[k];
    const float scale = 1.0f / sqrtf(warp_sum(square) / 256.0f + eps);
    const float* weight = (head < heads ? q_weight : k_weight) + channel;
#pragma unroll
    for (int k = 0; k < 8; ++k) x[k] *= scale * weight[k];
#pragma unroll
    for (int k = 0; k < 8; ++k) partner[k] = from_lane_xor(x[k], rotary / 16);
    if (channel < rotary) {
        const float sign = channel < rotary / 2 ? -1.0f : 1.0f;
        const float *cosine = cosines + token * rotary + channel, *sine = sines + token * rotary + channel;
#pragma unroll
        for (int k = 0; k < 8; ++k) x[k] = x[k] * cosine[k] + sign * partner[k] * sine[k];
    }
    u16* to = head < heads ? q + (static_cast<long long>(token) * heads + head) * 256 + channel : keys + place;
    *reinterpret_cast<uint4*>(to) = to_numbers(x);
}

// y [tokens][inputs] bf16 in heads of 256, mixed as above. grid tokens, 256 threads, 2 · inputs bytes.
extern "C" __global__ void __launch_bounds__(256) gate_heads(
    const u16* y, const u16* mixed, int stride, u16* x, const int* __restrict__ orders,
    int inputs, int copies) {
    wait_for_previous();
    SHARED_POOL(pool);
    u16* gated = reinterpret_cast<u16*>(pool);
    const u16* row = mixed + static_cast<long long>(blockIdx.x) * stride;
    for (int i = threadIdx.x * 8; i < inputs; i += blockDim.x * 8) {
        float value[8], gate[8];
        to_floats(load_numbers(y + static_cast<long long>(blockIdx.x) * inputs + i), value);
        to_floats(load_numbers(row + i / 256 * 512 + 256 + i % 256), gate);
#pragma unroll
        for (int k = 0; k < 8; ++k) value[k] *= sigmoid(gate[k]);
        *reinterpret_cast<uint4*>(gated + i) = to_numbers(value);
    }
    write_sorted(gated, x, orders, inputs, copies);
}
