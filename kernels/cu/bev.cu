// BEV: pillars to the canvas that the network reads.
//
//   bev_clear       clears the cells of the frame before where nothing stands now
//   bev_encode_one  features, one layer, maximum, canvas
//   bev_encode_two  the same with two layers
//
// Every output is bias + x0 w0 + x1 w1 + ..., one fused multiply-add after the other, as on the CPU.
#include "common.cuh"

constexpr u32 ENCODE_BLOCK = 128;
constexpr u32 N_WARPS = ENCODE_BLOCK / WARP;
constexpr u32 MAX_FEATURES = 11;
constexpr u32 MAX_HIDDEN = 128;
// Values of a row in shared memory: whole float4s.
constexpr u32 ROW = 12;
// Rows of the second layer that share a load of its weights.
constexpr u32 TILE = 8;

struct BevParams {
    FrameState* state;
    const float4* points;
    const float* time_lags;
    const u32* cells;
    const u32* counts;
    const u32* starts;
    const u32* members;
    const u32* pillar_at;
    const u32* last_cells;
    const u32* n_last;
    const float* first_weights;
    const float* first_bias;
    const float* second_weights;
    const float* second_bias;
    void* canvas;
    u32 channel_stride;
    u32 cell_stride;
    u32 is_half;
    u32 recipe;
    u32 n_features;
    u32 n_first;
    u32 n_channels;
    u32 point_cap;
    u32 is_padded;
    u32 nx;
    float min[2];
    float cell[2];
    float centre_z;
};

enum Recipe { PAPER_9, PCDET_10, PCDET_11 };

// `max(v, 0)`, with +0 for everything not positive, NaN included.
__device__ __forceinline__ float relu(float v) { return v > 0.0f ? v : 0.0f; }

// NaN is never larger.
__device__ __forceinline__ float larger(float best, float v) { return v > best ? v : best; }

// What every value is larger than.
__device__ __forceinline__ float lowest() { return as_float(0xff800000u); }

// To the nearest f16, ties to even.
__device__ __forceinline__ u16 to_half(float value) {
    u16 half;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));
    return half;
}

__device__ __forceinline__ void set_down(const BevParams& p, u32 cell, u32 channel, float value) {
    u64 at = (u64)cell * p.cell_stride + (u64)channel * p.channel_stride;
    if (p.is_half) ((u16*)p.canvas)[at] = to_half(value); else ((float*)p.canvas)[at] = value;
}

// A warp a cell, a lane a channel: with channels last the writes are whole sectors.
KERNEL(BLOCK) bev_clear(BevParams p) {
    u32 idx = blockIdx.x * (BLOCK / WARP) + threadIdx.x / WARP;
    if (idx >= *p.n_last) return;
    u32 cell = p.last_cells[idx];
    if (p.pillar_at[cell] != NONE) return;
    for (u32 c = threadIdx.x % WARP; c < p.n_channels; c += WARP) set_down(p, cell, c, 0.0f);
}

// A pillar, and what its rows are relative to.
struct Pillar {
    const u32* members;
    u32 n_points;
    u32 cell;
    float mean[3];
    float centre[3];
    bool is_padded;
};

// The mean is the sum in input order, divided; every lane adds up the same values.
__device__ __forceinline__ Pillar pillar_of(const BevParams& p, u32 idx) {
    u32 lane = threadIdx.x % WARP;
    Pillar pillar;
    pillar.members = p.members + p.starts[idx];
    pillar.n_points = min_u32(p.counts[idx], p.point_cap);
    pillar.cell = p.cells[idx];
    pillar.is_padded = p.is_padded && pillar.n_points < p.point_cap;
    float x = 0.0f, y = 0.0f, z = 0.0f;
    for (u32 from = 0; from < pillar.n_points; from += WARP) {
        u32 n = min_u32(WARP, pillar.n_points - from);
        float4 own = lane < n ? p.points[pillar.members[from + lane]] : make_float4(0, 0, 0, 0);
        for (u32 i = 0; i < n; ++i) {
            x += __shfl_sync(ALL_LANES, own.x, i);
            y += __shfl_sync(ALL_LANES, own.y, i);
            z += __shfl_sync(ALL_LANES, own.z, i);
        }
    }
    float n = (float)pillar.n_points;
    pillar.mean[0] = __fdiv_rn(x, n);
    pillar.mean[1] = __fdiv_rn(y, n);
    pillar.mean[2] = __fdiv_rn(z, n);
    pillar.centre[0] = (float)(pillar.cell % p.nx) * p.cell[0] + p.cell[0] / 2.0f + p.min[0];
    pillar.centre[1] = (float)(pillar.cell / p.nx) * p.cell[1] + p.cell[1] / 2.0f + p.min[1];
    pillar.centre[2] = p.centre_z;
    return pillar;
}

