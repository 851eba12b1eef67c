// Attention of one token over the keys and values there are, heads of 256, GROUP query heads to a key head, each head's
// output multiplied by the sigmoid of its gate. Three launches; how many keys there are is read from the device, so one
// recorded graph serves every length.
//
//   rotate   q, k ← turned(q / rms(q) · (1 + w)); k and v go to their place in the cache
//   attend   each block: softmax over its share of the keys, for all query heads of one key head (flash attention)
//   gather   the shares joined in fixed order, times the gate
//
// Bytes (the floor): every key and value once, 2 · 2 · kv heads · 256 bytes a token of context.
// A block reads keys once for its GROUP query heads; a warp takes four keys at a time, a lane 8 of the 256 channels.
#include "device.cuh"

#ifndef GROUP
#define GROUP 6
#endif
#define WIDTH 256
#define KEYS 4    // at once in a warp
#define WARPS 8

// cursor: how many tokens are in the cache, and the position at which the next stands.
struct Share {
    int keys, used;
    __device__ Share(int length, int splits) {
        keys = max(64, ((length + splits - 1) / splits + 31) / 32 * 32);
        used = (length + keys - 1) / keys;
    }
};

// grid heads + kv heads, 256 threads. mixed bf16: for each head [query 256 | gate 256], then keys, then values.
extern "C" __global__ void __launch_bounds__(256) rotate(
    const u16* __restrict__ mixed, const float* __restrict__ q_weight, const float* __restrict__ k_weight, float eps,
    const float* __restrict__ frequencies, int rotary, const int* __restrict__ cursor, u16* q, u16* keys, u16* values,
    int heads, int capacity) {
    __shared__ float spare[32], normed[WIDTH];
    const int head = blockIdx.x, kv_heads = gridDim.x - heads, channel = threadIdx.x;
    const bool is_query = head < heads;
    const int at = is_query ? head * 2 * WIDTH : heads * 2 * WIDTH + (head - heads) * WIDTH;
    const float given = bf16_to_float(mixed[at + channel]);
    const float square = block_sum(given * given, spare);
    const float scale = 1.0f / sqrtf(square / WIDTH + eps);
    const float mine = given * scale * (is_query ? q_weight : k_weight)[channel];
    normed[channel] = mine;
    __syncthreads();
    float turned = mine;
    if (channel < rotary) {
        const int half = rotary / 2, pair = channel % half;
        const float angle = static_cast<float>(cursor[1]) * frequencies[pair];
        turned = channel < half ? mine * cosf(angle) - normed[channel + half] * sinf(angle)
                                : mine * cosf(angle) + normed[channel - half] * sinf(angle);
    }
    if (is_query) {
        q[head * WIDTH + channel] = to_bf16(turned);
    } else {
        const long long place = (static_cast<long long>(head - heads) * capacity + cursor[0]) * WIDTH + channel;
        keys[place] = to_bf16(turned);
        values[place] = mixed[at + kv_heads * WIDTH + channel];
    }
}

__device__ inline void unpack(const uint4& from, float (&to)[8]) {
    to[0] = low_to_float(from.x), to[1] = high_to_float(from.x), to[2] = low_to_float(from.y);
    to[3] = high_to_float(from.y), to[4] = low_to_float(from.z), to[5] = high_to_float(from.z);
    to[6] = low_to_float(from.w), to[7] = high_to_float(from.w);
}

