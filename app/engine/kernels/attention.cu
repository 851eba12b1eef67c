// Attention of one token over the keys and values there are, heads of 256, GROUP query heads to a key head, each head's
// output multiplied by the sigmoid of its gate. Three launches; how many keys there are is read from the device, so one
// recorded graph serves every length.
//
//   rotate   q, k ← turned(q / rms(q) · (1 + w)); k and v go to their place in the cache
//   attend   each block: softmax over its share of the keys, for all query heads of one key head (flash attention)
//   gather   the shares joined in fixed order, times the gate
//
// Bytes (the floor): every key and value once, 2 · 2 · kv heads · 256 bytes a token of context.
// A block reads keys once for its GROUP query heads, which are the rows of tensor-core products. Keys and values in bytes
// have kernels of their own (`attention8.cu`); `gather` is for both.
#include "attention.cuh"

#define KEYS 16  // at once in a warp

// grid heads + kv heads, 256 threads. cursor: how many tokens are in the cache, and the position at which the next
// stands. mixed bf16: for each head [query 256 | gate 256], then keys, then values.
extern "C" __global__ void __launch_bounds__(256) rotate(
    const u16* mixed, const float* __restrict__ q_weight, const float* __restrict__ k_weight, float eps,
    const float* __restrict__ frequencies, int rotary, const int* cursor, u16* q, u16* keys, u16* values, int heads,
    int capacity) {
    let_next_start();
    wait_for_previous();
    const int head = blockIdx.x, kv_heads = gridDim.x - heads, channel = threadIdx.x;
    const bool is_query = head < heads;
    const int at = is_query ? head * 2 * HEAD : heads * 2 * HEAD + (head - heads) * HEAD;
    const float weight = (is_query ? q_weight : k_weight)[channel];
    const float turned = turned_channel(bf16_to_float(mixed[at + channel]), weight, eps, frequencies, rotary, cursor[1]);
    if (is_query) {
        q[head * HEAD + channel] = to_bf16(turned);
    } else {
        const long long place = (static_cast<long long>(head - heads) * capacity + cursor[0]) * HEAD + channel;
        keys[place] = to_bf16(turned);
        values[place] = mixed[at + kv_heads * HEAD + channel];
    }
}

// The first numbers, and the second ones, of two pairs of bf16.
__device__ inline u32 both_low(u32 a, u32 b) { return (a & 0xffffu) | (b << 16); }
__device__ inline u32 both_high(u32 a, u32 b) { return (a >> 16) | (b & 0xffff0000u); }

