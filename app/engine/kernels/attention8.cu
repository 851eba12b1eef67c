// Attention of one token over keys and values in bytes (`byte_rows.py`): codes of one byte, and for every 64 of a head's
// 256 numbers a scale in bf16. Launched as their like in `attention.cu`; what they leave is joined by the same `gather`.
//
//   rotate_8   q, k ← turned(q / rms(q) · (1 + w)); k and v are rounded, once, into their place in the cache
//   attend_8   each block: softmax over its share of the keys, for all query heads of one key head
//
// Bytes (the floor): every key and value once, 2 · kv heads · (256 + 8) bytes a token of context.
// Keys are never unpacked: q becomes two bytes a number, the upper ones in the upper half of the tile that has room for 16
// heads and the lower ones in its lower half, so that bytes are multiplied with bytes and the sums are exact. Values
// become bf16, exactly, for their scales go into the weights that they are multiplied by.
#include "attention.cuh"

#define KEYS 16  // at once in a warp
#define SPANS 4
#define MOST 127.0f
#define MOST_Q 32512.0f  // 127 · 256

// The larger one, or NaN if there is one.
__device__ inline float larger(float a, float b) { return b > a || b != b ? b : a; }

// A thread's number among 256, rounded with the others of its span, whose first thread writes the scale.
__device__ inline void round_into(float x, signed char* codes, u16* scales, float* of_warps) {
    float most = fabsf(x);
    for (int mask = 16; mask > 0; mask >>= 1) most = larger(most, from_lane_xor(most, mask));
    __syncthreads();
    if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = most;
    __syncthreads();
    const int span = threadIdx.x / 64;
    const u16 scale = to_bf16(larger(of_warps[2 * span], of_warps[2 * span + 1]) / MOST);
    const float unit = bf16_to_float(scale), code = unit > 0.0f ? rintf(x / unit) : 0.0f;
    codes[threadIdx.x] = static_cast<signed char>(static_cast<int>(fminf(fmaxf(code, -MOST), MOST)));
    if (threadIdx.x % 64 == 0) scales[span] = scale;
}

// As `rotate`; keys, values [kv heads][capacity][256] and their scales [kv heads][capacity][4].
extern "C" __global__ void __launch_bounds__(256) rotate_8(
    const u16* mixed, const float* __restrict__ q_weight, const float* __restrict__ k_weight, float eps,
    const float* __restrict__ frequencies, int rotary, const int* cursor, u16* q, signed char* keys, signed char* values,
    u16* key_scales, u16* value_scales, int heads, int capacity) {
    let_next_start();
    wait_for_previous();
    __shared__ float of_warps[8];
    const int head = blockIdx.x, kv_heads = gridDim.x - heads, channel = threadIdx.x;
    const bool is_query = head < heads;
    const int at = is_query ? head * 2 * HEAD : heads * 2 * HEAD + (head - heads) * HEAD;
    const float weight = (is_query ? q_weight : k_weight)[channel];
    const float turned = turned_channel(bf16_to_float(mixed[at + channel]), weight, eps, frequencies, rotary, cursor[1]);
    if (is_query) {
        q[head * HEAD + channel] = to_bf16(turned);
        return;
    }
    const long long row = static_cast<long long>(head - heads) * capacity + cursor[0];
    round_into(turned, keys + row * HEAD, key_scales + row * SPANS, of_warps);
    const float value = bf16_to_float(mixed[at + kv_heads * HEAD + channel]);
    round_into(value, values + row * HEAD, value_scales + row * SPANS, of_warps);
}

// Four numbers in two bytes each, of 32512 for the largest: their upper bytes and their lower ones, both signed.
__device__ inline void two_bytes(const float* x, float units, u32& upper, u32& lower) {
    upper = lower = 0u;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const int whole = static_cast<int>(rintf(x[i] * units)), high = (whole + 128) >> 8;
        upper |= (static_cast<u32>(high) & 255u) << (8 * i);
        lower |= (static_cast<u32>(whole) & 255u) << (8 * i);
    }
}

// Byte e of two words as a pair of bf16, exactly: their seven low bits as 128…255, less 128, or 256 if the sign is set.
__device__ inline u32 byte_pair(u32 a, u32 b, int e) {
    const u32 both = choose_bytes(a, b, 0x4400u + 0x1111u * e);
    return fma_bf16_pair(mask_and_set(both, 0x00800080u, 0x43004300u), 0xbf80bf80u,
                         mask_and_set(both, 0x007f007fu, 0x43004300u));
}

__device__ inline float scale_of(const uint2& four, int span) {
    const u32 pair = span < 2 ? four.x : four.y;
    return span % 2 == 0 ? low_to_float(pair) : high_to_float(pair);
}

