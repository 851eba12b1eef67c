// Quantized weights as bf16 numbers, for products of many tokens, with their correction:
//
//   W[n, k] = (code[n, k] − zero) · scale[n, group] + Σ_r B[n, r] · A[r, k],   summed in fp32, rounded once
//
//   arrange_ranks   EoRA's A in the order of the weights' inputs and of the tensor core's lanes
//   dense_4, _8     the weights
//
// Bytes (the floor) for O outputs, I inputs: read 0.5 or 1 a weight and 2 · rank · (O + I), write 2 a weight. FLOPs: 2 ·
// rank a weight, twice that for a pair, on tensor cores that have nothing else to do: at rank 64 two thirds of the time
// that an H100's memory takes.
#include "device.cuh"

#define SLAB 64  // inputs that a warp of `dense` keeps to

// Which of a slab's inputs is column n of the tile `tile` of 8: those that a lane's codes belong to are its own sums.
template <int BITS>
__device__ inline int slab_input(int tile, int n) {
    if (BITS == 4) return n / 2 * 16 + tile * 2 + n % 2;
    return tile / 4 * 32 + n / 2 * 8 + tile % 4 * 2 + n % 2;
}

// a [ranks][inputs] bf16 in the inputs' own order, orders [copies][inputs], copy_of [ranks / 32]: which order; sorted
// [inputs / 64][ranks / 32][2 steps][4 pairs of tiles][32 lanes]: `multiply_tiles`' second operand. One thread each.
template <int BITS>
__device__ inline void arrange(
    const u16* a, const int* orders, const int* copy_of, uint4* sorted, int inputs, int blocks) {
    const int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= inputs / SLAB * blocks * 256) return;
    const int lane = index % 32, two = index / 32 % 4, step = index / 128 % 2, block = index / 256 % blocks;
    const int slab = index / 256 / blocks, g = lane / 4, t = lane % 4;
    const u16* rows = a + static_cast<long long>(block * 32 + t * 8 + step * 4) * inputs;
    u32 words[4];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        const u16* from = rows + orders[copy_of[block] * inputs + slab * SLAB + slab_input<BITS>(two * 2 + i, g)];
        words[i * 2] = from[0] | static_cast<u32>(from[inputs]) << 16;
        words[i * 2 + 1] = from[2 * inputs] | static_cast<u32>(from[3 * inputs]) << 16;
    }
    sorted[index] = make_uint4(words[0], words[1], words[2], words[3]);
}
extern "C" __global__ void __launch_bounds__(256) arrange_ranks_4(
    const u16* a, const int* orders, const int* copy_of, uint4* sorted, int inputs, int blocks) {
    wait_for_previous();
    arrange<4>(a, orders, copy_of, sorted, inputs, blocks);
}
extern "C" __global__ void __launch_bounds__(256) arrange_ranks_8(
    const u16* a, const int* orders, const int* copy_of, uint4* sorted, int inputs, int blocks) {
    wait_for_previous();
    arrange<8>(a, orders, copy_of, sorted, inputs, blocks);
}

// Codes of 64 inputs and 16 outputs times their scales: sum[tile][0, 1] belong to output g, [2, 3] to output g + 8.
// 0x4300 is 128 in bf16, and its last bit counts 1. (code − zero) · scale has at most 19 bits: fp32 holds it exactly.
template <int BITS>
__device__ inline void scaled_codes(float (&sum)[8][4], const uint4 (&pieces)[2], u32 scale) {
    const u32 mask = 0x000f000fu, base = 0x43004300u;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const float factor = half_to_float(static_cast<u16>(scale >> (half * 16)));
        const float zero = factor * (BITS == 4 ? -136.0f : -2304.0f);  // 128 + 8, or 16 · 128 + 128 + 128
#pragma unroll
        for (int tile = 0; tile < 8; ++tile) {
            const int shift = half * 4 + tile % 2 * 8;
            float first, second;
            if (BITS == 4) {
                const u32 words[4] = {pieces[0].x, pieces[0].y, pieces[0].z, pieces[0].w};
                const u32 pair = mask_and_set(words[tile / 2] >> shift, mask, base);
                first = low_to_float(pair);
                second = high_to_float(pair);
            } else {
                const uint4& piece = pieces[tile / 4];
                const u32 words[4] = {piece.x, piece.y, piece.z, piece.w};
                const u32 high = mask_and_set(words[tile % 4 / 2 * 2] >> shift, mask, base);
                const u32 low = mask_and_set(words[tile % 4 / 2 * 2 + 1] >> shift, mask, base);
                first = fmaf(16.0f, low_to_float(high), low_to_float(low));
                second = fmaf(16.0f, high_to_float(high), high_to_float(low));
            }
            sum[tile][half * 2] = fmaf(first, factor, zero);
            sum[tile][half * 2 + 1] = fmaf(second, factor, zero);
        }
    }
}

// What one warp reads of one tile of weights: codes, scales, and B for the first 64 ranks.
template <int BITS>
struct Piece {
    uint4 codes[2], b[4];
    u32 scale;
    __device__ void load(const uint4* units, const u32* scales, int tile, int slab, int groups, int quantized, int plain) {
        const int lane = threadIdx.x % 32;
        const uint4* mine = units + static_cast<long long>(tile) * (quantized + plain) * 64 + lane;
        codes[0] = BITS == 4 ? mine[slab * 32] : mine[slab * 64];
        if (BITS == 8) codes[1] = mine[slab * 64 + 32];
        scale = scales[(static_cast<long long>(tile) * groups + slab / 2) * 8 + lane / 4];
#pragma unroll
        for (int i = 0; i < 4; ++i)
            if (i < plain * 2) b[i] = mine[(quantized * 2 + i) * 32];
    }
};

