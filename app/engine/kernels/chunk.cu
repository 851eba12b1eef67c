// Many tokens of Gated DeltaNet, 64 at a time, for heads of 128 keys and 128 values and a convolution of 4 taps. With
// g = decay · softplus(a + bias), β = σ(b) and G the sum of g from the chunk's first token on, for tokens i, j of a chunk:
//
//   A_ij = β_i (k_i·k_j) exp(G_i − G_j) for j < i;   T = (I + A)⁻¹;   u = T (β v);   w = T (β exp(G) k)
//   δ = u − w S;   y_i = exp(G_i) q_i S + Σ_(j ≤ i) (q_i·k_j) exp(G_i − G_j) δ_j;   S ← exp(G_64) S + Σ_j exp(G_64 − G_j) k_j δ_j
//
// which is what one token after another would do (delta.cu). Source: Yang, Kautz, Hatamizadeh, "Gated Delta Networks"
// (2024). Three launches, the last of them in carry.cu:
//
//   convolve       q, k, v = SiLU(convolution);  q ← q / |q| / √128;  k ← k / |k|
//   solve_chunks   u, w and the inner products of every chunk, all chunks at once
//   run_chunks     the state through the chunks, one after another, and y
//
// Tensor cores multiply bf16 with fp32 sums; states, decays and the inverse are fp32. Tokens beyond the last have β = 0,
// g = 0 and change nothing. Products are written in the order in which the lanes of `run_chunks` take them: a "fragment"
// is what `multiply_tiles` wants of its second operand, two steps of 16 at once, 16 bytes a lane.
// Bytes (the floor), a token and layer, with heads H and key heads K: convolve 512 (2 K + H); solve_chunks 256 (2 K + H)
// read, 648 H + 512 K written. FLOPs of solve_chunks: 2 · 128 · 64 · 4 H, and the inverse.
#include "device.cuh"

#define CHUNK 64
#define HEAD 128
#define RUN 16  // tokens of a warp of `convolve`

// mixed [tokens][stride] bf16: queries, keys (key_heads × 128 each), values (heads × 128); window [3][channels] bf16,
// oldest first; weight [4][channels] fp32, oldest first; out [tokens][channels] bf16.
// grid (runs of 16 tokens, eights of all heads), 256 threads: a warp takes one head, a lane four of its channels.
extern "C" __global__ void __launch_bounds__(256) convolve(
    const u16* mixed, int stride, const u16* window, const float* __restrict__ weight,
    u16* out, int tokens, int key_heads, int heads) {
    wait_for_previous();
    const int lane = threadIdx.x % 32, head = blockIdx.y * 8 + threadIdx.x / 32, all = 2 * key_heads + heads;
    const int channels = all * HEAD, channel = head * HEAD + lane * 4, first = blockIdx.x * RUN;
    if (head >= all) return;
    float taps[4][4];
#pragma unroll
    for (int tap = 0; tap < 4; ++tap) {
        const float4 four = *reinterpret_cast<const float4*>(weight + tap * channels + channel);
        taps[tap][0] = four.x, taps[tap][1] = four.y, taps[tap][2] = four.z, taps[tap][3] = four.w;
    }
    uint2 rows[RUN + 3];
#pragma unroll
    for (int row = 0; row < RUN + 3; ++row) {
        const int token = min(first + row - 3, tokens - 1);
        const u16* from = token < 0 ? window + (token + 3) * channels : mixed + static_cast<long long>(token) * stride;
        rows[row] = *reinterpret_cast<const uint2*>(from + channel);
    }
#pragma unroll
    for (int row = 0; row < RUN; ++row) {
        float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll
        for (int tap = 0; tap < 4; ++tap) {
            const uint2 four = rows[row + tap];
            sum[0] += low_to_float(four.x) * taps[tap][0];
            sum[1] += high_to_float(four.x) * taps[tap][1];
            sum[2] += low_to_float(four.y) * taps[tap][2];
            sum[3] += high_to_float(four.y) * taps[tap][3];
        }
#pragma unroll
        for (int c = 0; c < 4; ++c) sum[c] = silu(sum[c]);
        float scale = 1.0f;
        if (head < 2 * key_heads) {
            const float square = warp_sum(sum[0] * sum[0] + sum[1] * sum[1] + sum[2] * sum[2] + sum[3] * sum[3]);
            scale = (head < key_heads ? 0.08838834764831845f : 1.0f) / sqrtf(square + 1e-6f);
        }
        if (first + row < tokens) {
            const u32 one = to_bf16_pair(sum[0] * scale, sum[1] * scale);
            u16* to = out + static_cast<long long>(first + row) * channels + channel;
            *reinterpret_cast<uint2*>(to) = {one, to_bf16_pair(sum[2] * scale, sum[3] * scale)};
        }
    }
}

