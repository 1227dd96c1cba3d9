// Points: the bytes of a chunk become points in range, in input order.
//
//   points_count    which points of every block are kept; drops counted by cause
//   points_offsets  how many are kept before every block
//   points_keep     the points themselves, each to its place, and to its cell
#include "common.cuh"

enum Scalar { F16, F32, F64, U8, U16, U32, I8, I16, I32 };

struct Column {
    u32 scalar;
    u32 offset_bytes;
    u32 stride_bytes;
};

struct SweepPart {
    u32 first_point;
    u32 is_moved;
    float to_key[12];
    float time_lag_s;
    float min_distance_m;
};

constexpr u32 MAX_PARTS = 32;

struct PointsChunk {
    u32 n_points;
    u32 n_parts;
    Column x;
    Column y;
    Column z;
    Column intensity;
    Column time_lag;
    SweepPart parts[MAX_PARTS];
};

struct PointsParams {
    FrameState* state;
    const u8* raw;
    const PointsChunk* chunk;
    u32* block_kept;
    float4* points;
    float* time_lags;
    u32* cell_of;
    u32* first;
    u32* count;
    u32 max_points;
    u32 needs_time_lag;
    float min[3];
    float max[3];
    float cell[2];
    u32 nx;
    u32 ny;
};

enum Verdict { KEPT, NOT_FINITE, OUT_OF_RANGE, NEAR_SENSOR };

struct Point {
    float x, y, z, intensity, time_lag;
};

// Records may stand at any byte: wide loads only where the address allows.
__device__ __forceinline__ u32 load_u16(const u8* at) {
    return ((u64)at & 1) == 0 ? *(const u16*)at : (u32)at[0] | (u32)at[1] << 8;
}

__device__ __forceinline__ u32 load_u32(const u8* at) {
    return ((u64)at & 3) == 0 ? *(const u32*)at : load_u16(at) | load_u16(at + 2) << 16;
}

// Exact: every f16 is an f32.
__device__ __forceinline__ float half_to_float(u32 half) {
    u32 sign = (half & 0x8000u) << 16, exponent = half >> 10 & 31, fraction = half & 0x3ffu;
    if (exponent == 31) return as_float(sign | 0x7f800000u | fraction << 13);
    if (exponent > 0) return as_float(sign | (exponent + 112) << 23 | fraction << 13);
    // A subnormal: its fraction in units of 2^-24.
    float value = (float)fraction * 5.9604644775390625e-8f;
    return as_float(as_bits(value) | sign);
}

// Rounded to the nearest f32.
__device__ __forceinline__ float read(const u8* raw, const Column& column, u32 idx) {
    const u8* at = raw + column.offset_bytes + (u64)idx * column.stride_bytes;
    switch (column.scalar) {
        case F32: return as_float(load_u32(at));
        case F16: return half_to_float(load_u16(at));
        case F64: return (float)__longlong_as_double((i64)(load_u32(at) | (u64)load_u32(at + 4) << 32));
        case U8: return (float)*at;
        case U16: return (float)load_u16(at);
        case U32: return (float)load_u32(at);
        case I8: return (float)(signed char)*at;
        case I16: return (float)(short)load_u16(at);
        case I32: return (float)(int)load_u32(at);
        default: return 0.0f;  // a column that is not there
    }
}

// The part of a point: the last that does not start after it.
__device__ __forceinline__ const SweepPart& part_of(const PointsChunk& chunk, u32 idx) {
    u32 low = 0, high = chunk.n_parts;
    while (high - low > 1) {
        u32 middle = (low + high) / 2;
        if (chunk.parts[middle].first_point <= idx) low = middle; else high = middle;
    }
    return chunk.parts[low];
}

// A point in the frame of the key sweep, and whether it is kept; the first cause that applies.
__device__ __forceinline__ Verdict take(const PointsParams& p, u32 idx, Point& point) {
    const PointsChunk& chunk = *p.chunk;
    const SweepPart& part = part_of(chunk, idx);
    float x = read(p.raw, chunk.x, idx), y = read(p.raw, chunk.y, idx), z = read(p.raw, chunk.z, idx);
    point.intensity = read(p.raw, chunk.intensity, idx);
    point.time_lag = p.needs_time_lag ? read(p.raw, chunk.time_lag, idx) : 0.0f;
    if (!(is_finite(x) && is_finite(y) && is_finite(z) && is_finite(point.intensity) &&
          is_finite(point.time_lag)))
        return NOT_FINITE;
    if (fabsf(x) < part.min_distance_m && fabsf(y) < part.min_distance_m) return NEAR_SENSOR;
    if (part.is_moved) {
        const float* m = part.to_key;
        float moved_x = m[0] * x + m[1] * y + m[2] * z + m[3];
        float moved_y = m[4] * x + m[5] * y + m[6] * z + m[7];
        z = m[8] * x + m[9] * y + m[10] * z + m[11];
        x = moved_x;
        y = moved_y;
    }
    // Adding zero would lose the sign of a zero.
    if (p.needs_time_lag && part.time_lag_s != 0.0f) point.time_lag += part.time_lag_s;
    point.x = x;
    point.y = y;
    point.z = z;
    bool inside = x >= p.min[0] && x < p.max[0] && y >= p.min[1] && y < p.max[1] && z >= p.min[2] &&
                  z < p.max[2];
    return inside ? KEPT : OUT_OF_RANGE;
}

