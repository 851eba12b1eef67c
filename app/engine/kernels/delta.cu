// One token of Gated DeltaNet, for heads of 128 keys and 128 values and a convolution of 4 taps:
//
//   q, k, v = SiLU(convolution);  q, k ← q / |q| / √128, k / |k|;  β = σ(b);  α = exp(decay · softplus(a + bias))
//   δ = β (v − α kᵀS);   S ← α S + k δᵀ;   y = qᵀS = α qᵀS_old + (qᵀk) δ
//
// so the old state is read once and the new one written once. Source: Yang, Kautz, Hatamizadeh (2024).
// Bytes (the floor): the state [heads, 128, 128] fp32 read and written.
// grid (4, value heads): a block has 32 of a head's values; its 256 threads hold 4 × 4 numbers of the state each.
// The convolution's window stays as it is: other blocks read it; prepare.cu's prepare_gated moves it on.
#include "device.cuh"

// What the window's three tokens give to a channel of the convolution.
__device__ inline float earlier(const u16* window, const float* weight, int channels, int channel) {
    float sum = 0.0f;
    for (int tap = 0; tap < 3; ++tap)
        sum += bf16_to_float(window[tap * channels + channel]) * weight[tap * channels + channel];
    return sum;
}

// mixed [channels] bf16: queries, keys (key_heads × 128 each), values; window [3][channels] bf16, oldest first; weight
// [4][channels] fp32, oldest first; a, b, decay (< 0), bias [heads]; state [heads][128 keys][128 values]; y [heads][128].
// State and window are what the token before left: they are there while the kernel before is still at work.
extern "C" __global__ void __launch_bounds__(256) delta_step(
    const u16* mixed, const u16* window, const float* __restrict__ weight, const float* a, const float* b,
    const float* __restrict__ decay, const float* __restrict__ bias, float* state, float* y, int key_heads) {
    __shared__ float query[128], key[128], value[32], sums[4][3], read[2][8][32];
    const int head = blockIdx.y, heads = gridDim.y, first = blockIdx.x * 32, thread = threadIdx.x;
    const int channels = (2 * key_heads + heads) * 128, key_head = head / (heads / key_heads);
    const int row = thread / 8, column = thread % 8 * 4;

    let_next_start();
    float4* mine = reinterpret_cast<float4*>(state + (head * 128 + row) * 128 + first + column);
    float4 old[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) old[i] = mine[i * 32 * 32];  // rows row + 32 i, 32 float4 a row
    const int qk_channel = (thread / 128 * key_heads + key_head) * 128 + thread % 128;
    const int v_channel = (2 * key_heads + head) * 128 + first + thread % 32;
    const float qk_before = earlier(window, weight, channels, qk_channel), qk_weight = weight[3 * channels + qk_channel];
    const float v_before = earlier(window, weight, channels, v_channel), v_weight = weight[3 * channels + v_channel];
    const float fading = decay[head], offset = bias[head];
    wait_for_previous();

    const float pace = a[head] + offset, rate = b[head];
    const float one = silu(qk_before + bf16_to_float(mixed[qk_channel]) * qk_weight);
    if (thread < 128)
        query[thread] = one;
    else
        key[thread - 128] = one;
    if (thread < 32) value[thread] = silu(v_before + bf16_to_float(mixed[v_channel]) * v_weight);
    __syncthreads();
    if (thread < 128) {
        const float q = query[thread], k = key[thread];
        const float parts[3] = {warp_sum(q * q), warp_sum(k * k), warp_sum(q * k)};
        if (thread % 32 == 0)
            for (int i = 0; i < 3; ++i) sums[thread / 32][i] = parts[i];
    }
    __syncthreads();
    float all[3];
    for (int i = 0; i < 3; ++i) all[i] = sums[0][i] + sums[1][i] + sums[2][i] + sums[3][i];
    const float q_scale = 0.08838834764831845f / sqrtf(all[0] + 1e-6f), k_scale = 1.0f / sqrtf(all[1] + 1e-6f);
    const float qk = all[2] * q_scale * k_scale;
    const float alpha = expf(fading * (pace > 20.0f ? pace : log1pf(expf(pace))));
    const float beta = sigmoid(rate);

    float from_key[4] = {0.0f, 0.0f, 0.0f, 0.0f}, from_query[4] = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const float k = key[row + 32 * i] * k_scale, q = query[row + 32 * i] * q_scale;
        const float s[4] = {old[i].x, old[i].y, old[i].z, old[i].w};
#pragma unroll
        for (int c = 0; c < 4; ++c) {
            from_key[c] += k * s[c];
            from_query[c] += q * s[c];
        }
    }
#pragma unroll
    for (int c = 0; c < 4; ++c)  // over the warp's four rows
        for (int mask = 8; mask < 32; mask <<= 1) {
            from_key[c] += from_lane_xor(from_key[c], mask);
            from_query[c] += from_lane_xor(from_query[c], mask);
        }
    if (thread % 32 < 8)
        for (int c = 0; c < 4; ++c) {
            read[0][thread / 32][column + c] = from_key[c];
            read[1][thread / 32][column + c] = from_query[c];
        }
    __syncthreads();
    float change[4];
    for (int c = 0; c < 4; ++c) {
        float k_state = 0.0f, q_state = 0.0f;
        for (int warp = 0; warp < 8; ++warp) {
            k_state += read[0][warp][column + c];
            q_state += read[1][warp][column + c];
        }
        change[c] = beta * (value[column + c] - alpha * k_state);
        if (row == 0) y[head * 128 + first + column + c] = alpha * q_state + qk * change[c];
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const float k = key[row + 32 * i] * k_scale;
        mine[i * 32 * 32] = make_float4(alpha * old[i].x + k * change[0], alpha * old[i].y + k * change[1],
                                        alpha * old[i].z + k * change[2], alpha * old[i].w + k * change[3]);
    }
}