#define ROW 68          // words of a row of keys in shared memory: 64, and 4 so that eight rows lie in other banks
#define COLUMN 36       // words of a row of 64 tokens
#define TALL_BYTES (HEAD * COLUMN * 4)
#define SOLVE_BYTES (3 * TALL_BYTES + CHUNK * ROW * 4)

// What `multiply_tiles` wants of its first operand: rows g and g + 8, columns 2t and 2t + 8 of a tile, from words.
__device__ inline void take_rows(u32 (&a)[4], const u32* rows, int width) {
    a[0] = rows[0];
    a[1] = rows[8 * width];
    a[2] = rows[4];
    a[3] = rows[8 * width + 4];
}

// T = (I + A)⁻¹ in fp32, by 64 threads, each for its own column, sixteen rows at a time. `lower[j][i]` holds A_ij for
// j < i; T_ij for i ≥ j takes the places [i][j], which are free, and only its own thread reads it.
__device__ inline void invert(float* lower, int column) {
    for (int base = 0; base < CHUNK; base += 16) {
        float rows[16];
#pragma unroll
        for (int r = 0; r < 16; ++r) rows[r] = base + r == column ? 1.0f : 0.0f;
        for (int k = column / 32 * 32; k < base; ++k) {
            const float known = k < column ? 0.0f : lower[k * ROW + column];
            const float4* line = reinterpret_cast<const float4*>(lower + k * ROW + base);
#pragma unroll
            for (int four = 0; four < 4; ++four) {
                const float4 a = line[four];
                rows[four * 4] -= a.x * known;
                rows[four * 4 + 1] -= a.y * known;
                rows[four * 4 + 2] -= a.z * known;
                rows[four * 4 + 3] -= a.w * known;
            }
        }
#pragma unroll
        for (int m = 0; m < 16; ++m) {
            const float* line = lower + (base + m) * ROW + base;
#pragma unroll
            for (int r = m + 1; r < 16; ++r) rows[r] -= line[r] * rows[m];
        }
#pragma unroll
        for (int r = 0; r < 16; ++r)
            if (base + r >= column) lower[(base + r) * ROW + column] = rows[r];
    }
}