// Flat index of the cell of a point in range; NONE where the quotient rounds up to the grid's size.
__device__ __forceinline__ u32 cell_of(const PointsParams& p, const Point& point) {
    u32 ix = (u32)__fdiv_rn(point.x - p.min[0], p.cell[0]);
    u32 iy = (u32)__fdiv_rn(point.y - p.min[1], p.cell[1]);
    return ix < p.nx && iy < p.ny ? iy * p.nx + ix : NONE;
}

// A value in units of 1 / SUM_SCALE, towards zero.
__device__ __forceinline__ i64 to_sum(float value) {
    float cut = value > SUM_LIMIT ? SUM_LIMIT : value < -SUM_LIMIT ? -SUM_LIMIT : value;
    return (i64)(cut * SUM_SCALE);
}

KERNEL(BLOCK) points_count(PointsParams p) {
    __shared__ u32 sums[WARP + 1];
    u32 idx = blockIdx.x * BLOCK + threadIdx.x, n_points = p.chunk->n_points;
    // There are blocks for the largest chunk; those past the points of this one leave.
    if (blockIdx.x * BLOCK >= n_points) return;
    Point point;
    bool is_there = idx < n_points;
    Verdict verdict = is_there ? take(p, idx, point) : KEPT;
    u32 n_kept, n_lost;
    block_scan(is_there && verdict == KEPT, sums, n_kept);
    // Lost points of three causes in one sum: a block has fewer than 2^10 threads.
    u32 lost = !is_there || verdict == KEPT ? 0 : 1u << 10 * (verdict - NOT_FINITE);
    block_scan(lost, sums, n_lost);
    if (threadIdx.x == 0) {
        p.block_kept[blockIdx.x] = n_kept;
        u32 n_nan = n_lost & 1023, n_out = n_lost >> 10 & 1023, n_near = n_lost >> 20;
        if (n_nan > 0) atomicAdd(&p.state->dropped_nan, n_nan);
        if (n_out > 0) atomicAdd(&p.state->dropped_out_of_range, n_out);
        if (n_near > 0) atomicAdd(&p.state->dropped_near_sensor, n_near);
    }
}

// One block. A chunk goes on where the chunk before it ended.
KERNEL(SCAN_BLOCK) points_offsets(PointsParams p) {
    __shared__ u32 sums[WARP + 1];
    u32 n_blocks = (p.chunk->n_points + BLOCK - 1) / BLOCK;
    u32 before = p.state->n_in_range;
    for (u32 from = 0; from < n_blocks; from += SCAN_BLOCK) {
        u32 b = from + threadIdx.x, total;
        u32 start = before + block_scan(b < n_blocks ? p.block_kept[b] : 0, sums, total);
        if (b < n_blocks) p.block_kept[b] = start;
        before += total;
    }
    if (threadIdx.x == 0) {
        p.state->n_in_range = before;
        p.state->n_points = min_u32(before, p.max_points);
    }
}

KERNEL(BLOCK) points_keep(PointsParams p) {
    __shared__ u32 sums[WARP + 1];
    u32 idx = blockIdx.x * BLOCK + threadIdx.x, n_points = p.chunk->n_points;
    if (blockIdx.x * BLOCK >= n_points) return;
    Point point;
    bool is_kept = idx < n_points && take(p, idx, point) == KEPT;
    u32 total;
    u32 at = p.block_kept[blockIdx.x] + block_scan(is_kept, sums, total);
    is_kept = is_kept && at < p.max_points;
    u32 is_out = 0, intensity_max = 0;
    i64 intensity_sum = 0, z_sum = 0;
    if (is_kept) {
        p.points[at] = make_float4(point.x, point.y, point.z, point.intensity);
        if (p.needs_time_lag) p.time_lags[at] = point.time_lag;
        u32 cell = cell_of(p, point);
        p.cell_of[at] = cell;
        if (cell == NONE) {
            is_out = 1;
        } else {
            atomicMin(&p.first[cell], at);
            atomicAdd(&p.count[cell], 1u);
        }
        intensity_max = to_ordered(point.intensity);
        intensity_sum = to_sum(point.intensity);
        z_sum = to_sum(point.z);
    }
    // Sums of integers and maxima: the same whatever the order.
    is_out = warp_sum(is_out);
    intensity_max = warp_max(intensity_max);
    intensity_sum = warp_sum(intensity_sum);
    z_sum = warp_sum(z_sum);
    if (threadIdx.x % WARP == 0 && intensity_max > 0) {
        if (is_out > 0) atomicAdd(&p.state->dropped_out_of_range, is_out);
        atomicMax(&p.state->intensity_max_ordered, intensity_max);
        atomicAdd((u64*)&p.state->intensity_sum, (u64)intensity_sum);
        atomicAdd((u64*)&p.state->z_sum, (u64)z_sum);
    }
}
