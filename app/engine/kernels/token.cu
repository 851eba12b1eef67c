// y = W x for exactly one token, W quantized to 4 or 8 bits in groups of 128 inputs with EoRA's correction, and x made on
// the way: every block makes all that it needs of x in shared memory while its first weights are already on their way.
//
//   normed           h = before + Σ partials of the last linear;  x = h / rms(h) · (1 + w)
//   gated            x = y / rms of its head · w · silu(z);  also moves DeltaNet's window on by one token
//   ordered          x is there, in its own order
//   ready            x is there, in the order in which it is wanted
//
// Within a group x = s · (128 · hi + lo), s = amax / 16256 and hi, lo signed bytes: 15 bits of each number. A tensor core
// multiplies the codes, as unsigned bytes, by hi in its column 0 and lo in column 1; the sum of a group is exact:
//
//   y[n] = Σ_groups scale[n] · s · (128 · Σ code · hi + Σ code · lo − zero · Σ (128 · hi + lo))  +  Σ_r B[n, r] · t[r]
//
// t = A x: each block makes some of its elements, all blocks tell each other by a counter, and read t when most of their
// weights are behind them. So all blocks of a launch have to run at once: never more than one for each multiprocessor,
// and never two on the same, which would have twice the work: a block has more than half of the registers.
//
// Weights are the units of `linear.cu`, packed by `layout.py`. A block has a run of tiles, or, with two splits, half of
// their inputs; a warp has an equal, contiguous part of the run's quantized units, then some of EoRA's, through a ring of
// asynchronous copies in which every lane reads only what it copied itself. The order of all sums is fixed.
// Bytes (the floor): every weight once; x, partials and t stay in L2.
#include "device.cuh"

#ifndef TOKEN_RING
#define TOKEN_RING 3  // units of each warp that are in flight or in use: deeper was no faster on an H100
#endif
#define WARPS 16
#define UNIT 64                   // 16-byte pieces in a unit: two for each lane
#define SLOT (UNIT * 16 + 8 * 4)  // bytes of a unit in the ring, with its pairs of scales
#define TURNS 3                   // loads of each thread that are on their way at once
#define AHEAD 5         // groups of x, of its order, or of A, that a warp has read ahead
#define SORTED_AHEAD 3
#define A_AHEAD 6
#define TO_CACHE 8      // units of each warp that come to the L2 cache while x is made
#define LOW 0x0f0f0f0fu
#define HIGH 0xf0f0f0f0u

enum Input { NORMED = 0, GATED = 1, ORDERED = 2, READY = 3 };

struct Matrix {
    const uint4* units;  // [tiles][quantized + plain][UNIT]
    const u32* scales;   // [tiles][groups][8]: fp16 pairs for outputs g and g + 8
    const int4* tiles;   // for each tile: where t begins for its outputs 0…7 and 8…15, which order of x, nothing
    const u16* a;        // [ranks][inputs], inputs in their own order
    const int* orders;   // [copies][inputs]: the input that comes to each place
    float* t;            // [parts][ranks]
    u32* done;           // how many blocks have made their part of t
    u32* cleared;        // the counter of the launch before, and of the one after
    int inputs, copies, ranks, tile_count, quantized, plain, halves, each, left_over, paired;
};

// What x is made of. normed: `from` [inputs] fp32, `with` [count][inputs] fp32 partials, the sum goes `onward`; gated:
// `from` fp32 in heads of 128, `with` bf16 what the convolution mixes (`count` channels) and then z, `onward` the window
// [3][count]; else `from` [inputs] bf16.
struct Source {
    const void* from;
    const void* with;
    const float* weight;
    float eps;
    void* onward;
    int count;
};

// A block's part of the work. With `halves` the inputs are cut in two, blocks taking turns; of those that have the same
// inputs each has `each` tiles, the first `left_over` one more, and every `sharing`th row of A.
struct Part {
    int split, index, sharing, first, tiles, group, groups, units, plain, plains;
    __device__ Part(const Matrix& m, int of_group) {
        split = blockIdx.x & m.halves;
        index = blockIdx.x >> m.halves;
        sharing = gridDim.x >> m.halves;
        first = index * m.each + min(index, m.left_over);
        tiles = m.each + (index < m.left_over ? 1 : 0);
        const int all = m.inputs / 128;
        group = split ? all / 2 : 0;
        groups = (m.halves && !split ? all / 2 : all) - group;
        units = groups * of_group;
        plain = split ? m.plain / 2 : 0;
        plains = (m.halves && !split ? m.plain / 2 : m.plain) - plain;
    }
};

