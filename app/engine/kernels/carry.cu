// The state of Gated DeltaNet through the chunks of a prompt, one after another, and what is read from it; the third step
// of `chunk.cu`, whose head has the formulas. Tensor cores multiply bf16 with fp32 sums, the state stays fp32.
// Bytes (the floor), a token and layer, with heads H and key heads K: 648 H + 512 K read, 256 H written. FLOPs: 2 · 128 ·
// (128 · 3 + 64) H.
#include "device.cuh"

#define CHUNK 64
#define HEAD 128

// In a stage of shared memory, in pieces of 16 bytes: all of w, queries, keys and inner, half of u, fades.
#define W_AT 0
#define Q_AT 1024
#define K_AT 2048
#define INNER_AT 3072
#define U_AT 3584
#define FADES_AT 4096
#define STAGE 4128

__device__ inline void copy_part(Shared to, int at, const uint4* from, int count) {
    for (int i = threadIdx.x; i < count; i += blockDim.x) copy_16(to + (at + i) * 16, from + i);
}

// Everything of `solve_chunks`, state [heads][128 keys][128 values] fp32 in place, y [tokens][heads][128] bf16.
// grid (2, heads), 128 threads: a block has 64 of a head's values, a warp 16 of them with all keys, in registers, values
// as rows: sums of one product become the first operand of the next without leaving the lane. `stages` (1 or 2) of
// STAGE · 16 bytes of shared memory; with 2 the next chunk is fetched while one is computed.
extern "C" __global__ void __launch_bounds__(128) run_chunks(
    const uint4* w, const uint4* u, const uint4* inner,
    const uint4* queries, const uint4* keys, const float* fades, float* state,
    u16* y, int tokens, int key_heads, int stages) {
    wait_for_previous();
    SHARED_POOL(pool);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
    const int half = blockIdx.x, head = blockIdx.y, heads = gridDim.y, key_head = head / (heads / key_heads);
    const int chunks = (tokens + CHUNK - 1) / CHUNK, value = half * 64 + warp * 16 + g;
    const Shared ring = shared_place(pool);
    auto fetch = [&](int chunk) {
        if (chunk < chunks) {
            const Shared to = ring + chunk % stages * STAGE * 16;
            const long long place = static_cast<long long>(chunk) * heads + head;
            const long long shared_by_group = static_cast<long long>(chunk) * key_heads + key_head;
            copy_part(to, W_AT, w + place * 1024, 1024);
            copy_part(to, Q_AT, queries + shared_by_group * 1024, 1024);
            copy_part(to, K_AT, keys + shared_by_group * 1024, 1024);
            copy_part(to, INNER_AT, inner + place * 512, 512);
            copy_part(to, U_AT, u + place * 1024 + half * 512, 512);
            copy_part(to, FADES_AT, reinterpret_cast<const uint4*>(fades) + place * 32, 32);
        }
        close_copies();
    };
    for (int chunk = 0; chunk < stages; ++chunk) fetch(chunk);

    float* mine = state + (static_cast<long long>(head) * HEAD + t * 2) * HEAD + value;
    float sum[16][4];  // S transposed: values g and g + 8, keys 8 · tile + 2t and the next
#pragma unroll
    for (int tile = 0; tile < 16; ++tile)
#pragma unroll
        for (int i = 0; i < 4; ++i) sum[tile][i] = mine[(tile * 8 + i % 2) * HEAD + i / 2 * 8];

    for (int chunk = 0; chunk < chunks; ++chunk) {
        if (stages == 2)
            wait_copies<1>();
        else
            wait_copies<0>();
        __syncthreads();
        const uint4* now = reinterpret_cast<const uint4*>(pool) + chunk % stages * STAGE;
        const float* fade = reinterpret_cast<const float*>(now + FADES_AT);
        u32 old[8][4];
#pragma unroll
        for (int step = 0; step < 8; ++step)
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const float* pair = sum[step * 2 + i / 2] + i % 2 * 2;
                old[step][i] = to_bf16_pair(pair[0], pair[1]);
            }
        u32 change[4][4], fading[4][4];  // δ, and δ exp(G_64 − G)
        {
            float delta[8][4];
#pragma unroll
            for (int two = 0; two < 4; ++two) {
                const uint4 from = now[U_AT + (warp * 4 + two) * 32 + lane];
                const u32 words[4] = {from.x, from.y, from.z, from.w};
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    delta[two * 2 + i / 2][i % 2 * 2] = low_to_float(words[i]);
                    delta[two * 2 + i / 2][i % 2 * 2 + 1] = high_to_float(words[i]);
                }
            }
#pragma unroll
            for (int four = 0; four < 4; ++four)
#pragma unroll
                for (int tile = 0; tile < 8; ++tile) {
                    const uint4 b = now[W_AT + (tile * 4 + four) * 32 + lane];
                    const u32 *a = old[four * 2], *c = old[four * 2 + 1];
                    multiply_tiles(delta[tile], a[0], a[1], a[2], a[3], b.x, b.y);
                    multiply_tiles(delta[tile], c[0], c[1], c[2], c[3], b.z, b.w);
                }
#pragma unroll
            for (int tile = 0; tile < 8; ++tile) {
                const float left = fade[CHUNK + tile * 8 + t * 2], right = fade[CHUNK + tile * 8 + t * 2 + 1];
                const float* d = delta[tile];
                u32 *plain = change[tile / 2] + tile % 2 * 2, *faded = fading[tile / 2] + tile % 2 * 2;
                plain[0] = to_bf16_pair(d[0], d[1]);
                plain[1] = to_bf16_pair(d[2], d[3]);
                faded[0] = to_bf16_pair(d[0] * left, d[1] * right);
                faded[1] = to_bf16_pair(d[2] * left, d[3] * right);
            }
        }
        {
            float read[8][4] = {};
#pragma unroll
            for (int four = 0; four < 4; ++four)
#pragma unroll
                for (int tile = 0; tile < 8; ++tile) {
                    const uint4 b = now[Q_AT + (tile * 4 + four) * 32 + lane];
                    const u32 *a = old[four * 2], *c = old[four * 2 + 1];
                    multiply_tiles(read[tile], a[0], a[1], a[2], a[3], b.x, b.y);
                    multiply_tiles(read[tile], c[0], c[1], c[2], c[3], b.z, b.w);
                }
#pragma unroll
            for (int tile = 0; tile < 8; ++tile)
#pragma unroll
                for (int i = 0; i < 4; ++i) read[tile][i] *= fade[tile * 8 + t * 2 + i % 2];
#pragma unroll
            for (int two = 0; two < 2; ++two)
#pragma unroll
                for (int tile = two * 4; tile < 8; ++tile) {
                    const uint4 b = now[INNER_AT + (tile * 2 + two) * 32 + lane];
                    const u32 *a = change[two * 2], *c = change[two * 2 + 1];
                    multiply_tiles(read[tile], a[0], a[1], a[2], a[3], b.x, b.y);
                    multiply_tiles(read[tile], c[0], c[1], c[2], c[3], b.z, b.w);
                }
#pragma unroll
            for (int tile = 0; tile < 8; ++tile)
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    const int token = chunk * CHUNK + tile * 8 + t * 2 + i % 2;
                    if (token < tokens)
                        y[(static_cast<long long>(token) * heads + head) * HEAD + value + i / 2 * 8] =
                            to_bf16(read[tile][i]);
                }
        }
        const float left = fade[CHUNK - 1];
#pragma unroll
        for (int tile = 0; tile < 16; ++tile)
#pragma unroll
            for (int i = 0; i < 4; ++i) sum[tile][i] *= left;
#pragma unroll
        for (int two = 0; two < 2; ++two)
#pragma unroll
            for (int tile = 0; tile < 16; ++tile) {
                const uint4 b = now[K_AT + (tile * 2 + two) * 32 + lane];
                const u32 *a = fading[two * 2], *c = fading[two * 2 + 1];
                multiply_tiles(sum[tile], a[0], a[1], a[2], a[3], b.x, b.y);
                multiply_tiles(sum[tile], c[0], c[1], c[2], c[3], b.z, b.w);
            }
        __syncthreads();
        fetch(chunk + stages);
    }
#pragma unroll
    for (int tile = 0; tile < 16; ++tile)
#pragma unroll
        for (int i = 0; i < 4; ++i) mine[(tile * 8 + i % 2) * HEAD + i / 2 * 8] = sum[tile][i];
}
