// Pillars: points grouped by cell, in order of first occurrence.
//
//   pillars_count    how many points of every block are the first of their cell
//   pillars_offsets  how many are before every block
//   pillars_number   those points number the pillars; every pillar gets room for its points
//   pillars_fill     points to the room of their pillar, in any order
//   pillars_sort     the points of every pillar, in input order
//   pillars_forget   clears what the frame touched, for the next one
#include "common.cuh"

constexpr u32 PILLARS_PER_BLOCK = 8;
constexpr u32 MAX_SORTED = 2048;

struct PillarsParams {
    FrameState* state;
    const u32* cell_of;
    u32* first;
    u32* count;
    u32* pillar_at;
    uint2* block_sums;
    u32* claimed;
    u32* counts;
    u32* starts;
    u32* filled;
    u32* members;
    u32* last_cells;
    u32* n_last;
    u32 max_pillars;
    u32 point_cap;
};

// The cell that a point is the first of, else NONE.
__device__ __forceinline__ u32 claimed_by(const PillarsParams& p, u32 idx) {
    if (idx >= p.state->n_points) return NONE;
    u32 cell = p.cell_of[idx];
    return cell != NONE && p.first[cell] == idx ? cell : NONE;
}

KERNEL(BLOCK) pillars_count(PillarsParams p) {
    __shared__ u32 sums[WARP + 1];
    u32 cell = claimed_by(p, blockIdx.x * BLOCK + threadIdx.x);
    u32 n_firsts, n_points;
    block_scan(cell != NONE, sums, n_firsts);
    block_scan(cell != NONE ? p.count[cell] : 0, sums, n_points);
    if (threadIdx.x == 0) p.block_sums[blockIdx.x] = make_uint2(n_firsts, n_points);
}

// One block.
KERNEL(SCAN_BLOCK) pillars_offsets(PillarsParams p) {
    __shared__ u32 sums[WARP + 1];
    u32 n_blocks = (p.state->n_points + BLOCK - 1) / BLOCK;
    u32 firsts_before = 0, points_before = 0;
    for (u32 from = 0; from < n_blocks; from += SCAN_BLOCK) {
        u32 b = from + threadIdx.x, n_firsts, n_points;
        uint2 own = b < n_blocks ? p.block_sums[b] : make_uint2(0, 0);
        u32 firsts = firsts_before + block_scan(own.x, sums, n_firsts);
        u32 points = points_before + block_scan(own.y, sums, n_points);
        if (b < n_blocks) p.block_sums[b] = make_uint2(firsts, points);
        firsts_before += n_firsts;
        points_before += n_points;
    }
    if (threadIdx.x == 0) {
        p.state->n_claimed = firsts_before;
        p.state->n_pillars = min_u32(firsts_before, p.max_pillars);
    }
}

KERNEL(BLOCK) pillars_number(PillarsParams p) {
    __shared__ u32 sums[WARP + 1];
    u32 cell = claimed_by(p, blockIdx.x * BLOCK + threadIdx.x);
    u32 n_points = cell != NONE ? p.count[cell] : 0;
    uint2 before = p.block_sums[blockIdx.x];
    u32 total;
    u32 pillar = before.x + block_scan(cell != NONE, sums, total);
    u32 start = before.y + block_scan(n_points, sums, total);
    u32 n_full = 0, n_homeless = 0;
    if (cell != NONE) {
        p.claimed[pillar] = cell;
        if (pillar < p.max_pillars) {
            p.pillar_at[cell] = pillar;
            p.counts[pillar] = n_points;
            p.starts[pillar] = start;
            n_full = n_points > p.point_cap ? n_points - p.point_cap : 0;
        } else {
            n_homeless = n_points;
        }
    }
    n_full = warp_sum(n_full);
    n_homeless = warp_sum(n_homeless);
    if (threadIdx.x % WARP == 0) {
        if (n_full > 0) atomicAdd(&p.state->dropped_pillar_full, n_full);
        if (n_homeless > 0) atomicAdd(&p.state->dropped_no_pillar, n_homeless);
    }
}

KERNEL(BLOCK) pillars_fill(PillarsParams p) {
    u32 idx = blockIdx.x * BLOCK + threadIdx.x;
    if (idx >= p.state->n_points) return;
    u32 cell = p.cell_of[idx];
    if (cell == NONE) return;
    u32 pillar = p.pillar_at[cell];
    // The largest pillars are collected in order by pillars_sort.
    if (pillar == NONE || p.counts[pillar] > MAX_SORTED) return;
    p.members[p.starts[pillar] + atomicAdd(&p.filled[pillar], 1u)] = idx;
}