// Where things are in shared memory, in bytes behind the ring; `token.py` adds up the same.
struct Room {
    int most, digits, facts, natural, slots, extra, places, t, spare, sums;
    __device__ Room(const Matrix& m, int of_group, bool staged) {
        const int tiles = m.each + (m.left_over > 0 ? 1 : 0);
        most = (m.inputs / 128 + m.halves) >> m.halves;
        digits = WARPS * TOKEN_RING * SLOT;
        facts = digits + m.copies * most * 256;
        natural = facts + m.copies * most * of_group * 16;
        slots = natural + (staged ? m.inputs * 4 : 0);
        extra = slots + (tiles + WARPS) * 64;
        places = extra + tiles * ((m.plain + m.halves) >> m.halves) * 64;
        t = places + tiles * 16;
        spare = t + m.ranks * 4;
        sums = spare + 2 * WARPS * 4;
    }
};

// Counts EoRA's units of a block, of which a warp has every sixteenth: unit `within` of the block's tile `tile`.
struct Corrections {
    int tile, within;
    __device__ explicit Corrections(const Part& part) {
        tile = part.plains > 0 ? threadIdx.x / 32 / part.plains : part.tiles;
        within = threadIdx.x / 32 - tile * part.plains;
    }
    __device__ void move(const Part& part) {
        within += WARPS;
        while (within >= part.plains) {
            within -= part.plains;
            ++tile;
        }
    }
};

// One quantized unit at `mine`; `refill` is called when the lane has what it needs of it. The sums for outputs g and
// g + 8, the latter times 16 if codes have 4 bits, are in the lanes 4g, exact.
template <int BITS, class Refill>
__device__ inline void use_codes(float& upper, float& lower, Shared mine, Shared scales, Shared digits, Shared facts,
                                 Refill refill) {
    int sum[4] = {0, 0, 0, 0};
    const uint4 p = read_16(mine), q = read_16(mine + 512), x = read_16(digits), fact = read_16(facts);
    const u32 scale = read_4(scales);
    if (BITS == 4) {
        const uint4 more = read_16(digits + 128);
        refill();
        multiply_mixed_bytes(sum, p.x & LOW, p.x & HIGH, p.y & LOW, p.y & HIGH, x.x, x.y);
        multiply_mixed_bytes(sum, p.z & LOW, p.z & HIGH, p.w & LOW, p.w & HIGH, x.z, x.w);
        multiply_mixed_bytes(sum, q.x & LOW, q.x & HIGH, q.y & LOW, q.y & HIGH, more.x, more.y);
        multiply_mixed_bytes(sum, q.z & LOW, q.z & HIGH, q.w & LOW, q.w & HIGH, more.z, more.w);
    } else {
        refill();
        multiply_mixed_bytes(sum, select_bits(p.x << 4, p.y, HIGH), select_bits(p.x, p.y >> 4, HIGH),
                             select_bits(p.z << 4, p.w, HIGH), select_bits(p.z, p.w >> 4, HIGH), x.x, x.y);
        multiply_mixed_bytes(sum, select_bits(q.x << 4, q.y, HIGH), select_bits(q.x, q.y >> 4, HIGH),
                             select_bits(q.z << 4, q.w, HIGH), select_bits(q.z, q.w >> 4, HIGH), x.z, x.w);
    }
    const int high = sum[0] * 128 + sum[1] + static_cast<int>(fact.z);
    const int low = sum[2] * 128 + sum[3] + static_cast<int>(fact.w);
    const float by = half_to_float(static_cast<u16>(scale)), also = half_to_float(static_cast<u16>(scale >> 16));
    upper = fmaf(by, bits_to_float(fact.x) * static_cast<float>(high), upper);
    lower = fmaf(also, bits_to_float(fact.y) * static_cast<float>(low), lower);
}