// convolved [tokens][channels] bf16 from `convolve`; gates [tokens][2 · heads] fp32: a, then b; decay (< 0), bias
// [heads]. Fragments: w [chunks][heads][8 tiles of tokens][4][32] (of −w), u [chunks][heads][8 tiles of values][4][32]
// (sums of run_chunks: rows are values), inner [chunks][heads][8 tiles of tokens][2][32], queries [chunks][key_heads][8
// tiles of tokens][4][32], keys [chunks][key_heads][16 tiles of keys][2][32]. fades [chunks][heads][2][64]: exp(G) and
// exp(G_64 − G). grid (chunks, heads), 128 threads, SOLVE_BYTES of shared memory.
extern "C" __global__ void __launch_bounds__(128) solve_chunks(
    const u16* convolved, const float* gates, const float* __restrict__ decay,
    const float* __restrict__ bias, uint4* w, uint4* u, uint4* inner,
    uint4* queries, uint4* keys, float* fades, int tokens, int key_heads) {
    wait_for_previous();
    SHARED_POOL(pool);
    __shared__ float pace[CHUNK], since[CHUNK], rate[CHUNK];
    u32* k_rows = reinterpret_cast<u32*>(pool);             // [64 tokens][ROW]; later values, [128][COLUMN]
    u32* q_rows = k_rows + HEAD * COLUMN;                   // [64 tokens][ROW]; later T β and −T β exp(G), [2][64][COLUMN]
    u32* k_tall = q_rows + HEAD * COLUMN;                   // [128 keys][COLUMN]
    float* lower = reinterpret_cast<float*>(k_tall + HEAD * COLUMN);  // [64][ROW]
    const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32, g = lane / 4, t = lane % 4;
    const int chunk = blockIdx.x, head = blockIdx.y, heads = gridDim.y, begin = chunk * CHUNK;
    const int group = heads / key_heads, key_head = head / group, channels = (2 * key_heads + heads) * HEAD;

    if (thread < CHUNK) {
        const int token = begin + thread;
        float g_mine = 0.0f, beta = 0.0f;
        if (token < tokens) {
            const float* mine = gates + static_cast<long long>(token) * 2 * heads + head;
            const float at = mine[0] + bias[head];
            g_mine = decay[head] * (at > 20.0f ? at : log1pf(expf(at)));
            beta = sigmoid(mine[heads]);
        }
        pace[thread] = g_mine;
        rate[thread] = beta;
    }
    // A lane has two neighbouring tokens, 8 channels at a time: rows as they are, and turned into columns of pairs.
    const int token = begin + lane * 2;
    const u16* rows = convolved + static_cast<long long>(token) * channels;
    const bool here = token < tokens, next = token + 1 < tokens;
    auto load = [&](int at, int part, uint4& first, uint4& second) {
        const u16* from = rows + at + (warp * 4 + part) * 8;
        first = here ? *reinterpret_cast<const uint4*>(from) : make_uint4(0, 0, 0, 0);
        second = next ? *reinterpret_cast<const uint4*>(from + channels) : make_uint4(0, 0, 0, 0);
    };
    auto turn = [&](u32* tall, int part, const uint4& first, const uint4& second) {
        const u32 one[4] = {first.x, first.y, first.z, first.w}, two[4] = {second.x, second.y, second.z, second.w};
        u32* to = tall + (warp * 4 + part) * 8 * COLUMN + lane;
#pragma unroll
        for (int pair = 0; pair < 4; ++pair) {
            to[pair * 2 * COLUMN] = (one[pair] & 0xffffu) | (two[pair] << 16);
            to[(pair * 2 + 1) * COLUMN] = (one[pair] >> 16) | (two[pair] & 0xffff0000u);
        }
    };
    uint4 v_one[4], v_two[4];
#pragma unroll
    for (int part = 0; part < 4; ++part) {
        const int place = lane * 2 * ROW + (warp * 4 + part) * 4;
        uint4 first, second;
        load(key_head * HEAD, part, first, second);
        *reinterpret_cast<uint4*>(q_rows + place) = first;
        *reinterpret_cast<uint4*>(q_rows + place + ROW) = second;
        load((key_heads + key_head) * HEAD, part, first, second);
        *reinterpret_cast<uint4*>(k_rows + place) = first;
        *reinterpret_cast<uint4*>(k_rows + place + ROW) = second;
        turn(k_tall, part, first, second);
        load((2 * key_heads + head) * HEAD, part, v_one[part], v_two[part]);
    }
    __syncthreads();
    if (thread < CHUNK) {
        float sum = 0.0f;
        for (int i = 0; i <= thread; ++i) sum += pace[i];
        since[thread] = sum;
    }
    if (head % group == 0) {  // what all heads of this key head share
        const long long place = static_cast<long long>(chunk) * key_heads + key_head;
        for (int index = warp; index < 32; index += 4) {
            const u32* q = q_rows + (index / 4 * 8 + g) * ROW + index % 4 * 16 + t;
            queries[(place * 32 + index) * 32 + lane] = make_uint4(q[0], q[4], q[8], q[12]);
            const u32* k = k_tall + (index / 2 * 8 + g) * COLUMN + index % 2 * 16 + t;
            keys[(place * 32 + index) * 32 + lane] = make_uint4(k[0], k[4], k[8], k[12]);
        }
    }
    __syncthreads();

    // k kᵀ and q kᵀ: a warp has 16 tokens i of them, for the tokens j up to there.
    const long long place = static_cast<long long>(chunk) * heads + head;
    {
        float of_keys[8][4] = {}, of_queries[8][4] = {};
#pragma unroll
        for (int step = 0; step < 8; ++step) {
            u32 k[4], q[4];
            take_rows(k, k_rows + (warp * 16 + g) * ROW + step * 8 + t, ROW);
            take_rows(q, q_rows + (warp * 16 + g) * ROW + step * 8 + t, ROW);
#pragma unroll
            for (int tile = 0; tile < 8; ++tile)
                if (tile <= 2 * warp + 1) {
                    const u32* other = k_rows + (tile * 8 + g) * ROW + step * 8 + t;
                    const u32 b0 = other[0], b1 = other[4];
                    multiply_tiles(of_keys[tile], k[0], k[1], k[2], k[3], b0, b1);
                    multiply_tiles(of_queries[tile], q[0], q[1], q[2], q[3], b0, b1);
                }
        }
        u32 upper_tile[8], lower_tile[8];
#pragma unroll
        for (int tile = 0; tile < 8; ++tile) {
            float product[4];
#pragma unroll
            for (int place_in = 0; place_in < 4; ++place_in) {
                const int i = warp * 16 + g + place_in / 2 * 8, j = tile * 8 + t * 2 + place_in % 2;
                const float fade = j <= i ? expf(since[i] - since[j]) : 0.0f;
                product[place_in] = of_queries[tile][place_in] * fade;
                if (j < i) lower[j * ROW + i] = rate[i] * of_keys[tile][place_in] * fade;
            }
            upper_tile[tile] = to_bf16_pair(product[0], product[1]);
            lower_tile[tile] = to_bf16_pair(product[2], product[3]);
        }
#pragma unroll
        for (int two = 0; two < 2; ++two) {
            uint4* to = inner + (place * 16 + warp * 4 + two) * 32 + lane;
            const u32 *a = upper_tile + two * 4, *b = lower_tile + two * 4;
            to[0] = make_uint4(a[0], a[1], a[2], a[3]);
            to[2 * 32] = make_uint4(b[0], b[1], b[2], b[3]);
        }
    }
    if (thread < CHUNK) {
        fades[place * 2 * CHUNK + thread] = expf(since[thread]);
        fades[(place * 2 + 1) * CHUNK + thread] = expf(since[CHUNK - 1] - since[thread]);
    }
    __syncthreads();

    u16* of_values = reinterpret_cast<u16*>(q_rows);
    u16* of_reads = of_values + CHUNK * COLUMN * 2;
    if (thread < CHUNK) {
        invert(lower, thread);
        const float beta = rate[thread], faded = -beta * expf(since[thread]);
        for (int i = 0; i < CHUNK; ++i) {
            const float inverse = i < thread ? 0.0f : lower[i * ROW + thread];
            of_values[i * COLUMN * 2 + thread] = to_bf16(inverse * beta);
            of_reads[i * COLUMN * 2 + thread] = to_bf16(inverse * faded);
        }
    }
#pragma unroll
    for (int part = 0; part < 4; ++part) turn(k_rows, part, v_one[part], v_two[part]);
    __syncthreads();

    {  // −w: a warp has 16 tokens of it
        float sum[16][4] = {};
#pragma unroll
        for (int step = 0; step < 4; ++step)
            if (step <= warp) {
                u32 a[4];
                take_rows(a, q_rows + (CHUNK + warp * 16 + g) * COLUMN + step * 8 + t, COLUMN);
#pragma unroll
                for (int tile = 0; tile < 16; ++tile) {
                    const u32* other = k_tall + (tile * 8 + g) * COLUMN + step * 8 + t;
                    multiply_tiles(sum[tile], a[0], a[1], a[2], a[3], other[0], other[4]);
                }
            }
#pragma unroll
        for (int four = 0; four < 4; ++four) {
            u32 upper[4], under[4];
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                upper[i] = to_bf16_pair(sum[four * 4 + i][0], sum[four * 4 + i][1]);
                under[i] = to_bf16_pair(sum[four * 4 + i][2], sum[four * 4 + i][3]);
            }
            uint4* to = w + (place * 32 + warp * 8 + four) * 32 + lane;
            to[0] = make_uint4(upper[0], upper[1], upper[2], upper[3]);
            to[4 * 32] = make_uint4(under[0], under[1], under[2], under[3]);
        }
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {  // u, with values as rows: a warp has twice 16 of them
        const int values = warp * 2 + half;
        float sum[8][4] = {};
#pragma unroll
        for (int step = 0; step < 4; ++step) {
            u32 a[4];
            take_rows(a, k_rows + (values * 16 + g) * COLUMN + step * 8 + t, COLUMN);
#pragma unroll
            for (int tile = step * 2; tile < 8; ++tile) {
                const u32* other = q_rows + (tile * 8 + g) * COLUMN + step * 8 + t;
                multiply_tiles(sum[tile], a[0], a[1], a[2], a[3], other[0], other[4]);
            }
        }
#pragma unroll
        for (int two = 0; two < 4; ++two) {
            const float *one = sum[two * 2], *other = sum[two * 2 + 1];
            u[(place * 32 + values * 4 + two) * 32 + lane] =
                make_uint4(to_bf16_pair(one[0], one[1]), to_bf16_pair(one[2], one[3]), to_bf16_pair(other[0], other[1]),
                           to_bf16_pair(other[2], other[3]));
        }
    }
}
