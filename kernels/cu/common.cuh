// What all kernels share. The constants and structs here are those of src/frame.rs; every compiler
// of the sources checks the structs field by field.
//
// Rules of this folder: no floating-point contraction (the sources are compiled with --fmad=false;
// a fused multiply-add is an explicit fmaf), no result that depends on the order of atomics, no
// atomics on floating-point numbers.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

// The compiler of the PTX does not know `offsetof`.
#ifdef __CUDACC_RTC__
#define OFFSET_OF(type, field) ((u64) & ((type*)0)->field)
#else
#define OFFSET_OF(type, field) __builtin_offsetof(type, field)
#endif

#define KERNEL(threads) extern "C" __global__ void __launch_bounds__(threads)

// Marks a cell without a pillar, a point without a cell, a column that is not there.
constexpr u32 NONE = 0xffffffffu;
constexpr u32 BLOCK = 256;
constexpr u32 SCAN_BLOCK = 1024;
constexpr u32 WARP = 32;
constexpr u32 ALL_LANES = 0xffffffffu;
constexpr float SUM_SCALE = 1048576.0f;
constexpr float SUM_LIMIT = 65536.0f;

struct FrameState {
    i64 intensity_sum;
    i64 z_sum;
    u32 intensity_max_ordered;
    u32 n_in_range;
    u32 n_points;
    u32 dropped_nan;
    u32 dropped_out_of_range;
    u32 dropped_near_sensor;
    u32 dropped_pillar_full;
    u32 dropped_no_pillar;
    u32 n_claimed;
    u32 n_pillars;
    u32 n_candidates;
    u32 dropped_candidates;
    u32 n_suppressed;
    u32 dropped_boxes;
    u32 n_boxes;
    u32 head_not_finite;
};

__device__ __forceinline__ u32 min_u32(u32 a, u32 b) { return a < b ? a : b; }

__device__ __forceinline__ float as_float(u32 bits) { return __int_as_float((int)bits); }

__device__ __forceinline__ u32 as_bits(float value) { return (u32)__float_as_int(value); }

// Finite values only have an exponent below all ones.
__device__ __forceinline__ bool is_finite(float value) {
    return (as_bits(value) & 0x7f800000u) != 0x7f800000u;
}

// An integer that sorts like the float.
__device__ __forceinline__ u32 to_ordered(float value) {
    u32 bits = as_bits(value);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ float from_ordered(u32 ordered) {
    return as_float(ordered >> 31 ? ordered & 0x7fffffffu : ~ordered);
}

// Sum over the lanes of a warp, in every lane.
__device__ __forceinline__ u32 warp_sum(u32 value) {
    for (u32 d = WARP / 2; d > 0; d /= 2) value += __shfl_xor_sync(ALL_LANES, value, d);
    return value;
}

__device__ __forceinline__ i64 warp_sum(i64 value) {
    for (u32 d = WARP / 2; d > 0; d /= 2) value += __shfl_xor_sync(ALL_LANES, value, d);
    return value;
}

__device__ __forceinline__ u32 warp_max(u32 value) {
    for (u32 d = WARP / 2; d > 0; d /= 2) {
        u32 other = __shfl_xor_sync(ALL_LANES, value, d);
        value = other > value ? other : value;
    }
    return value;
}

// Sum of the values of the lanes before this one.
__device__ __forceinline__ u32 warp_scan(u32 value) {
    u32 lane = threadIdx.x % WARP;
    u32 sum = value;
    for (u32 d = 1; d < WARP; d *= 2) {
        u32 other = __shfl_up_sync(ALL_LANES, sum, d);
        if (lane >= d) sum += other;
    }
    return sum - value;
}

// Sum of the values of the threads before this one in the block; `total` is that of all. Every
// thread of the block calls it. `shared` has a place for every warp; it may be used again after.
__device__ __forceinline__ u32 block_scan(u32 value, u32* shared, u32& total) {
    u32 warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, n_warps = blockDim.x / WARP;
    u32 before = warp_scan(value);
    if (lane == WARP - 1) shared[warp] = before + value;
    __syncthreads();
    if (warp == 0) {
        u32 own = lane < n_warps ? shared[lane] : 0;
        u32 scanned = warp_scan(own);
        if (lane < n_warps) shared[lane] = scanned;
        if (lane == WARP - 1) shared[WARP] = scanned + own;
    }
    __syncthreads();
    before += shared[warp];
    total = shared[WARP];
    __syncthreads();
    return before;
}