// The lowest bytes of four numbers in the order of the nibbles in a word.
__device__ inline u32 four_bytes(const u32 (&from)[4]) {
    return choose_bytes(choose_bytes(from[0], from[2], 0x0040u), choose_bytes(from[1], from[3], 0x0040u), 0x5410u);
}

// The digits of a group of 128, of which each lane of a warp has four, to `digits`, and of each of its units to `facts`:
// what its sums count, and what is taken off them because codes have a zero point.
template <int BITS>
__device__ inline void put_digits(const float (&x)[4], unsigned char* digits, uint4* facts) {
    const int lane = threadIdx.x % 32;
    u32 most = 0;
    for (int i = 0; i < 4; ++i) most = max(most, float_to_bits(x[i]) & 0x7fffffffu);
    const float amax = bits_to_float(warp_most(most));  // not a number if one of them is not
    const float inverse = amax > 1e-30f ? 16256.0f * about_inverse(amax) : 0.0f, step = amax * (1.0f / 16256.0f);
    u32 value[4], digit[4];
    for (int i = 0; i < 4; ++i) {
        value[i] = float_to_bits(fmaf(x[i], inverse, 12582912.0f)) - 0x4b400000u;  // 3 · 2^22: its last bit counts 1
        digit[i] = static_cast<u32>(static_cast<int>(value[i] + 64) >> 7);
    }
    const int sum = static_cast<int>(value[0] + value[1] + value[2] + value[3]);
    for (int i = 0; i < 4; ++i) value[i] -= digit[i] * 128;
    const u32 high = four_bytes(digit), low = four_bytes(value);
    const int all = warp_total(sum), within = lane % 16;
    if (BITS == 4) {
        u32* to = reinterpret_cast<u32*>(digits + lane / 16 * 128 + within * 4);
        to[0] = high;
        to[16] = low;
        if (lane == 0)
            facts[0] = make_uint4(float_to_bits(step), float_to_bits(step * 0.0625f), -8 * all, -128 * all);
    } else {
        u32* to = reinterpret_cast<u32*>(digits + lane / 16 * 128 + within / 2 % 4 * 16 + within / 8 * 8 + within % 2 * 4);
        to[0] = high;
        to[16] = low;
        const int half = warp_total(lane < 16 ? sum : 0), mine = lane < 16 ? half : all - half;
        if (within == 0)
            facts[lane / 16] = make_uint4(float_to_bits(step), float_to_bits(step), -128 * mine, -128 * mine);
    }
}

// x, a norm's scale aside, in its own order to `natural`.
template <int INPUT>
__device__ inline void stage(const Matrix& m, const Source& source, float* natural, float* spare) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, groups = m.inputs / 128;
    float square = 0.0f;
    float4 weight = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if (INPUT == GATED) weight = *reinterpret_cast<const float4*>(source.weight + lane * 4);
    if (INPUT == NORMED)  // each lane finds there what it put there itself
