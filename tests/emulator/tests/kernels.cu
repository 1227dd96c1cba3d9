// Kernels that show what the emulator does, and kernels that do what no device permits.
#include "common.cuh"

struct Params {
    const u32* in;
    u32* out;
    u32 n;
};

// ---- Correct ones.

KERNEL(256) scan(Params p) {
    __shared__ u32 shared[WARP + 1];
    u32 total, at = blockIdx.x * blockDim.x + threadIdx.x;
    u32 before = block_scan(p.in[at], shared, total);
    p.out[at] = before + total;
}

KERNEL(64) lanes(Params p) {
    u32 at = threadIdx.x, lane = at % WARP, value = p.in[at];
    u32* out = p.out + 6 * at;
    out[0] = __shfl_sync(ALL_LANES, value, (lane * 7 + 3) % WARP);
    out[1] = __shfl_xor_sync(ALL_LANES, value, 5);
    out[2] = __shfl_up_sync(ALL_LANES, value, 3);
    out[3] = __shfl_down_sync(ALL_LANES, value, 3);
    out[4] = __ballot_sync(ALL_LANES, value % 3 == 0);
    // A part of the warp alone.
    out[5] = lane < 8 ? __ballot_sync(0xffu, value % 2 == 0) : 0;
    __syncwarp();
}

KERNEL(64) atomics(Params p) {
    u32 value = p.in[blockIdx.x * blockDim.x + threadIdx.x];
    atomicAdd(&p.out[0], value);
    atomicMin(&p.out[1], value);
    atomicMax(&p.out[2], value);
    atomicOr(&p.out[3], 1u << value % 32);
    p.out[4 + atomicAdd(&p.out[4 + p.n], 1u)] = 1;
}

// What nobody has written in this block.
KERNEL(64) unwritten(Params p) {
    __shared__ u32 shared[64];
    p.out[blockIdx.x * blockDim.x + threadIdx.x] = shared[threadIdx.x];
    shared[threadIdx.x] = 1;
}

// ---- Races.

KERNEL(64) without_barrier(Params p) {
    __shared__ u32 shared[64];
    shared[threadIdx.x] = p.in[threadIdx.x];
    p.out[threadIdx.x] = shared[63 - threadIdx.x];
}

KERNEL(64) last_block(Params p) { p.out[0] = blockIdx.x; }

// ---- Waits that are wrong.

KERNEL(64) two_barriers(Params p) {
    if (threadIdx.x < 32) {
        __syncthreads();
    } else {
        p.out[0] = 1;
        __syncthreads();
    }
}

KERNEL(64) late_barrier(Params p) {
    if (threadIdx.x >= 40) return;
    __syncthreads();
    p.out[0] = 1;
}

KERNEL(64) barrier_in_warp(Params p) {
    if (threadIdx.x % WARP < 16) __syncthreads();
    else p.out[0] = __shfl_sync(ALL_LANES, 1u, 0);
}

KERNEL(64) gone_lane(Params p) {
    if (threadIdx.x == 3) return;
    p.out[0] = __ballot_sync(ALL_LANES, true);
}

KERNEL(64) two_ballots(Params p) {
    if (threadIdx.x % 2) p.out[0] = __ballot_sync(ALL_LANES, true);
    else p.out[1] = __shfl_sync(ALL_LANES, 1u, 0);
}

KERNEL(64) two_masks(Params p) {
    p.out[0] = __ballot_sync(threadIdx.x % 2 ? ALL_LANES : 0x7fffffffu, true);
}

KERNEL(64) outside_mask(Params p) { p.out[0] = __ballot_sync(1u, true); }

// ---- Memory that is not there.

KERNEL(64) past_shared(Params p) {
    __shared__ u32 shared[64];
    __shared__ u32 other[64];
    shared[threadIdx.x + 1] = p.in[threadIdx.x];
    other[threadIdx.x] = 1;
    __syncthreads();
    p.out[threadIdx.x] = shared[threadIdx.x] + other[63 - threadIdx.x];
}

KERNEL(64) past_global(Params p) { p.out[threadIdx.x] = p.in[threadIdx.x + 1]; }

__device__ __attribute__((noinline)) u32 deep(Params p, u32 depth) {
    volatile u32 local[256];
    for (u32 i = 0; i < 256; ++i) local[i] = depth;
    return depth == 0 ? local[3] : deep(p, depth - 1) + local[depth % 256];
}

KERNEL(64) deep_stack(Params p) {
    if (threadIdx.x == 63) p.out[0] = deep(p, p.n);
}