// grid (splits, kv heads), 256 threads; shares and peaks as `attend` leaves them.
// A warp takes 16 keys at a time, and fetches the next ones while it weighs the values of these. Lane 4g + t holds, of
// head g: the queries' channels 64p + 16t …+15 (span p), the scores of keys 2t, 2t + 1 and 2t + 8, 2t + 9, and of the sum
// channels 64b + 8n + e for n = 2t, 2t + 1.
extern "C" __global__ void __launch_bounds__(SHARERS * 32, 1) attend_8(
    const u16* q, const signed char* keys, const signed char* values, const u16* key_scales, const u16* value_scales,
    const int* cursor, float* shares, float* peaks, int capacity) {
    SHARED_POOL(pool);
    let_next_start();
    wait_for_previous();
    const int length = cursor[0] + 1, lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
    const Share share(length, gridDim.x);
    const int begin = blockIdx.x * share.keys, end = min(begin + share.keys, length);
    if (begin >= length) return;
    const long long row = static_cast<long long>(blockIdx.y) * capacity;
    const uint4* key_rows = reinterpret_cast<const uint4*>(keys) + row * 16 + t;
    const uint2* value_rows = reinterpret_cast<const uint2*>(values) + row * 32 + g;
    const uint2* key_marks = reinterpret_cast<const uint2*>(key_scales) + row;
    const uint2* value_marks = reinterpret_cast<const uint2*>(value_scales) + row;

    u32 upper[SPANS][4], lower[SPANS][4];
    float unit[SPANS], total[32][2], peak = MINUS_INFINITY, weight = 0.0f;
#pragma unroll
    for (int p = 0; p < SPANS; ++p) {
        const u32* from = reinterpret_cast<const u32*>(q) + (blockIdx.y * GROUP + min(g, GROUP - 1)) * 128 + p * 32 + t * 8;
        float x[16], most = 0.0f;
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            x[2 * i] = low_to_float(from[i]);
            x[2 * i + 1] = high_to_float(from[i]);
            most = larger(most, larger(fabsf(x[2 * i]), fabsf(x[2 * i + 1])));
        }
        most = larger(most, from_lane_xor(most, 1));
        most = larger(most, from_lane_xor(most, 2));
        unit[p] = most / MOST_Q * SCORE_UNIT;
#pragma unroll
        for (int i = 0; i < 4; ++i) two_bytes(x + 4 * i, most > 0.0f ? MOST_Q / most : 0.0f, upper[p][i], lower[p][i]);
    }
#pragma unroll
    for (int i = 0; i < 32; ++i) total[i][0] = total[i][1] = 0.0f;

    uint4 k[2][SPANS];
    auto fetch_keys = [&](int base) {
#pragma unroll
        for (int side = 0; side < 2; ++side) {
            const uint4* from = key_rows + static_cast<long long>(min(base + side * 8 + g, end - 1)) * 16;
#pragma unroll
            for (int p = 0; p < SPANS; ++p) k[side][p] = from[p * 4];
        }
    };
    const int first_key = begin + warp * KEYS;
    if (first_key < end) fetch_keys(first_key);
    for (int base = first_key; base < end; base += SHARERS * KEYS) {
        uint2 v[4][4], key_scale[4], value_scale[4];  // of keys 2t, 2t + 1, 2t + 8, 2t + 9
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const long long at = min(base + i / 2 * 8 + 2 * t + i % 2, end - 1);
            key_scale[i] = key_marks[at];
            value_scale[i] = value_marks[at];
#pragma unroll
            for (int b = 0; b < 4; ++b) v[i][b] = value_rows[at * 32 + b * 8];
        }
        float score[4] = {0.0f, 0.0f, 0.0f, 0.0f}, highest = peak;
#pragma unroll
        for (int side = 0; side < 2; ++side)
#pragma unroll
            for (int p = 0; p < SPANS; ++p) {
                const uint4& mine = k[side][p];
                int sum[4] = {0, 0, 0, 0};
                multiply_signed(sum, upper[p][0], lower[p][0], upper[p][1], lower[p][1], mine.x, mine.y);
                multiply_signed(sum, upper[p][2], lower[p][2], upper[p][3], lower[p][3], mine.z, mine.w);
#pragma unroll
                for (int e = 0; e < 2; ++e)
                    score[side * 2 + e] += static_cast<float>(sum[e] * 256 + sum[e + 2]) * unit[p] *
                                           scale_of(key_scale[side * 2 + e], p);
            }
        fetch_keys(base + SHARERS * KEYS);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            if (base + i / 2 * 8 + 2 * t + i % 2 >= end) score[i] = MINUS_INFINITY;
            highest = fmaxf(highest, score[i]);
        }
        highest = fmaxf(highest, from_lane_xor(highest, 1));
        highest = fmaxf(highest, from_lane_xor(highest, 2));
        const float shrink = exp2f(peak - highest);
        peak = highest;
        weight *= shrink;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            score[i] = exp2f(score[i] - highest);
            weight += score[i];
        }
#pragma unroll
        for (int i = 0; i < 32; ++i) {
            total[i][0] *= shrink;
            total[i][1] *= shrink;
        }
#pragma unroll
        for (int b = 0; b < SPANS; ++b) {
            const u32 first = to_bf16_pair(score[0] * scale_of(value_scale[0], b), score[1] * scale_of(value_scale[1], b));
            const u32 second = to_bf16_pair(score[2] * scale_of(value_scale[2], b), score[3] * scale_of(value_scale[3], b));
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                multiply_half(total[b * 8 + e], first, second, byte_pair(v[0][b].x, v[1][b].x, e),
                              byte_pair(v[2][b].x, v[3][b].x, e));
                multiply_half(total[b * 8 + 4 + e], first, second, byte_pair(v[0][b].y, v[1][b].y, e),
                              byte_pair(v[2][b].y, v[3][b].y, e));
            }
        }
    }
    join_warps(reinterpret_cast<float*>(pool), total, peak, weight, shares, peaks);
}