#pragma unroll 1
        for (int at = threadIdx.x * 4; at < m.inputs; at += WARPS * 128)
            *reinterpret_cast<float4*>(natural + at) = *reinterpret_cast<const float4*>(source.weight + at);
    wait_for_previous();
    if (INPUT == NORMED) {
        const float* before = static_cast<const float*>(source.from);
        const float* partials = static_cast<const float*>(source.with);
        float* after = static_cast<float*>(source.onward);
#pragma unroll 1
        for (int base = warp; base < groups; base += TURNS * WARPS) {
            float4 h[TURNS], part[TURNS][2];
#pragma unroll
            for (int turn = 0; turn < TURNS; ++turn) {
                const int at = min(base + turn * WARPS, groups - 1) * 128 + lane * 4;
                h[turn] = fresh_float4(before + at);
#pragma unroll
                for (int i = 0; i < 2; ++i)
                    part[turn][i] = i < source.count ? fresh_float4(partials + i * m.inputs + at)
                                                     : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
            }
#pragma unroll
            for (int turn = 0; turn < TURNS; ++turn) {
                const int group = base + turn * WARPS, at = group * 128 + lane * 4;
                if (group >= groups) continue;
                const float4 by = *reinterpret_cast<const float4*>(natural + at);
                float4 one = h[turn];
#pragma unroll
                for (int i = 0; i < 2; ++i) {
                    one.x += part[turn][i].x;
                    one.y += part[turn][i].y;
                    one.z += part[turn][i].z;
                    one.w += part[turn][i].w;
                }
                if (group == blockIdx.x || (blockIdx.x == 0 && group >= gridDim.x))
                    *reinterpret_cast<float4*>(after + at) = one;
                square += one.x * one.x + one.y * one.y + one.z * one.z + one.w * one.w;
                *reinterpret_cast<float4*>(natural + at) =
                    make_float4(one.x * by.x, one.y * by.y, one.z * by.z, one.w * by.w);
            }
        }
        square = warp_sum(square);
        if (lane == 0) spare[warp] = square;
    } else if (INPUT == GATED) {
        const u16* mixed = static_cast<const u16*>(source.with);
#pragma unroll 1
        for (int base = warp; base < groups; base += TURNS * WARPS) {
            float4 y[TURNS];
            uint2 z[TURNS];
#pragma unroll
            for (int turn = 0; turn < TURNS; ++turn) {
                const int at = min(base + turn * WARPS, groups - 1) * 128 + lane * 4;
                y[turn] = fresh_float4(static_cast<const float*>(source.from) + at);
                z[turn] = fresh_uint2(mixed + source.count + at);
            }
#pragma unroll
            for (int turn = 0; turn < TURNS; ++turn) {
                const float4 one = y[turn];
                const float sum = warp_sum(one.x * one.x + one.y * one.y + one.z * one.z + one.w * one.w);
                const float scale = rsqrtf(sum * 0.0078125f + source.eps);
                const int head = base + turn * WARPS;
                if (head >= groups) continue;
                *reinterpret_cast<float4*>(natural + head * 128 + lane * 4) =
                    make_float4(one.x * scale * weight.x * quick_silu(low_to_float(z[turn].x)),
                                one.y * scale * weight.y * quick_silu(high_to_float(z[turn].x)),
                                one.z * scale * weight.z * quick_silu(low_to_float(z[turn].y)),
                                one.w * scale * weight.w * quick_silu(high_to_float(z[turn].y)));
            }
        }
    } else if (INPUT == ORDERED) {
        for (int i = threadIdx.x * 4; i < m.inputs; i += blockDim.x * 4) {
            const uint2 four = fresh_uint2(static_cast<const u16*>(source.from) + i);
            *reinterpret_cast<float4*>(natural + i) = make_float4(low_to_float(four.x), high_to_float(four.x),
                                                                  low_to_float(four.y), high_to_float(four.y));
        }
    }
}

__device__ inline float product(uint2 a, const float (&x)[4]) {
    return low_to_float(a.x) * x[0] + high_to_float(a.x) * x[1] + low_to_float(a.y) * x[2] + high_to_float(a.y) * x[3];
}

// The rows of A of which the block makes its elements of t, in the order in which a warp takes them: of each row every
// sixteenth group.
struct Rows {
    const u16* from;
    int left, until, turns, wrap;
    uint2 next[A_AHEAD];
    __device__ Rows(const Matrix& m, const Part& part) {
        const int warp = threadIdx.x / 32, rows = part.index < m.ranks ? (m.ranks - 1 - part.index) / part.sharing + 1 : 0;
        turns = (part.groups - warp + WARPS - 1) / WARPS;  // of a row
        left = turns > 0 ? rows * turns : 0;
        until = turns;
        from = m.a + static_cast<long long>(part.index) * m.inputs + (part.group + warp) * 128 + threadIdx.x % 32 * 4;
        wrap = part.sharing * m.inputs - turns * WARPS * 128;
#pragma unroll
        for (int i = 0; i < A_AHEAD; ++i) next[i] = read();
    }
    __device__ uint2 read() {
        uint2 four = make_uint2(0u, 0u);
        if (left > 0) four = *reinterpret_cast<const uint2*>(from);
        --left;
        from += WARPS * 128;
        if (--until == 0) {
            until = turns;
            from += wrap;
        }
        return four;
    }
    __device__ float times(const float (&x)[4]) {
        const uint2 a = next[0];
#pragma unroll
        for (int i = 1; i < A_AHEAD; ++i) next[i - 1] = next[i];
        next[A_AHEAD - 1] = read();
        return low_to_float(a.x) * x[0] + high_to_float(a.x) * x[1] + low_to_float(a.y) * x[2] +
               high_to_float(a.y) * x[3];
    }
};