// One exchange of a bitonic network; the lanes of a pair agree on who keeps the smaller.
__device__ __forceinline__ u32 exchange(u32 value, u32 lane, u32 size, u32 stride) {
    u32 other = __shfl_xor_sync(ALL_LANES, value, stride);
    bool keeps_smaller = ((lane & stride) == 0) == ((lane & size) == 0);
    return (value < other) == keeps_smaller ? value : other;
}

// Sorts up to a warp of indices.
__device__ __forceinline__ void sort_small(u32* members, u32 n) {
    u32 lane = threadIdx.x % WARP;
    u32 value = lane < n ? members[lane] : NONE;
    for (u32 size = 2; size <= WARP; size *= 2)
        for (u32 stride = size / 2; stride > 0; stride /= 2) value = exchange(value, lane, size, stride);
    if (lane < n) members[lane] = value;
}

// Sorts up to MAX_SORTED indices by the whole block.
__device__ __forceinline__ void sort_shared(u32* members, u32 n, u32* shared) {
    u32 padded = 2 * WARP;
    while (padded < n) padded *= 2;
    for (u32 i = threadIdx.x; i < padded; i += BLOCK) shared[i] = i < n ? members[i] : NONE;
    __syncthreads();
    for (u32 size = 2; size <= padded; size *= 2) {
        for (u32 stride = size / 2; stride > 0; stride /= 2) {
            for (u32 pair = threadIdx.x; pair < padded / 2; pair += BLOCK) {
                u32 low = pair / stride * stride * 2 + pair % stride, high = low + stride;
                u32 a = shared[low], b = shared[high];
                if ((a > b) == ((low & size) == 0)) {
                    shared[low] = b;
                    shared[high] = a;
                }
            }
            __syncthreads();
        }
    }
    for (u32 i = threadIdx.x; i < n; i += BLOCK) members[i] = shared[i];
    __syncthreads();
}

// Collects the first `n` points of a cell by the whole block: walking the points costs the same
// however many of them are the cell's.
__device__ __forceinline__ void collect(const PillarsParams& p, u32 cell, u32* members, u32 n, u32* sums) {
    u32 n_points = p.state->n_points, n_found = 0;
    for (u32 from = p.first[cell]; from < n_points && n_found < n; from += BLOCK) {
        u32 idx = from + threadIdx.x, total;
        bool is_own = idx < n_points && p.cell_of[idx] == cell;
        u32 at = n_found + block_scan(is_own, sums, total);
        if (is_own && at < n) members[at] = idx;
        n_found += total;
    }
}

// A warp a pillar where a warp can hold it; then the block together, pillar by pillar.
KERNEL(BLOCK) pillars_sort(PillarsParams p) {
    __shared__ u32 shared[MAX_SORTED];
    __shared__ u32 sums[WARP + 1];
    u32 first = blockIdx.x * PILLARS_PER_BLOCK, n_pillars = p.state->n_pillars;
    u32 own = first + threadIdx.x / WARP;
    if (own < n_pillars && p.counts[own] <= WARP) sort_small(p.members + p.starts[own], p.counts[own]);
    for (u32 pillar = first; pillar < min_u32(first + PILLARS_PER_BLOCK, n_pillars); ++pillar) {
        u32 n = p.counts[pillar];
        u32* members = p.members + p.starts[pillar];
        if (n > MAX_SORTED) {
            collect(p, p.claimed[pillar], members, min_u32(n, p.point_cap), sums);
        } else if (n > WARP) {
            sort_shared(members, n, shared);
        }
    }
}

KERNEL(BLOCK) pillars_forget(PillarsParams p) {
    u32 idx = blockIdx.x * BLOCK + threadIdx.x;
    u32 n_pillars = p.state->n_pillars;
    if (idx == 0) *p.n_last = n_pillars;
    if (idx >= p.state->n_claimed) return;
    u32 cell = p.claimed[idx];
    p.first[cell] = NONE;
    p.count[cell] = 0;
    p.pillar_at[cell] = NONE;
    if (idx < n_pillars) {
        p.filled[idx] = 0;
        p.last_cells[idx] = cell;
    }
}
