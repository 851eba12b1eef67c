// What attention of one token shares, whether keys and values are numbers or bytes: heads of 256, GROUP query heads to a
// key head, at most 8 of them; how keys are divided among blocks, one head's norm and turn, how warps' sums are joined.
#pragma once
#include "device.cuh"

#ifndef GROUP
#define GROUP 6
#endif

constexpr int HEAD = 256;
constexpr int SHARERS = 8;            // warps of a block of `attend`
constexpr int SUM_STRIDE = HEAD + 8;  // floats of a head's sum in shared memory; no two lanes write to one bank
constexpr float SCORE_UNIT = 0.0625f * 1.4426950408889634f;  // 1 / √256 · log₂e

// Each block of a key head has so many keys, and so many blocks have any.
struct Share {
    int keys, used;
    __device__ Share(int length, int splits) {
        keys = max(64, ((length + splits - 1) / splits + 31) / 32 * 32);
        used = (length + keys - 1) / keys;
    }
};

// One channel of a query or key head, normed and turned to `position`; a thread a channel, 256 of them.
__device__ inline float turned_channel(float given, float weight, float eps, const float* frequencies, int rotary,
                                       int position) {
    __shared__ float spare[32], normed[HEAD];
    const int channel = threadIdx.x;
    const float scale = 1.0f / sqrtf(block_sum(given * given, spare) / HEAD + eps);
    const float mine = given * scale * weight;
    normed[channel] = mine;
    __syncthreads();
    if (channel >= rotary) return mine;
    const int half = rotary / 2;
    const float angle = static_cast<float>(position) * frequencies[channel % half];
    return channel < half ? mine * cosf(angle) - normed[channel + half] * sinf(angle)
                          : mine * cosf(angle) + normed[channel - half] * sinf(angle);
}

// sum[8 × 8] += A[8 × 16] · B[16 × 8]: the upper half of `multiply_tiles`, the lower rows being zero.
__device__ inline void multiply_half(float (&sum)[2], u32 a0, u32 a2, u32 b0, u32 b1) {
    float all[4] = {sum[0], sum[1], 0.0f, 0.0f};
    multiply_tiles(all, a0, 0u, a2, 0u, b0, b1);
    sum[0] = all[0];
    sum[1] = all[1];
}

// The sums of a block's warps, joined in fixed order and written as this block's share. Lane 4g + t brings, of head g, the
// highest score, Σ 2^(s − peak) over its own keys and in `total[8b + e]` the channels 64b + 8n + e for n = 2t, 2t + 1.
// In shared memory, `of_warps`, a head's channel 64b + 8n + e lies at 64b + 8e + n.
__device__ inline void join_warps(float* of_warps, const float (&total)[32][2], float peak, float weight, float* shares,
                                  float* peaks) {
    __shared__ float warp_peaks[SHARERS][8], warp_weights[SHARERS][8];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
    weight += from_lane_xor(weight, 1);
    weight += from_lane_xor(weight, 2);
    if (g < GROUP) {
        float* to = of_warps + (warp * GROUP + g) * SUM_STRIDE + 2 * t;
#pragma unroll
        for (int i = 0; i < 32; ++i) {
            to[i * 8] = total[i][0];
            to[i * 8 + 1] = total[i][1];
        }
        if (t == 0) {
            warp_peaks[warp][g] = peak;
            warp_weights[warp][g] = weight;
        }
    }
    __syncthreads();
    const int channel = threadIdx.x, heads = gridDim.y * GROUP;
    const int at = channel / 64 * 64 + channel % 8 * 8 + channel / 8 % 8;
#pragma unroll
    for (int h = 0; h < GROUP; ++h) {
        float highest = warp_peaks[0][h], sum = 0.0f, weights = 0.0f;
        for (int w = 1; w < SHARERS; ++w) highest = fmaxf(highest, warp_peaks[w][h]);
        for (int w = 0; w < SHARERS; ++w) {
            const float shrink = exp2f(warp_peaks[w][h] - highest);
            sum += shrink * of_warps[(w * GROUP + h) * SUM_STRIDE + at];
            weights += shrink * warp_weights[w][h];
        }
        const long long place = static_cast<long long>(blockIdx.x) * heads + blockIdx.y * GROUP + h;
        shares[place * HEAD + channel] = sum;
        if (channel == 0) {
            peaks[place * 2] = highest;
            peaks[place * 2 + 1] = weights;
        }
    }
}