__device__ inline void unpack(uint2 four, float (&x)[4]) {
    x[0] = low_to_float(four.x);
    x[1] = high_to_float(four.x);
    x[2] = low_to_float(four.y);
    x[3] = high_to_float(four.y);
}

// The digits of x for the orders that the block's tiles have, and what each warp adds to the block's elements of t.
template <int BITS, int INPUT>
__device__ inline void make_input(const Matrix& m, const Source& source, const Part& part, const Room& room,
                                  unsigned char* pool, int first_copy, int last_copy, const uint4* coming, int count) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, of_group = BITS == 4 ? 1 : 2;
    float* natural = reinterpret_cast<float*>(pool + room.natural);
    float* spare = reinterpret_cast<float*>(pool + room.spare);
    float* sums = reinterpret_cast<float*>(pool + room.sums);
    uint4* facts = reinterpret_cast<uint4*>(pool + room.facts);
    const u16* ready = static_cast<const u16*>(source.from) + part.group * 128 + lane * 4;
    Rows rows(m, part);
    auto put = [&](int copy, int group, const float (&x)[4]) {
        const int place = copy * room.most + group;
        put_digits<BITS>(x, pool + room.digits + place * 256, facts + place * of_group);
    };
    auto load = [&](int copy, int group) {
        uint2 four;
        if (INPUT == READY) {
            four = fresh_uint2(ready + min(group, part.groups - 1) * 128);
        } else {  // numbers below 65,536
            const int from = copy * m.inputs + (part.group + min(group, max(part.groups, 1) - 1)) * 128 + lane * 4;
            const int4 order = *reinterpret_cast<const int4*>(m.orders + min(from, m.copies * m.inputs - 4));
            four.x = order.x | order.y << 16;
            four.y = order.z | order.w << 16;
        }
        return four;
    };
    const int depth = INPUT == READY ? AHEAD : SORTED_AHEAD;
    uint2 next[depth];
    if (INPUT != READY)
#pragma unroll
        for (int i = 0; i < depth; ++i) next[i] = load(first_copy, warp + i * WARPS);
    stage<INPUT>(m, source, natural, spare);
    if (INPUT == READY && part.groups > 0)
#pragma unroll
        for (int i = 0; i < depth; ++i) next[i] = load(0, warp + i * WARPS);
    // The memory has nothing to do until the ring moves: some of what comes then goes to the L2 cache now.
    for (int i = lane; i < count * 8; i += 32) fetch_ahead(coming + i * 8);
    float scale = 1.0f, sum = 0.0f;
    if (INPUT != READY) __syncthreads();
    if (INPUT == NORMED) {
        scale = rsqrtf(half_sum(spare[lane % 16]) / static_cast<float>(m.inputs) + source.eps);
        if (threadIdx.x == 0) spare[WARPS] = scale;
    }
    for (int copy = first_copy; copy <= last_copy; ++copy)
#pragma unroll 1
        for (int group = warp; group < part.groups; group += WARPS) {
            if (copy != first_copy) next[0] = load(copy, group);
            const uint2 four = next[0];
#pragma unroll
            for (int i = 1; i < depth; ++i) next[i - 1] = next[i];
            if (group + depth * WARPS < part.groups) next[depth - 1] = load(copy, group + depth * WARPS);
            float x[4];
            if (INPUT == READY) {
                unpack(four, x);
                if (part.index < m.ranks) sum += rows.times(x);
            } else {
                x[0] = natural[four.x & 0xffffu] * scale;
                x[1] = natural[four.x >> 16] * scale;
                x[2] = natural[four.y & 0xffffu] * scale;
                x[3] = natural[four.y >> 16] * scale;
            }
            put(copy, group, x);
        }
