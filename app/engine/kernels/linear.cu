// y = W x for 1…8 tokens: quantized weights of 4 or 8 bits in groups of 128 inputs, and plain bf16 ones.
//
//   y[n, m] = Σ_groups scale[n, group] · Σ_k (code[n, k] − zero) · x[m, k]  +  Σ_r B[n, r] · t[m, r]
//
// zero is 8 or 128 (symmetric); t = A x is EoRA's inner product, made by prepare.cu. Codes are exact in bf16, products
// and sums are fp32, scales multiply in fp32.
//
// Bytes (the floor): every weight once, 0.5 or 1 a weight + 2/128 for scales + 2 · rank an output; x and t stay in L1.
//
// W is stored as a stream of units of 1 KB, 16 outputs tall: 128 inputs of 4 bits, or 64 of 8 bits, or 32 numbers of
// bf16 (`layout.py` packs them). All units of 16 outputs follow each other, EoRA's last. Each block takes an equal,
// contiguous run of items, an item being 1/splits of 16 outputs; its warps take the run's units in turn, each through
// its own ring of asynchronous copies, in which every lane reads only what it copied itself: no barrier but one a batch.
// Tensor cores multiply with the weights as the 16-row operand and the tokens as 8 columns, so 8 tokens cost as 1.
// The order of all sums is fixed: the same input gives the same bits.
#include "device.cuh"

#ifndef RING
#define RING 4  // units in flight for each warp, and the one in use
#endif
#define WARPS 16
#define UNIT 64                    // 16-byte pieces in a unit: two for each lane
#define SLOT (UNIT * 16 + 32 * 4)  // bytes of a unit in the ring, with a pair of scales for each lane

enum Result { BF16 = 0, PARTIAL = 1 };

struct Matrix {
    const uint4* units;   // [tiles][quantized + plain][UNIT]
    const u32* scales;    // [tiles][groups][8]: fp16 pairs for outputs g and g + 8
    const int4* tiles;    // for each tile: where t begins for its outputs 0…7 and 8…15, which copy of x, nothing
    const u16* x;         // [copies][tokens][inputs]
    const u16* t;         // [tokens][ranks]
    int inputs, ranks, tile_count, quantized, plain, splits, tokens, batch;
    __device__ int per_tile() const { return quantized + plain; }
    // The first unit of an item.
    __device__ int start(int item) const {
        return item / splits * per_tile() + item % splits * per_tile() / splits;
    }
};

// The place in the stream of one warp: `unit` counts all units, `tile` and `within` say where that is.
struct Place {
    int unit, tile, within;
    __device__ void move(int by, int per_tile) {
        unit += by;
        within += by;
        while (within >= per_tile) {
            within -= per_tile;
            ++tile;
        }
    }
};

// 8 codes of 4 bits become 8 bf16 numbers: 0x4300 is 128, whose last bit counts 1, so code | 0x4300 is 128 + code.
template <u32 MINUS>
__device__ inline void multiply_codes(float (&sum)[4], u32 codes, u32 x0, u32 x1) {
    const u32 mask = 0x000f000fu, base = 0x43004300u, one = 0x3f803f80u;
    u32 a0 = fma_bf16_pair(mask_and_set(codes, mask, base), one, MINUS);
    u32 a1 = fma_bf16_pair(mask_and_set(codes >> 4, mask, base), one, MINUS);
    u32 a2 = fma_bf16_pair(mask_and_set(codes >> 8, mask, base), one, MINUS);
    u32 a3 = fma_bf16_pair(mask_and_set(codes >> 12, mask, base), one, MINUS);
    multiply_tiles(sum, a0, a1, a2, a3, x0, x1);
}
#define MINUS_136 0xc308c308u
#define MINUS_128 0xc300c300u

__device__ inline uint4 load_16(const u16* from) { return *reinterpret_cast<const uint4*>(from); }