__device__ inline void load_ranks(uint4 (&to)[4][4], const uint4* sorted, int plain) {
#pragma unroll
    for (int step = 0; step < 4; ++step)
#pragma unroll
        for (int two = 0; two < 4; ++two)
            if (step < plain * 2) to[step][two] = sorted[(step * 4 + two) * 32];
}

// sum += B A for one step of 16 ranks, to the upper eight outputs, the lower eight, or both.
__device__ inline void correct(float (&sum)[8][4], const uint4& b, const uint4 (&a)[4], u32 upper, u32 lower) {
#pragma unroll
    for (int two = 0; two < 4; ++two) {
        multiply_tiles(sum[two * 2], b.x & upper, b.y & lower, b.z & upper, b.w & lower, a[two].x, a[two].y);
        multiply_tiles(sum[two * 2 + 1], b.x & upper, b.y & lower, b.z & upper, b.w & lower, a[two].z, a[two].w);
    }
}

// Tiles of weights (linear.cu's layout) as bf16 numbers. dense [tiles · 16][inputs], inputs in the order of the weights;
// or, of a paired matrix, [2][tiles · 8][inputs]: gates, then what they let through. A warp has 64 inputs of all its block's
// tiles, so that it holds A in registers. grid (parts of the tiles, fours of slabs), 128 threads; in flight are 12 warps
// of a multiprocessor, 8 for a pair, whose registers are full of A.
template <int BITS, bool PAIRED>
__device__ inline void make_dense(
    const uint4* __restrict__ units, const u32* __restrict__ scales, const int4* __restrict__ tiles,
    const uint4* sorted, u16* dense, int tile_count, int quantized, int plain, int blocks) {
    const int lane = threadIdx.x % 32, slab = blockIdx.y * 4 + threadIdx.x / 32, g = lane / 4, t = lane % 4;
    const int slabs = BITS == 4 ? quantized * 2 : quantized, inputs = slabs * SLAB, groups = slabs / 2;
    if (slab >= slabs) return;
    const int each = (tile_count + gridDim.x - 1) / gridDim.x, begin = blockIdx.x * each;
    const int end = min(begin + each, tile_count);
    if (begin >= end) return;
    const uint4* ranks = sorted + static_cast<long long>(slab) * blocks * 256 + lane;
    uint4 above[4][4] = {}, below[PAIRED ? 4 : 1][4] = {};
    const u32 all = 0xffffffffu;
    int known = -1;
    Piece<BITS> now, next;
    now.load(units, scales, begin, slab, groups, quantized, plain);
    for (int tile = begin; tile < end; ++tile, now = next) {
        next.load(units, scales, min(tile + 1, end - 1), slab, groups, quantized, plain);
        const int4 of_tile = tiles[tile];
        const uint4 *upper = ranks + of_tile.x / 32 * 256, *lower = ranks + of_tile.y / 32 * 256;
        if (of_tile.x != known) {
            known = of_tile.x;
            load_ranks(above, upper, plain);
            if constexpr (PAIRED) load_ranks(below, lower, plain);
        }
        float sum[8][4];
        scaled_codes<BITS>(sum, now.codes, now.scale);
#pragma unroll
        for (int step = 0; step < 4; ++step)
            if (step < plain * 2) {
                correct(sum, now.b[step], above[step], all, PAIRED ? 0u : all);
                if constexpr (PAIRED) correct(sum, now.b[step], below[step], 0u, all);
            }
        for (int step = 4; step < plain * 2; ++step) {  // more than 64 ranks: nothing is held
            const long long at = static_cast<long long>(tile) * (quantized + plain) * 64 + quantized * 64 + step * 32;
            const uint4 b = units[at + lane];
            uint4 a[4];
#pragma unroll
            for (int two = 0; two < 4; ++two) a[two] = upper[(step * 4 + two) * 32];
            correct(sum, b, a, all, PAIRED ? 0u : all);
            if constexpr (PAIRED) {
#pragma unroll
                for (int two = 0; two < 4; ++two) a[two] = lower[(step * 4 + two) * 32];
                correct(sum, b, a, 0u, all);
            }
        }
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int row = PAIRED ? (half * tile_count + tile) * 8 + g : tile * 16 + half * 8 + g;
            u16* to = dense + static_cast<long long>(row) * inputs + slab * SLAB;
            u32 words[8];
#pragma unroll
            for (int i = 0; i < 8; ++i) words[i] = to_bf16_pair(sum[i][half * 2], sum[i][half * 2 + 1]);
            uint4* first = reinterpret_cast<uint4*>(to + (BITS == 4 ? t * 16 : t * 8));
            uint4* second = reinterpret_cast<uint4*>(to + (BITS == 4 ? t * 16 + 8 : t * 8 + 32));
            *first = make_uint4(words[0], words[1], words[2], words[3]);
            *second = make_uint4(words[4], words[5], words[6], words[7]);
        }
    }
}

#define DENSE(NAME, BITS, PAIRED)                                                                                     \
    extern "C" __global__ void __launch_bounds__(128, PAIRED ? 2 : 3) NAME(                                           \
        const uint4* units, const u32* scales, const int4* tiles, const uint4* sorted, u16* dense, int tile_count,    \
        int quantized, int plain, int blocks) {                                                                       \
        wait_for_previous();                                                                                          \
        make_dense<BITS, PAIRED>(units, scales, tiles, sorted, dense, tile_count, quantized, plain, blocks);          \
    }
DENSE(dense_4, 4, false)
DENSE(dense_8, 8, false)
DENSE(dense_4_paired, 4, true)
DENSE(dense_8_paired, 8, true)