#pragma unroll 1
    for (int row = part.index, i = 0; row < m.ranks; row += part.sharing, ++i) {
#pragma unroll 1
        for (int group = warp; group < part.groups && !(INPUT == READY && i == 0); group += WARPS) {
            float x[4];
            if (INPUT == READY) {
                unpack(fresh_uint2(ready + group * 128), x);
            } else {
                const float4 four = *reinterpret_cast<const float4*>(natural + (part.group + group) * 128 + lane * 4);
                x[0] = four.x;
                x[1] = four.y;
                x[2] = four.z;
                x[3] = four.w;
            }
            sum += rows.times(x);
        }
        sum = warp_sum(sum);
        if (lane == 0) sums[i * WARPS + warp] = sum;
        sum = 0.0f;
    }
}

// Joins what the warps have of the block's elements of t and tells the other blocks.
__device__ inline void publish(const Matrix& m, const Part& part, const float* sums, float scale) {
    const int lane = threadIdx.x % 32;
#pragma unroll 1
    for (int row = part.index, i = 0; row < m.ranks; row += part.sharing, ++i) {
        const float sum = half_sum(sums[i * WARPS + lane % 16]);
        if (lane == 0) m.t[part.split * m.ranks + row] = sum * scale;
    }
    if (lane == 0) {
        share_writes();
        count_one(m.done);
    }
}

// The convolution's window gets the token's inputs and lets go of its oldest.
__device__ inline void move_window(const Source& source) {
    const u16* mixed = static_cast<const u16*>(source.with);
    u16* window = static_cast<u16*>(source.onward);
    const int channels = source.count;
#pragma unroll 1
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < channels; i += gridDim.x * blockDim.x) {
        const u16 middle = window[channels + i], last = window[2 * channels + i];
        window[i] = middle;
        window[channels + i] = last;
        window[2 * channels + i] = mixed[i];
    }
}

// t on its way to shared memory, each thread having an element, or, of more than there are threads, several.
struct Taken {
    u32 ready;
    float t, other;
    __device__ void wait(const Matrix& m) {
        while (ready < gridDim.x) ready = counted(m.done);
    }
    __device__ void begin(const Matrix& m, int i) {
        t = fresh_float(m.t + i);
        other = m.halves ? fresh_float(m.t + m.ranks + i) : 0.0f;
    }
    // As two bf16 numbers: [2][ranks].
    __device__ void end(const Matrix& m, u16* to, int i) const {
        const float sum = t + other;
        const u16 high = to_bf16(sum);
        to[i] = high;
        to[m.ranks + i] = to_bf16(sum - bf16_to_float(high));
    }
};

// What the block has of its outputs, in the order of warps, EoRA's last, to where it belongs. In shared memory the last
// number of a tile's place is which warp has its first unit, and, in the upper half, which one its last.
template <bool SPLIT>
__device__ inline void write_results(const Matrix& m, const Part& part, const int4* places, const float* slots,
                                     const float* extra, void* y) {
    const int shift = m.paired ? 3 : 4;
#pragma unroll 1
    for (int index = threadIdx.x; index < part.tiles << shift; index += blockDim.x) {
        const int tile = index >> shift, row = index - (tile << shift), at = (part.first << shift) + index;
        const int warps = places[tile].w;
        float sum = 0.0f, other = 0.0f;
        auto add = [&](const float* from) {
            sum += from[row];
            other += from[row + 8 & 15];
        };
#pragma unroll 1
        for (int warp = warps & 0xffff; warp <= warps >> 16; ++warp) add(slots + (tile + warp) * 16);
#pragma unroll 1
        for (int i = tile * part.plains; i < (tile + 1) * part.plains; ++i) add(extra + i * 16);
        if (SPLIT)
            static_cast<float*>(y)[part.split * m.tile_count * 16 + at] = sum;
        else  // of a pair outputs 0…7 are gates, 8…15 what they let through
            static_cast<u16*>(y)[at] = to_bf16(m.paired ? quick_silu(sum) * other : sum);
    }
}

