// The 64 largest of a row of logits, largest first, of equal ones the smaller id first: all that sampling looks at.
//
// Bytes (the floor): every logit once, and every penalty.
//
// A logit and its id are one number of 64 bits that sorts in this order. Runs of 64 are sorted; then two runs become one
// of their 64 largest, again and again: of the first run's i-th and the second's (63 − i)-th the larger, which leaves a
// run that first rises and then falls, and takes six steps to sort (Batcher's bitonic merge). Each block does so with
// 2,048 logits, and then one block with what they found.
#include "device.cuh"

#define RUN 64
#define EACH 2048  // logits of a block

typedef unsigned long long Ranked;

// Not a number ranks above all else, so that it is found.
__device__ inline Ranked ranked(float logit, u32 id) {
    const u32 bits = logit != logit ? 0x7fffffffu : float_to_bits(logit + 0.0f);  // and not −0, which is no smaller than 0
    const u32 order = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return static_cast<Ranked>(order) << 32 | static_cast<u32>(~id);
}

__device__ inline void order_pair(Ranked* keys, int low, int high, bool falling) {
    const Ranked a = keys[low], b = keys[high];
    if ((a < b) == falling) {
        keys[low] = b;
        keys[high] = a;
    }
}

// One step of Batcher's network on all of `count` keys: partners are `apart`, every other block of `size` rises, a whole
// run falls.
__device__ inline void step(Ranked* keys, int count, int size, int apart) {
    for (int pair = threadIdx.x; pair < count / 2; pair += blockDim.x) {
        const int low = pair / apart * 2 * apart + pair % apart;
        order_pair(keys, low, low + apart, size >= RUN || low / size % 2 == 0);
    }
    __syncthreads();
}

// Sorts each run.
__device__ inline void sort_runs(Ranked* keys, int runs) {
    for (int size = 2; size <= RUN; size *= 2)
        for (int apart = size / 2; apart > 0; apart /= 2) step(keys, runs * RUN, size, apart);
}

// From sorted runs to one, at the front, that holds the 64 largest of all.
__device__ inline void join_runs(Ranked* keys, int runs) {
    while (runs > 1) {
        const int joined = (runs + 1) / 2;
        for (int index = threadIdx.x; index < (runs - joined) * RUN; index += blockDim.x) {
            const Ranked other = keys[(index / RUN + joined) * RUN + RUN - 1 - index % RUN];
            if (keys[index] < other) keys[index] = other;
        }
        __syncthreads();
        runs = joined;
        for (int apart = RUN / 2; apart > 0; apart /= 2) step(keys, runs * RUN, RUN, apart);
    }
}

// best [blocks][64]: the largest of each 2,048 of logits [valid], less penalties [valid] if there are any.
extern "C" __global__ void largest_of_each(const float* logits, const float* penalties, int valid, Ranked* best) {
    SHARED_POOL(pool);
    Ranked* keys = reinterpret_cast<Ranked*>(pool);
    let_next_start();
    wait_for_previous();
    for (int index = threadIdx.x; index < EACH; index += blockDim.x) {
        const int id = blockIdx.x * EACH + index;
        keys[index] = id < valid ? ranked(logits[id] - (penalties ? penalties[id] : 0.0f), id) : 0;
    }
    __syncthreads();
    sort_runs(keys, EACH / RUN);
    join_runs(keys, EACH / RUN);
    for (int index = threadIdx.x; index < RUN; index += blockDim.x) best[blockIdx.x * RUN + index] = keys[index];
}

// Of best [runs][64] the 64 largest: their logits, and their ids.
extern "C" __global__ void largest_of_all(const Ranked* best, int runs, float* logits, int* ids) {
    SHARED_POOL(pool);
    Ranked* keys = reinterpret_cast<Ranked*>(pool);
    let_next_start();
    wait_for_previous();
    for (int index = threadIdx.x; index < runs * RUN; index += blockDim.x) keys[index] = best[index];
    __syncthreads();
    join_runs(keys, runs);
    for (int index = threadIdx.x; index < RUN; index += blockDim.x) {
        const u32 order = static_cast<u32>(keys[index] >> 32);
        logits[index] = bits_to_float(order & 0x80000000u ? order & 0x7fffffffu : ~order);
        ids[index] = static_cast<int>(~static_cast<u32>(keys[index]));
    }
}