// Writes up to a warp of rows, one a lane; yields how many there are.
__device__ __forceinline__ u32 decorate(const BevParams& p, const Pillar& pillar, u32 from, float* rows) {
    u32 lane = threadIdx.x % WARP;
    u32 n = min_u32(WARP, pillar.n_points - from);
    __syncwarp();
    if (lane < n) {
        u32 idx = pillar.members[from + lane];
        float4 point = p.points[idx];
        float* row = rows + lane * ROW;
        u32 at = 4;
        row[0] = point.x;
        row[1] = point.y;
        row[2] = point.z;
        row[3] = point.w;
        if (p.recipe == PCDET_11) row[at++] = p.time_lags[idx];
        row[at++] = point.x - pillar.mean[0];
        row[at++] = point.y - pillar.mean[1];
        row[at++] = point.z - pillar.mean[2];
        row[at++] = point.x - pillar.centre[0];
        row[at++] = point.y - pillar.centre[1];
        if (p.recipe != PAPER_9) row[at++] = point.z - pillar.centre[2];
    }
    __syncwarp();
    return n;
}

// The weights of one output, in registers.
struct Weights {
    float bias;
    float of[MAX_FEATURES];
};

__device__ __forceinline__ Weights weights_of(const BevParams& p, u32 output) {
    Weights w;
    bool is_there = output < p.n_first;
    w.bias = is_there ? p.first_bias[output] : 0.0f;
#pragma unroll
    for (u32 k = 0; k < MAX_FEATURES; ++k)
        w.of[k] = is_there && k < p.n_features ? p.first_weights[k * p.n_first + output] : 0.0f;
    return w;
}

__device__ __forceinline__ float first_layer(const BevParams& p, const Weights& w, const float* row) {
    float sum = w.bias;
#pragma unroll
    for (u32 k = 0; k < MAX_FEATURES; ++k)
        if (k < p.n_features) sum = fmaf(row[k], w.of[k], sum);
    return sum;
}

KERNEL(ENCODE_BLOCK) bev_encode_one(BevParams p) {
    __shared__ __align__(16) float shared[N_WARPS][WARP * ROW];
    u32 idx = blockIdx.x * N_WARPS + threadIdx.x / WARP, lane = threadIdx.x % WARP;
    if (idx >= p.state->n_pillars) return;
    float* rows = shared[threadIdx.x / WARP];
    Pillar pillar = pillar_of(p, idx);
    // Two outputs a lane, so that a row is read once for 64 channels.
    for (u32 c = lane; c - lane < p.n_channels; c += 2 * WARP) {
        Weights a = weights_of(p, c), b = weights_of(p, c + WARP);
        float best_a = pillar.is_padded ? a.bias : lowest(), best_b = pillar.is_padded ? b.bias : lowest();
        for (u32 from = 0; from < pillar.n_points; from += WARP) {
            u32 n = decorate(p, pillar, from, rows);
            for (u32 i = 0; i < n; ++i) {
                best_a = larger(best_a, first_layer(p, a, rows + i * ROW));
                best_b = larger(best_b, first_layer(p, b, rows + i * ROW));
            }
        }
        if (c < p.n_channels) set_down(p, pillar.cell, c, relu(best_a));
        if (c + WARP < p.n_channels) set_down(p, pillar.cell, c + WARP, relu(best_b));
    }
}