// One quantized unit at `mine`: total += scale · codes · x, x being what this lane needs of its token.
template <int BITS>
__device__ inline void use_quantized(float (&total)[4], Shared mine, u32 scale, const u16* x) {
    float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    if (BITS == 4) {
        const uint4 xs[4] = {load_16(x), load_16(x + 8), load_16(x + 64), load_16(x + 72)};
#pragma unroll
        for (int piece = 0; piece < 2; ++piece) {
            const uint4 codes = read_16(mine + piece * 512), first = xs[piece * 2], second = xs[piece * 2 + 1];
            multiply_codes<MINUS_136>(sum, codes.x, first.x, first.y);
            multiply_codes<MINUS_136>(sum, codes.y, first.z, first.w);
            multiply_codes<MINUS_136>(sum, codes.z, second.x, second.y);
            multiply_codes<MINUS_136>(sum, codes.w, second.z, second.w);
        }
    } else {  // code − 128 = 16 · (high half − 8) + low half
        float high[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        const uint4 xs[2] = {load_16(x), load_16(x + 32)};
#pragma unroll
        for (int piece = 0; piece < 2; ++piece) {
            const uint4 codes = read_16(mine + piece * 512), four = xs[piece];
            multiply_codes<MINUS_136>(high, codes.x, four.x, four.y);
            multiply_codes<MINUS_128>(sum, codes.y, four.x, four.y);
            multiply_codes<MINUS_136>(high, codes.z, four.z, four.w);
            multiply_codes<MINUS_128>(sum, codes.w, four.z, four.w);
        }
#pragma unroll
        for (int i = 0; i < 4; ++i) sum[i] = fmaf(16.0f, high[i], sum[i]);
    }
    const float upper = half_to_float(static_cast<u16>(scale)), lower = half_to_float(static_cast<u16>(scale >> 16));
    total[0] = fmaf(upper, sum[0], total[0]);
    total[1] = fmaf(upper, sum[1], total[1]);
    total[2] = fmaf(lower, sum[2], total[2]);
    total[3] = fmaf(lower, sum[3], total[3]);
}

// One unit of bf16 numbers: outputs 0…7 times `upper`, outputs 8…15 times `lower`.
__device__ inline void use_plain(float (&total)[4], Shared mine, const u16* upper, const u16* lower) {
    float above[4] = {0.0f, 0.0f, 0.0f, 0.0f}, below[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    const uint4 up = load_16(upper), low = load_16(lower);
    const uint4 a = read_16(mine), b = read_16(mine + 512);
    multiply_tiles(above, a.x, a.y, a.z, a.w, up.x, up.y);
    multiply_tiles(below, a.x, a.y, a.z, a.w, low.x, low.y);
    multiply_tiles(above, b.x, b.y, b.z, b.w, up.z, up.w);
    multiply_tiles(below, b.x, b.y, b.z, b.w, low.z, low.w);
    total[0] += above[0];
    total[1] += above[1];
    total[2] += below[2];
    total[3] += below[3];
}

// What one warp has of an item goes to `slot`, [16][tokens].
__device__ inline void put_aside(float (&total)[4], float* slot, int tokens) {
    int output = threadIdx.x % 32 / 4, token = threadIdx.x % 4 * 2;
    if (token < tokens) {
        slot[output * tokens + token] = total[0];
        slot[(output + 8) * tokens + token] = total[2];
    }
    if (token + 1 < tokens) {
        slot[output * tokens + token + 1] = total[1];
        slot[(output + 8) * tokens + token + 1] = total[3];
    }
    total[0] = total[1] = total[2] = total[3] = 0.0f;
}

// The warps' shares of items `first`…`last`, summed in the order of the warps, to where they belong.
template <int RESULT>
__device__ inline void write_results(const Matrix& matrix, const float* slots, int first, int last, void* y) {
    const int tokens = matrix.tokens, share = 16 * tokens, outputs = matrix.tile_count * 16;
    for (int index = threadIdx.x; index < (last - first) * share; index += blockDim.x) {
        const int item = first + index / share, within = index % share, row = within / tokens, token = within % tokens;
        const float* slot = slots + index / share * WARPS * share + within;
        float sum = 0.0f;
        for (int warp = 0; warp < WARPS; ++warp) sum += slot[warp * share];
        const int tile = item / matrix.splits;
        if (RESULT == BF16) {
            static_cast<u16*>(y)[token * outputs + tile * 16 + row] = to_bf16(sum);
        } else {
            static_cast<float*>(y)[(item % matrix.splits * tokens + token) * outputs + tile * 16 + row] = sum;
        }
    }
}

template <int BITS, int RESULT>
__device__ inline void stream(const Matrix& matrix, void* y) {
    SHARED_POOL(pool);
    let_next_start();
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, per_tile = matrix.per_tile();
    const Shared ring = shared_place(pool + warp * RING * SLOT + lane * 16);
    const Shared ring_scales = shared_place(pool + warp * RING * SLOT + UNIT * 16 + lane * 4);
    float* slots = reinterpret_cast<float*>(pool + WARPS * RING * SLOT);

    const long long items = static_cast<long long>(matrix.tile_count) * matrix.splits;
    const int first = static_cast<int>(blockIdx.x * items / gridDim.x);
    const int last = static_cast<int>((blockIdx.x + 1) * items / gridDim.x);
    const int begin = matrix.start(first), end = matrix.start(last);
    const int groups = BITS == 4 ? matrix.quantized : matrix.quantized / 2;

    Place ahead = {begin, begin / per_tile, begin % per_tile};
    ahead.move(warp, per_tile);
    Place here = ahead;
    const uint4* from = matrix.units + static_cast<long long>(ahead.unit) * UNIT + lane;
    const u32* scale_from = matrix.scales + lane / 4;
    auto fetch = [&](int slot) {
        if (ahead.unit < end) {
            copy_16(ring + slot, from);
            copy_16(ring + slot + 512, from + 32);
            from += WARPS * UNIT;
            if (ahead.within < matrix.quantized) {
                const int group = ahead.tile * groups + (BITS == 4 ? ahead.within : ahead.within / 2);
                copy_4(ring_scales + slot, scale_from + group * 8);
            }
            ahead.move(WARPS, per_tile);
        }
        close_copies();
    };
    for (int slot = 0; slot < (RING - 1) * SLOT; slot += SLOT) fetch(slot);
    wait_for_previous();

    // The tensor core's columns beyond the tokens multiply the last token again; nobody reads those sums.
    const int token = min(lane / 4, matrix.tokens - 1), share = 16 * matrix.tokens;
    const u16* t = matrix.t + token * matrix.ranks + lane % 4 * 8;
    const u16 *x = matrix.x, *upper = t, *lower = t;
    float total[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    int use = 0, fill = (RING - 1) * SLOT, item = first, known = -1;
    for (int batch = first; batch < last; batch += matrix.batch) {
        const int batch_last = min(batch + matrix.batch, last), batch_end = matrix.start(batch_last);
        int item_end = matrix.start(item + 1);
        while (here.unit < batch_end) {
            while (here.unit >= item_end) {
                put_aside(total, slots + ((item - batch) * WARPS + warp) * share, matrix.tokens);
                item_end = matrix.start(++item + 1);
            }
            if (here.tile != known) {
                const int4 tile = matrix.tiles[known = here.tile];
                x = matrix.x + static_cast<long long>(tile.z * matrix.tokens + token) * matrix.inputs;
                x += lane % 4 * (BITS == 4 ? 16 : 8);
                upper = t + tile.x;
                lower = t + tile.y;
            }
            fetch(fill);
            wait_copies<RING - 1>();
            if (here.within < matrix.quantized) {
                use_quantized<BITS>(total, ring + use, read_4(ring_scales + use), x + here.within * (BITS == 4 ? 128 : 64));
            } else {
                const int at = (here.within - matrix.quantized) * 32;
                use_plain(total, ring + use, upper + at, lower + at);
            }
            here.move(WARPS, per_tile);
            fill = use;
            use = use == (RING - 1) * SLOT ? 0 : use + SLOT;
        }
        for (; item < batch_last; ++item)
            put_aside(total, slots + ((item - batch) * WARPS + warp) * share, matrix.tokens);
        __syncthreads();
        write_results<RESULT>(matrix, slots, batch, batch_last, y);
        __syncthreads();
    }
}

#define LINEAR(NAME, BITS, RESULT)                                                                                    \
    extern "C" __global__ void __launch_bounds__(WARPS * 32, 1) NAME(                                                 \
        const uint4* units, const u32* scales, const int4* tiles, const u16* x, const u16* t, void* y, int inputs,    \
        int ranks, int tile_count, int quantized, int plain, int splits, int tokens, int batch) {                     \
        const Matrix matrix = {units, scales, tiles, x, t, inputs, ranks, tile_count, quantized, plain, splits,       \
                               tokens, batch};                                                                        \
        stream<BITS, RESULT>(matrix, y);                                                                              \
    }
LINEAR(linear_4, 4, BF16)
LINEAR(linear_4_partial, 4, PARTIAL)
LINEAR(linear_8, 8, BF16)
LINEAR(linear_8_partial, 8, PARTIAL)