template <int BITS, int INPUT>
__device__ inline void token_product(const Matrix& m, const Source& source, void* y) {
    SHARED_POOL(pool);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, of_group = BITS == 4 ? 1 : 2, digits = 1024 / BITS;
    const Part part(m, of_group);
    let_next_start();
    const Room room(m, of_group, INPUT != READY);
    float* slots = reinterpret_cast<float*>(pool + room.slots);
    float* extra = reinterpret_cast<float*>(pool + room.extra);
    int4* places = reinterpret_cast<int4*>(pool + room.places);
    u16* t = reinterpret_cast<u16*>(pool + room.t);
    float* scale = reinterpret_cast<float*>(pool + room.spare) + WARPS;
    const Shared ring = shared_place(pool + warp * TOKEN_RING * SLOT + lane * 16);
    const Shared ring_scales = shared_place(pool + warp * TOKEN_RING * SLOT + UNIT * 16 + lane / 4 * 4);

    // The warp's quantized units, counted in the block.
    const int count = part.tiles * part.units, per_tile = m.quantized + m.plain;
    const int begin = count * warp / WARPS;
    int left = count * (warp + 1) / WARPS - begin;
    int tile = part.units > 0 ? begin / part.units : 0, within = begin - tile * part.units;
    int to_fetch = left, next_within = within;
    const uint4* from =
        m.units + (static_cast<long long>(part.first + tile) * per_tile + part.group * of_group + within) * UNIT + lane;
    const u32* scale_from =
        m.scales + ((part.first + tile) * (m.inputs / 128) + part.group + within / of_group) * 8 + lane / 4;
    Corrections ahead(part);
    auto fetch = [&](int slot) {
        if (to_fetch > 0) {
            copy_16(ring + slot, from);
            copy_16(ring + slot + 512, from + 32);
            if (lane % 4 == 0) copy_4(ring_scales + slot, scale_from);
            from += UNIT;
            if (BITS == 4 || next_within % 2 == 1) scale_from += 8;
            --to_fetch;
            if (++next_within == part.units) {
                next_within = 0;
                from += (per_tile - part.units) * UNIT;
                scale_from += (m.inputs / 128 - part.groups) * 8;
            }
        } else if (ahead.tile < part.tiles) {
            const int at = (part.first + ahead.tile) * per_tile + m.quantized + part.plain + ahead.within;
            const uint4* correction = m.units + static_cast<long long>(at) * UNIT + lane;
            copy_16(ring + slot, correction);
            copy_16(ring + slot + 512, correction + 32);
            ahead.move(part);
        }
        close_copies();
    };
#pragma unroll 1
    for (int slot = 0; slot < TOKEN_RING * SLOT; slot += SLOT) fetch(slot);

    // All else that does not change with the token: into shared memory or registers.
    for (int i = threadIdx.x; i < part.tiles; i += blockDim.x) {
        int4 place = m.tiles[part.first + i];
        place.w = -0x10000;  // from warp 0 to warp −1
        places[i] = place;
    }
    for (int i = threadIdx.x; i < (part.tiles + WARPS) * 16; i += blockDim.x) slots[i] = 0.0f;
    const int first_copy = m.copies > 1 ? m.tiles[part.first].z : 0;
    const int last_copy = m.copies > 1 ? m.tiles[part.first + part.tiles - 1].z : 0;

    make_input<BITS, INPUT>(m, source, part, room, pool, first_copy, last_copy, from - lane, min(TO_CACHE, to_fetch));
    if (blockIdx.x == 0 && threadIdx.x == 0) *m.cleared = 0;
    __syncthreads();
    if (warp == WARPS - 1)
        publish(m, part, reinterpret_cast<const float*>(pool + room.sums), INPUT == NORMED ? *scale : 1.0f);

    const Shared digits_base = shared_place(pool + room.digits + lane / 4 % 2 * 64 + lane % 4 * 16);
    const Shared facts_base = shared_place(pool + room.facts);
    // When so many units are left: a look whether t is there; then t is fetched. Nothing waits for it before the end.
    int use = 0, first_stop = min(left, 4), second_stop = min(left, 2);
    Taken taken = {0u, 0.0f, 0.0f};
    float upper = 0.0f, lower = 0.0f;
    for (;;) {
        if (left == first_stop) {
            if (part.plains > 0) taken.ready = glanced(m.done);
            first_stop = -1;
        }
        if (left == second_stop) {
            if (part.plains > 0) {
                taken.wait(m);
                if (threadIdx.x < m.ranks) taken.begin(m, threadIdx.x);
            }
            second_stop = -1;
        }
        if (left == 0) break;
        const int run = min(left - max(max(first_stop, second_stop), 0), part.units - within);
        const int at = (m.copies > 1 ? places[tile].z : 0) * room.most * of_group + within;
        Shared mine = digits_base + at * digits, facts = facts_base + at * 16;
        if (within == 0 && lane == 0) reinterpret_cast<u16*>(&places[tile].w)[0] = static_cast<u16>(warp);
#pragma unroll 1
        for (int i = 0; i < run; ++i) {
            wait_copies<TOKEN_RING - 1>();
            use_codes<BITS>(upper, lower, ring + use, ring_scales + use, mine, facts, [&] { fetch(use); });
            use = use == (TOKEN_RING - 1) * SLOT ? 0 : use + SLOT;
            mine += digits;
            facts += 16;
        }
        left -= run;
        within += run;
        if (left == 0 || within == part.units) {
            float* slot = slots + (tile + warp) * 16 + lane / 4;
            if (within == part.units && lane == 0) reinterpret_cast<u16*>(&places[tile].w)[1] = static_cast<u16>(warp);
            if (lane % 4 == 0) {
                slot[0] = upper;
                slot[8] = lower;
            }
            upper = lower = 0.0f;
            within = 0;
            ++tile;
        }
    }
    if (part.plains > 0) {
        if (threadIdx.x < m.ranks) taken.end(m, t, threadIdx.x);
#pragma unroll 1
        for (int i = threadIdx.x + blockDim.x; i < m.ranks; i += blockDim.x) {
            taken.begin(m, i);
            taken.end(m, t, i);
        }
    }
    if (INPUT == GATED) move_window(source);
    __syncthreads();
#pragma unroll 1
    for (Corrections here(part); here.tile < part.tiles; here.move(part)) {
        const int4 place = places[here.tile];
        const u16* column = t + lane / 4 % 2 * m.ranks + lane % 4 * 8 + (part.plain + here.within) * 32;
        wait_copies<TOKEN_RING - 1>();
        float above[4] = {0.0f, 0.0f, 0.0f, 0.0f}, below[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        const uint4 up = *reinterpret_cast<const uint4*>(column + place.x);
        const uint4 low = *reinterpret_cast<const uint4*>(column + place.y);
        const uint4 a = read_16(ring + use), b = read_16(ring + use + 512);
        fetch(use);
        multiply_tiles(above, a.x, a.y, a.z, a.w, up.x, up.y);
        multiply_tiles(below, a.x, a.y, a.z, a.w, low.x, low.y);
        multiply_tiles(above, b.x, b.y, b.z, b.w, up.z, up.w);
        multiply_tiles(below, b.x, b.y, b.z, b.w, low.z, low.w);
        if (lane % 4 == 0) {
            float* to = extra + (here.tile * part.plains + here.within) * 16 + lane / 4;
            to[0] = above[0] + above[1];
            to[8] = below[2] + below[3];
        }
        use = use == (TOKEN_RING - 1) * SLOT ? 0 : use + SLOT;
    }
    __syncthreads();
    write_results<INPUT != NORMED>(m, part, places, slots, extra, y);
}

#define TOKEN(NAME, BITS, INPUT)                                                                           \
    extern "C" __global__ void __launch_bounds__(WARPS * 32, 1) NAME(                                                     \
        const uint4* units, const u32* scales, const int4* tiles, const u16* a, const int* orders, float* t,          \
        u32* done, u32* cleared, void* y, const void* from, const void* with, const float* weight, float eps,         \
        void* onward, int count, int inputs, int copies, int ranks, int tile_count, int quantized, int plain,         \
        int halves, int each, int left_over, int paired) {                                      \
        const Matrix matrix = {units, scales, tiles, a, orders, t, done, cleared, inputs, copies, ranks, tile_count,  \
                               quantized, plain, halves, each, left_over, paired};                      \
        const Source source = {from, with, weight, eps, onward, count};                                               \
        token_product<BITS, INPUT>(matrix, source, y);                                                                \
    }
TOKEN(token_4_normed, 4, NORMED)
TOKEN(token_4_gated, 4, GATED)
TOKEN(token_4_ordered, 4, ORDERED)
TOKEN(token_4_ready, 4, READY)
TOKEN(token_8_normed, 8, NORMED)
TOKEN(token_8_gated, 8, GATED)
TOKEN(token_8_ordered, 8, ORDERED)
TOKEN(token_8_ready, 8, READY)