// Sums `n` inputs from `weights` on, TILE rows at a time.
__device__ __forceinline__ void second_layer(const BevParams& p, const float* inputs, u32 n_inputs,
                                             u32 first_weight, u32 channel, float (&sums)[TILE]) {
    const float* weights = p.second_weights + (u64)first_weight * p.n_channels + channel;
    // Unrolled, it takes more registers than there are.
#pragma unroll 1
    for (u32 k = 0; k < n_inputs; ++k) {
        float w = weights[(u64)k * p.n_channels];
#pragma unroll
        for (u32 t = 0; t < TILE; ++t) sums[t] = fmaf(inputs[t * MAX_HIDDEN + k], w, sums[t]);
    }
}

// The rows of the first layer's outputs, rectified, TILE of them from `from` on.
__device__ __forceinline__ void hide(const BevParams& p, const float* rows, u32 from, u32 n, float* hidden) {
    __syncwarp();
    for (u32 o = threadIdx.x % WARP; o < p.n_first; o += WARP) {
        Weights w = weights_of(p, o);
        for (u32 t = 0; t < TILE; ++t)
            hidden[t * MAX_HIDDEN + o] = from + t < n ? relu(first_layer(p, w, rows + (from + t) * ROW)) : 0.0f;
    }
    __syncwarp();
}

// The maximum of the first layer, rectified: the half of the second layer's input that all rows share.
__device__ __forceinline__ void share(const BevParams& p, const Pillar& pillar, float* rows, float* shared) {
    for (u32 o = threadIdx.x % WARP; o - threadIdx.x % WARP < p.n_first; o += WARP) {
        Weights w = weights_of(p, o);
        float best = pillar.is_padded ? w.bias : lowest();
        for (u32 from = 0; from < pillar.n_points; from += WARP) {
            u32 n = decorate(p, pillar, from, rows);
            for (u32 i = 0; i < n; ++i) best = larger(best, first_layer(p, w, rows + i * ROW));
        }
        if (o < p.n_first) shared[o] = relu(best);
    }
    __syncwarp();
}

KERNEL(ENCODE_BLOCK) bev_encode_two(BevParams p) {
    __shared__ __align__(16) float all_rows[N_WARPS][WARP * ROW];
    __shared__ float all_hidden[N_WARPS][TILE * MAX_HIDDEN];
    __shared__ float all_shared[N_WARPS][MAX_HIDDEN];
    u32 warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    u32 idx = blockIdx.x * N_WARPS + warp;
    if (idx >= p.state->n_pillars) return;
    float *rows = all_rows[warp], *hidden = all_hidden[warp], *shared = all_shared[warp];
    Pillar pillar = pillar_of(p, idx);
    share(p, pillar, rows, shared);
    for (u32 c = lane; c - lane < p.n_channels; c += WARP) {
        // Lanes past the last channel work along on the first, and write nothing.
        u32 channel = c < p.n_channels ? c : 0;
        float base = p.second_bias[channel];
        for (u32 k = 0; k < p.n_first; ++k)
            base = fmaf(shared[k], p.second_weights[(u64)(p.n_first + k) * p.n_channels + channel], base);
        float best = lowest();
        if (pillar.is_padded) {
            float zero_row = base;
            for (u32 k = 0; k < p.n_first; ++k)
                zero_row = fmaf(relu(p.first_bias[k]), p.second_weights[(u64)k * p.n_channels + channel], zero_row);
            best = zero_row;
        }
        for (u32 from = 0; from < pillar.n_points; from += WARP) {
            u32 n = decorate(p, pillar, from, rows);
            for (u32 tile = 0; tile < n; tile += TILE) {
                hide(p, rows, tile, n, hidden);
                float sums[TILE];
#pragma unroll
                for (u32 t = 0; t < TILE; ++t) sums[t] = base;
                second_layer(p, hidden, p.n_first, 0, channel, sums);
#pragma unroll
                for (u32 t = 0; t < TILE; ++t)
                    if (tile + t < n) best = larger(best, sums[t]);
            }
        }
        if (c < p.n_channels) set_down(p, pillar.cell, c, relu(best));
    }
}