// grid (splits, kv heads), 256 threads. shares [splits][heads][256] fp32: Σ 2^(s − peak) v; peaks [splits][heads][2]:
// the peak and Σ 2^(s − peak), for scores s = q·k / √256 · log₂e.
// A warp takes 16 keys at a time. Lane 4g + t holds, of head g: the queries' channels 32p + 8t …+7 (piece p), the scores
// of keys 2t, 2t + 1 and 2t + 8, 2t + 9, and of the sum channels 64b + 8n + e for n = 2t, 2t + 1.
extern "C" __global__ void __launch_bounds__(SHARERS * 32, 1) attend(
    const u16* q, const u16* keys, const u16* values, const int* cursor, float* shares, float* peaks, int capacity) {
    SHARED_POOL(pool);
    let_next_start();
    wait_for_previous();
    const int length = cursor[0] + 1, lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
    const Share share(length, gridDim.x);
    const int begin = blockIdx.x * share.keys, end = min(begin + share.keys, length);
    if (begin >= length) return;
    const long long row = static_cast<long long>(blockIdx.y) * capacity;
    const uint4* key_rows = reinterpret_cast<const uint4*>(keys) + row * 32 + t;
    const uint4* value_rows = reinterpret_cast<const uint4*>(values) + row * 32 + g;

    uint4 query[8];
    float total[32][2], peak = MINUS_INFINITY, weight = 0.0f;
#pragma unroll
    for (int p = 0; p < 8; ++p) {
        query[p] = make_uint4(0u, 0u, 0u, 0u);
        if (g < GROUP) query[p] = reinterpret_cast<const uint4*>(q)[(blockIdx.y * GROUP + g) * 32 + p * 4 + t];
    }
#pragma unroll
    for (int i = 0; i < 32; ++i) total[i][0] = total[i][1] = 0.0f;

    for (int base = begin + warp * KEYS; base < end; base += SHARERS * KEYS) {
        float score[2][2] = {};
#pragma unroll
        for (int side = 0; side < 2; ++side) {
            const uint4* from = key_rows + static_cast<long long>(min(base + side * 8 + g, end - 1)) * 32;
            uint4 k[8];
#pragma unroll
            for (int p = 0; p < 8; ++p) k[p] = from[p * 4];
#pragma unroll
            for (int p = 0; p < 8; ++p) {
                multiply_half(score[side], query[p].x, query[p].y, k[p].x, k[p].y);
                multiply_half(score[side], query[p].z, query[p].w, k[p].z, k[p].w);
            }
        }
        float highest = peak;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            float& mine = score[i / 2][i % 2];
            mine = base + i / 2 * 8 + 2 * t + i % 2 < end ? mine * SCORE_UNIT : MINUS_INFINITY;
            highest = fmaxf(highest, mine);
        }
        highest = fmaxf(highest, from_lane_xor(highest, 1));
        highest = fmaxf(highest, from_lane_xor(highest, 2));
        const float shrink = exp2f(peak - highest);
        peak = highest;
        const u32 first = to_bf16_pair(exp2f(score[0][0] - highest), exp2f(score[0][1] - highest));
        const u32 second = to_bf16_pair(exp2f(score[1][0] - highest), exp2f(score[1][1] - highest));
        weight = weight * shrink + low_to_float(first) + high_to_float(first) + low_to_float(second) +
                 high_to_float(second);
#pragma unroll
        for (int i = 0; i < 32; ++i) {
            total[i][0] *= shrink;
            total[i][1] *= shrink;
        }
        const uint4* from[4];
#pragma unroll
        for (int i = 0; i < 4; ++i)
            from[i] = value_rows + static_cast<long long>(min(base + i / 2 * 8 + 2 * t + i % 2, end - 1)) * 32;
#pragma unroll
        for (int b = 0; b < 4; ++b) {
            const uint4 v[4] = {from[0][b * 8], from[1][b * 8], from[2][b * 8], from[3][b * 8]};
            multiply_half(total[b * 8 + 0], first, second, both_low(v[0].x, v[1].x), both_low(v[2].x, v[3].x));
            multiply_half(total[b * 8 + 1], first, second, both_high(v[0].x, v[1].x), both_high(v[2].x, v[3].x));
            multiply_half(total[b * 8 + 2], first, second, both_low(v[0].y, v[1].y), both_low(v[2].y, v[3].y));
            multiply_half(total[b * 8 + 3], first, second, both_high(v[0].y, v[1].y), both_high(v[2].y, v[3].y));
            multiply_half(total[b * 8 + 4], first, second, both_low(v[0].z, v[1].z), both_low(v[2].z, v[3].z));
            multiply_half(total[b * 8 + 5], first, second, both_high(v[0].z, v[1].z), both_high(v[2].z, v[3].z));
            multiply_half(total[b * 8 + 6], first, second, both_low(v[0].w, v[1].w), both_low(v[2].w, v[3].w));
            multiply_half(total[b * 8 + 7], first, second, both_high(v[0].w, v[1].w), both_high(v[2].w, v[3].w));
        }
    }
    join_warps(reinterpret_cast<float*>(pool), total, peak, weight, shares, peaks);
}

// grid heads, 256 threads: y [heads][256] bf16.
extern "C" __global__ void __launch_bounds__(256) gather(
    const float* shares, const float* peaks, const u16* mixed, const int* cursor, u16* y, int splits) {
    let_next_start();
    wait_for_previous();
    const int head = blockIdx.x, heads = gridDim.x, channel = threadIdx.x;
    const Share share(cursor[0] + 1, splits);
    float highest = MINUS_INFINITY, sum = 0.0f, weights = 0.0f;
    for (int split = 0; split < share.used; ++split) highest = fmaxf(highest, peaks[(split * heads + head) * 2]);
    for (int split = 0; split < share.used; ++split) {
        const int place = split * heads + head;
        const float shrink = exp2f(peaks[place * 2] - highest);
        sum += shrink * shares[place * HEAD + channel];
        weights += shrink * peaks[place * 2 + 1];
    }
    const float gate = bf16_to_float(mixed[head * 2 * HEAD + HEAD + channel]);
    y[head * HEAD + channel] = to_bf16(sum / weights * sigmoid(gate));
}