// grid (splits, kv heads), 256 threads. shares [splits][heads][256] fp32: Σ 2^(s − peak) v; peaks [splits][heads][2]:
// the peak and Σ 2^(s − peak), for scores s = q·k / √256 · log₂e.
extern "C" __global__ void __launch_bounds__(WARPS * 32, 1) attend(
    const u16* __restrict__ q, const u16* __restrict__ keys, const u16* __restrict__ values,
    const int* __restrict__ cursor, float* __restrict__ shares, float* __restrict__ peaks, int capacity) {
    const int length = cursor[0] + 1, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const Share share(length, gridDim.x);
    const int begin = blockIdx.x * share.keys, end = min(begin + share.keys, length);
    if (begin >= length) return;
    const long long row = static_cast<long long>(blockIdx.y) * capacity;
    const uint4* key_rows = reinterpret_cast<const uint4*>(keys) + row * 32 + lane;
    const uint4* value_rows = reinterpret_cast<const uint4*>(values) + row * 32 + lane;

    float query[GROUP][8], total[GROUP][8], peak[GROUP], weight[GROUP];
#pragma unroll
    for (int h = 0; h < GROUP; ++h) {
        unpack(reinterpret_cast<const uint4*>(q)[(blockIdx.y * GROUP + h) * 32 + lane], query[h]);
        peak[h] = MINUS_INFINITY;
        weight[h] = 0.0f;
#pragma unroll
        for (int d = 0; d < 8; ++d) {
            query[h][d] *= 0.0625f * 1.4426950408889634f;
            total[h][d] = 0.0f;
        }
    }
    for (int base = begin + warp * KEYS; base < end; base += WARPS * KEYS) {
        uint4 k[KEYS], v[KEYS];
#pragma unroll
        for (int i = 0; i < KEYS; ++i) {
            const long long at = min(base + i, end - 1);
            k[i] = key_rows[at * 32];
            v[i] = value_rows[at * 32];
        }
        float score[KEYS][GROUP];
#pragma unroll
        for (int i = 0; i < KEYS; ++i) {
            float numbers[8];
            unpack(k[i], numbers);
#pragma unroll
            for (int h = 0; h < GROUP; ++h) {
                float sum = 0.0f;
#pragma unroll
                for (int d = 0; d < 8; ++d) sum += query[h][d] * numbers[d];
                sum = warp_sum(sum);
                score[i][h] = base + i < end ? sum : MINUS_INFINITY;
            }
        }
#pragma unroll
        for (int h = 0; h < GROUP; ++h) {
            float highest = peak[h];
#pragma unroll
            for (int i = 0; i < KEYS; ++i) highest = fmaxf(highest, score[i][h]);
            const float shrink = exp2f(peak[h] - highest);
            peak[h] = highest;
            weight[h] *= shrink;
#pragma unroll
            for (int d = 0; d < 8; ++d) total[h][d] *= shrink;
#pragma unroll
            for (int i = 0; i < KEYS; ++i) {
                score[i][h] = exp2f(score[i][h] - highest);
                weight[h] += score[i][h];
            }
        }
#pragma unroll
        for (int i = 0; i < KEYS; ++i) {
            float numbers[8];
            unpack(v[i], numbers);
#pragma unroll
            for (int h = 0; h < GROUP; ++h)
#pragma unroll
                for (int d = 0; d < 8; ++d) total[h][d] += score[i][h] * numbers[d];
        }
    }
    __shared__ float of_warps[WARPS][WIDTH], warp_peaks[WARPS], warp_weights[WARPS];
    const int heads = gridDim.y * GROUP;
#pragma unroll
    for (int h = 0; h < GROUP; ++h) {
        __syncthreads();
#pragma unroll
        for (int d = 0; d < 8; ++d) of_warps[warp][lane * 8 + d] = total[h][d];
        if (lane == 0) {
            warp_peaks[warp] = peak[h];
            warp_weights[warp] = weight[h];
        }
        __syncthreads();
        float highest = warp_peaks[0], sum = 0.0f, weights = 0.0f;
        for (int w = 1; w < WARPS; ++w) highest = fmaxf(highest, warp_peaks[w]);
        for (int w = 0; w < WARPS; ++w) {
            const float shrink = exp2f(warp_peaks[w] - highest);
            sum += shrink * of_warps[w][threadIdx.x];
            weights += shrink * warp_weights[w];
        }
        const long long place = static_cast<long long>(blockIdx.x) * heads + blockIdx.y * GROUP + h;
        shares[place * WIDTH + threadIdx.x] = sum;
        if (threadIdx.x == 0) {
            peaks[place * 2] = highest;
            peaks[place * 2 + 1] = weights;
        }
    }
}

// grid heads, 256 threads: y [heads][256] bf16.
extern "C" __global__ void __launch_bounds__(256) gather(
    const float* __restrict__ shares, const float* __restrict__ peaks, const u16* __restrict__ mixed,
    const int* __restrict__ cursor, u16* y, int splits) {
    const int head = blockIdx.x, heads = gridDim.x, channel = threadIdx.x;
    const Share share(cursor[0] + 1, splits);
    float highest = MINUS_INFINITY, sum = 0.0f, weights = 0.0f;
    for (int split = 0; split < share.used; ++split) highest = fmaxf(highest, peaks[(split * heads + head) * 2]);
    for (int split = 0; split < share.used; ++split) {
        const int place = split * heads + head;
        const float shrink = exp2f(peaks[place * 2] - highest);
        sum += shrink * shares[place * WIDTH + channel];
        weights += shrink * peaks[place * 2 + 1];
    }
    const float gate = bf16_to_float(mixed[head * 2 * WIDTH + WIDTH + channel]);
    y[head * WIDTH + channel] = to_bf16(sum / weights * sigmoid(gate));
}
