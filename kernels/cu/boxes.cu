// Boxes: raw tensors in, the boxes of a frame out.
//
//   boxes_sweep    every logit that passes joins the list of its scope, in any order
//   boxes_select   the best of every list, best first; the lists are empty again
//   boxes_decode   those as boxes, and what their comparison needs
//   boxes_overlap  a matrix of bits: which box a better one would suppress
//   boxes_reduce   who is kept, from the best to the worst
//   boxes_merge    the kept of all scopes in one order
//
// Ranks are distinct, so their order does not depend on that of the lists. Nothing is cleared but the
// lengths of the lists.
#include "overlap.cuh"

constexpr u32 SWEEP_VALUES = 2048;
constexpr u32 SELECT_BLOCK = 1024;
constexpr u32 OVERLAP_BLOCK = 64;
constexpr u32 REDUCE_BLOCK = 256;
// Ranks that are sorted in shared memory together.
constexpr u32 SORT_TILE = 4096;
constexpr u32 N_DIGITS = 256;

struct BoxPlane {
    u32 tensor_idx;
    u32 channel;
    u32 first_flat_idx;
    u32 flat_step;
    u32 first_rival;
    u32 end_rival;
    u32 scope_idx;
};

struct BoxScope {
    u32 first_found;
    u32 class_in_group;
};

struct BoxGroup {
    u32 n_flat;
    u32 first_tensor;
    u32 first_class;
    u32 n_classes;
};

struct BoxClass {
    float size[3];
    float centre_z;
    float diagonal;
    u32 class_idx;
};

struct BoxDetection {
    float center[3];
    float size[3];
    float yaw;
    float velocity[2];
    float score;
    u32 class_idx;
};

struct BoxesParams {
    FrameState* state;
    const float* const* tensors;
    const BoxPlane* planes;
    const BoxScope* scopes;
    const BoxGroup* groups;
    const BoxClass* classes;
    u32* n_found;
    u64* found;
    u32* n_best;
    u64* best;
    BoxDetection* decoded;
    Rect* rects;
    float4* bounds;
    u32* alive;
    u64* overlaps;
    u32* n_kept;
    u32* kept;
    BoxDetection* detections;
    u32 n_scopes;
    u32 n_groups;
    u32 n_cells;
    u32 n_cols;
    u32 max_candidates;
    u32 max_sorted;
    u32 max_boxes;
    u32 n_words;
    float threshold;
    float iou;
    u32 is_centers;
    u32 has_velocity;
    u32 has_bins;
    u32 code_size;
    float direction_offset;
    float rotations[2];
    float rotation_sin[2];
    float rotation_cos[2];
    float min[2];
    float step[2];
    float center_min[3];
    float center_max[3];
};

// Greater is better: logit first, then the lower index. Adding zero makes -0 and 0 the tie that they are.
__device__ __forceinline__ u64 rank_of(float logit, u32 idx) {
    return (u64)to_ordered(logit + 0.0f) << 32 | (u32)~idx;
}

// Whether another class of the same anchor stands for it. NaN and infinity beat nobody.
__device__ __forceinline__ bool is_beaten(const BoxPlane& plane, const float* tensor, u32 n_cells, u32 cell,
                                          float logit) {
    for (u32 rival = plane.first_rival; rival < plane.end_rival; ++rival) {
        float other = tensor[(u64)rival * n_cells + cell];
        if (is_finite(other) && rank_of(other, rival) > rank_of(logit, plane.channel)) return true;
    }
    return false;
}

KERNEL(BLOCK) boxes_sweep(BoxesParams p) {
    constexpr u32 N_OWN = SWEEP_VALUES / BLOCK;
    u32 blocks_per_plane = (p.n_cells + SWEEP_VALUES - 1) / SWEEP_VALUES;
    const BoxPlane plane = p.planes[blockIdx.x / blocks_per_plane];
    const float* tensor = p.tensors[plane.tensor_idx];
    const float* values = tensor + (u64)plane.channel * p.n_cells;
    u64* found = p.found + p.scopes[plane.scope_idx].first_found;
    u32 first = blockIdx.x % blocks_per_plane * SWEEP_VALUES + threadIdx.x, lane = threadIdx.x % WARP;
    float own[N_OWN];
#pragma unroll
    for (u32 i = 0; i < N_OWN; ++i) own[i] = first + i * BLOCK < p.n_cells ? values[first + i * BLOCK] : 0.0f;
    bool is_broken = false;
#pragma unroll
    for (u32 i = 0; i < N_OWN; ++i) {
        u32 cell = first + i * BLOCK;
        is_broken |= !is_finite(own[i]);
        bool passes = cell < p.n_cells && own[i] >= p.threshold && is_finite(own[i]) &&
                      !is_beaten(plane, tensor, p.n_cells, cell, own[i]);
        u32 passing = __ballot_sync(ALL_LANES, passes);
        if (passing == 0) continue;
        u32 at = 0;
        if (lane == 0) at = atomicAdd(&p.n_found[plane.scope_idx], (u32)__popc(passing));
        at = __shfl_sync(ALL_LANES, at, 0) + __popc(passing & ((1u << lane) - 1));
        if (passes) found[at] = rank_of(own[i], plane.first_flat_idx + cell * plane.flat_step);
    }
    u32 broken = __ballot_sync(ALL_LANES, is_broken);
    if (lane == 0 && broken != 0) atomicOr(&p.state->head_not_finite, 1u);
}

// The least of the `n_wanted` greatest of more ranks, or what only those are not below: digit by digit
// from the highest. `shared` has two places, `sums` those of a scan.
__device__ __forceinline__ u64 floor_of(const u64* ranks, u32 n, u32 n_wanted, u32* bins, u32* sums, u32* shared) {
    u64 prefix = 0, mask = 0;
    for (u32 shift = 56;; shift -= 8) {
        for (u32 i = threadIdx.x; i < N_DIGITS; i += SELECT_BLOCK) bins[i] = 0;
        __syncthreads();
        for (u32 i = threadIdx.x; i < n; i += SELECT_BLOCK) {
            u64 rank = ranks[i];
            if ((rank & mask) == prefix) atomicAdd(&bins[rank >> shift & (N_DIGITS - 1)], 1u);
        }
        __syncthreads();
        // From the greatest digit down.
        u32 digit = N_DIGITS - 1 - threadIdx.x, total;
        u32 own = threadIdx.x < N_DIGITS ? bins[digit] : 0;
        u32 before = block_scan(own, sums, total);
        if (before < n_wanted && n_wanted <= before + own) {
            shared[0] = digit;
            shared[1] = before + own == n_wanted ? 0 : n_wanted - before;
        }
        __syncthreads();
        prefix |= (u64)shared[0] << shift;
        mask |= (u64)(N_DIGITS - 1) << shift;
        n_wanted = shared[1];
        // The whole digit is wanted: at the last one at the latest, since ranks are distinct.
        if (n_wanted == 0 || shift == 0) return prefix;
        __syncthreads();
    }
}

// One exchange of a bitonic network that sorts downwards.
__device__ __forceinline__ void exchange(u64* keys, u32 pair, u32 stride, u32 size, u32 first) {
    u32 low = pair / stride * stride * 2 + pair % stride, high = low + stride;
    u64 a = keys[low], b = keys[high];
    if ((a < b) == (((first + low) & size) == 0)) {
        keys[low] = b;
        keys[high] = a;
    }
}

// The steps of a network of `from` up to `to` that stay within a tile, in shared memory.
__device__ __forceinline__ void sort_tile(u64* keys, u32 first, u32 n, u32 from, u32 to, u64* tile) {
    for (u32 i = threadIdx.x; i < n; i += SELECT_BLOCK) tile[i] = keys[first + i];
    __syncthreads();
    for (u32 size = from; size <= to; size *= 2) {
        for (u32 stride = min_u32(size, n) / 2; stride > 0; stride /= 2) {
            for (u32 pair = threadIdx.x; pair < n / 2; pair += SELECT_BLOCK) exchange(tile, pair, stride, size, first);
            __syncthreads();
        }
    }
    for (u32 i = threadIdx.x; i < n; i += SELECT_BLOCK) keys[first + i] = tile[i];
    __syncthreads();
}

// Sorts a power of two of ranks downwards by the whole block.
__device__ __forceinline__ void sort_downwards(u64* keys, u32 n, u64* tile) {
    u32 n_tile = min_u32(n, SORT_TILE);
    for (u32 first = 0; first < n; first += n_tile) sort_tile(keys, first, n_tile, 2, n_tile, tile);
    for (u32 size = 2 * n_tile; size <= n; size *= 2) {
        for (u32 stride = size / 2; stride >= n_tile; stride /= 2) {
            for (u32 pair = threadIdx.x; pair < n / 2; pair += SELECT_BLOCK) exchange(keys, pair, stride, size, 0);
            __syncthreads();
        }
        for (u32 first = 0; first < n; first += n_tile) sort_tile(keys, first, n_tile, size, size, tile);
    }
}

// A block a scope.
KERNEL(SELECT_BLOCK) boxes_select(BoxesParams p) {
    __shared__ u64 tile[SORT_TILE];
    __shared__ u32 bins[N_DIGITS];
    __shared__ u32 sums[WARP + 1];
    __shared__ u32 shared[2];
    __shared__ u32 n_taken;
    u32 scope = blockIdx.x, n = p.n_found[scope], n_best = min_u32(n, p.max_candidates);
    const u64* found = p.found + p.scopes[scope].first_found;
    u64* best = p.best + (u64)scope * p.max_sorted;
    u64 floor = n > n_best ? floor_of(found, n, n_best, bins, sums, shared) : 0;
    if (threadIdx.x == 0) n_taken = 0;
    __syncthreads();
    for (u32 i = threadIdx.x; i < n; i += SELECT_BLOCK) {
        u64 rank = found[i];
        // In any order: it is sorted next.
        if (rank >= floor) best[n > n_best ? atomicAdd(&n_taken, 1u) : i] = rank;
    }
    u32 padded = 1;
    while (padded < n_best) padded *= 2;
    // Below every rank of a finite logit.
    for (u32 i = n_best + threadIdx.x; i < padded; i += SELECT_BLOCK) best[i] = 0;
    __syncthreads();
    if (n_best > 1) sort_downwards(best, padded, tile);
    if (threadIdx.x == 0) {
        p.n_best[scope] = n_best;
        p.n_found[scope] = 0;
        if (n > 0) atomicAdd(&p.state->n_candidates, n);
        if (n > n_best) atomicAdd(&p.state->dropped_candidates, n - n_best);
    }
}

// A tensor's value.
__device__ __forceinline__ float value(const BoxesParams& p, u32 tensor_idx, u32 channel, u32 cell) {
    return p.tensors[tensor_idx][(u64)channel * p.n_cells + cell];
}

// The class of the greatest finite logit; the lower of equal ones.
__device__ __forceinline__ u32 best_class(const BoxesParams& p, u32 tensor_idx, u32 first_channel, u32 n_classes,
                                          u32 cell) {
    u32 best = 0;
    float most = as_float(0xff800000u);
    for (u32 c = 0; c < n_classes; ++c) {
        float v = value(p, tensor_idx, first_channel + c, cell);
        if (is_finite(v) && v > most) {
            best = c;
            most = v;
        }
    }
    return best;
}

__device__ __forceinline__ BoxDetection decode_anchor(const BoxesParams& p, const BoxGroup& group, u32 at,
                                                      u32 class_in_group) {
    BoxDetection d;
    u32 n_anchors = 2 * group.n_classes, cell = at / n_anchors, anchor_idx = at % n_anchors;
    if (class_in_group == NONE)
        class_in_group = best_class(p, group.first_tensor, anchor_idx * group.n_classes, group.n_classes, cell);
    const BoxClass& anchor = p.classes[group.first_class + anchor_idx / 2];
    u32 rotation = anchor_idx % 2, residuals = group.first_tensor + 1, first = anchor_idx * p.code_size;
    float x = (float)(cell % p.n_cols) * p.step[0] + p.min[0];
    float y = (float)(cell / p.n_cols) * p.step[1] + p.min[1];
    d.center[0] = value(p, residuals, first, cell) * anchor.diagonal + x;
    d.center[1] = value(p, residuals, first + 1, cell) * anchor.diagonal + y;
    d.center[2] = value(p, residuals, first + 2, cell) * anchor.size[2] + anchor.centre_z;
    for (u32 k = 0; k < 3; ++k)
        d.size[k] = exponential(value(p, residuals, first + 3 + k, cell)) * anchor.size[k];
    u32 next;
    if (p.has_bins) {
        float one = value(p, group.first_tensor + 2, anchor_idx * 2, cell);
        float other = value(p, group.first_tensor + 2, anchor_idx * 2 + 1, cell);
        // A heading that nothing vouches for is no heading.
        float code = is_finite(one + other) ? value(p, residuals, first + 6, cell) : not_a_number();
        float turned = code + p.rotations[rotation] - p.direction_offset;
        float within = turned - floorf(turned / PI) * PI;
        d.yaw = within + p.direction_offset + PI * (other > one ? 1.0f : 0.0f);
        next = first + 7;
    } else {
        float cosine = value(p, residuals, first + 6, cell) + p.rotation_cos[rotation];
        float sine = value(p, residuals, first + 7, cell) + p.rotation_sin[rotation];
        d.yaw = arc_tangent(sine, cosine);
        next = first + 8;
    }
    for (u32 k = 0; k < 2; ++k) d.velocity[k] = p.has_velocity ? value(p, residuals, next + k, cell) : 0.0f;
    d.class_idx = p.classes[group.first_class + class_in_group].class_idx;
    return d;
}

__device__ __forceinline__ BoxDetection decode_center(const BoxesParams& p, const BoxGroup& task, u32 at) {
    BoxDetection d;
    u32 cell = at % p.n_cells, first = task.first_tensor;
    d.center[0] = ((float)(cell % p.n_cols) + value(p, first + 1, 0, cell)) * p.step[0] + p.min[0];
    d.center[1] = ((float)(cell / p.n_cols) + value(p, first + 1, 1, cell)) * p.step[1] + p.min[1];
    d.center[2] = value(p, first + 2, 0, cell);
    for (u32 k = 0; k < 3; ++k) d.size[k] = exponential(value(p, first + 3, k, cell));
    d.yaw = arc_tangent(value(p, first + 4, 1, cell), value(p, first + 4, 0, cell));
    for (u32 k = 0; k < 2; ++k) d.velocity[k] = p.has_velocity ? value(p, first + 5, k, cell) : 0.0f;
    d.class_idx = p.classes[task.first_class + at / p.n_cells].class_idx;
    return d;
}

__device__ __forceinline__ bool all_finite(const BoxDetection& d) {
    bool is_whole = is_finite(d.yaw) && is_finite(d.velocity[0]) && is_finite(d.velocity[1]);
    for (u32 k = 0; k < 3; ++k) is_whole = is_whole && is_finite(d.center[k]) && is_finite(d.size[k]);
    return is_whole;
}

// Bounds included.
__device__ __forceinline__ bool in_range(const BoxesParams& p, const BoxDetection& d) {
    bool is_in = true;
    for (u32 k = 0; k < 3; ++k) is_in = is_in && d.center[k] >= p.center_min[k] && d.center[k] <= p.center_max[k];
    return is_in;
}

// A thread a candidate. Those that are no boxes keep their place, and are not alive.
KERNEL(BLOCK) boxes_decode(BoxesParams p) {
    u32 blocks_per_scope = (p.max_candidates + BLOCK - 1) / BLOCK;
    u32 scope = blockIdx.x / blocks_per_scope, k = blockIdx.x % blocks_per_scope * BLOCK + threadIdx.x;
    u32 n = p.n_best[scope];
    if (k - threadIdx.x >= n) return;
    bool is_alive = false, is_broken = false;
    if (k < n) {
        u64 slot = (u64)scope * p.max_candidates + k, rank = p.best[(u64)scope * p.max_sorted + k];
        u32 at = ~(u32)rank, g = 0;
        while (g + 1 < p.n_groups && at >= p.groups[g].n_flat) at -= p.groups[g++].n_flat;
        BoxDetection d = p.is_centers ? decode_center(p, p.groups[g], at)
                                      : decode_anchor(p, p.groups[g], at, p.scopes[scope].class_in_group);
        is_broken = !all_finite(d);
        is_alive = !is_broken && (!p.is_centers || in_range(p, d));
        float4 bounds = no_bounds();
        if (is_alive) {
            d.yaw = heading(d.yaw);
            d.score = sigmoid(from_ordered((u32)(rank >> 32)));
            Rect rect = rect_of(d.center, d.size, d.yaw);
            bounds = bounds_of(rect);
            p.decoded[slot] = d;
            p.rects[slot] = rect;
        }
        p.bounds[slot] = bounds;
    }
    u32 alive = __ballot_sync(ALL_LANES, is_alive), broken = __ballot_sync(ALL_LANES, is_broken);
    if (threadIdx.x % WARP != 0) return;
    if (k / WARP < 2 * p.n_words) p.alive[(u64)scope * 2 * p.n_words + k / WARP] = alive;
    if (broken != 0) atomicOr(&p.state->head_not_finite, 1u);
}

// A thread a row of a tile of 64 by 64, on the diagonal and above it. The blocks of a scope share its tiles.
KERNEL(OVERLAP_BLOCK) boxes_overlap(BoxesParams p) {
    __shared__ float4 columns[OVERLAP_BLOCK];
    u32 blocks_per_scope = gridDim.x / p.n_scopes, scope = blockIdx.x / blocks_per_scope;
    u32 n = p.n_best[scope], n_tiles = (n + OVERLAP_BLOCK - 1) / OVERLAP_BLOCK;
    const float4* bounds = p.bounds + (u64)scope * p.max_candidates;
    const Rect* rects = p.rects + (u64)scope * p.max_candidates;
    double iou = (double)p.iou;
    for (u32 tile = blockIdx.x % blocks_per_scope; tile < n_tiles * n_tiles; tile += blocks_per_scope) {
        u32 row_tile = tile / n_tiles, column_tile = tile % n_tiles;
        if (column_tile < row_tile) continue;
        u32 row = row_tile * OVERLAP_BLOCK + threadIdx.x, first = column_tile * OVERLAP_BLOCK;
        __syncthreads();
        columns[threadIdx.x] = first + threadIdx.x < n ? bounds[first + threadIdx.x] : no_bounds();
        __syncthreads();
        if (row >= n) continue;
        float4 own = bounds[row];
        u64 word = 0;
        for (u32 c = 0; c < OVERLAP_BLOCK; ++c) {
            if (first + c <= row || are_apart(own, columns[c])) continue;
            if (overlaps_above(rects[row], rects[first + c], iou)) word |= 1ull << c;
        }
        p.overlaps[((u64)scope * p.n_words * OVERLAP_BLOCK + row) * p.n_words + column_tile] = word;
    }
}

// A block a scope, a thread a word of 64 boxes. Word after word the first thread decides, and the others
// strike out what those kept suppress.
KERNEL(REDUCE_BLOCK) boxes_reduce(BoxesParams p) {
    __shared__ u64 own_word[OVERLAP_BLOCK];
    __shared__ u64 struck, chosen;
    u32 scope = blockIdx.x, n = p.n_best[scope], n_words = (n + OVERLAP_BLOCK - 1) / OVERLAP_BLOCK;
    const u64* rows = p.overlaps + (u64)scope * p.n_words * OVERLAP_BLOCK * p.n_words;
    const u32* alive = p.alive + (u64)scope * 2 * p.n_words;
    u64 own_struck = 0;
    u32 n_kept = 0, n_suppressed = 0, n_dropped = 0;
    for (u32 w = 0; w < n_words; ++w) {
        u32 first = w * OVERLAP_BLOCK;
        if (threadIdx.x == w) struck = own_struck;
        if (threadIdx.x < OVERLAP_BLOCK && first + threadIdx.x < n)
            own_word[threadIdx.x] = rows[(u64)(first + threadIdx.x) * p.n_words + w];
        __syncthreads();
        if (threadIdx.x == 0) {
            u64 all = alive[2 * w] | (u64)alive[2 * w + 1] << 32, left = all & ~struck, taken = 0;
            n_suppressed += __popcll(all & struck);
            while (left != 0 && n_kept < p.max_boxes) {
                u32 k = __ffsll((i64)left) - 1;
                taken |= 1ull << k;
                left &= ~(1ull << k);
                n_suppressed += __popcll(left & own_word[k]);
                left &= ~own_word[k];
                p.kept[scope * p.max_boxes + n_kept++] = first + k;
            }
            n_dropped += __popcll(left);
            chosen = taken;
        }
        __syncthreads();
        if (threadIdx.x > w && threadIdx.x < n_words) {
            for (u64 taken = chosen; taken != 0; taken &= taken - 1)
                own_struck |= rows[(u64)(first + __ffsll((i64)taken) - 1) * p.n_words + threadIdx.x];
        }
    }
    if (threadIdx.x == 0) {
        p.n_kept[scope] = n_kept;
        if (n_kept > 0) atomicAdd(&p.state->n_boxes, n_kept);
        if (n_suppressed > 0) atomicAdd(&p.state->n_suppressed, n_suppressed);
        if (n_dropped > 0) atomicAdd(&p.state->dropped_boxes, n_dropped);
    }
}

// A number that sorts like the logit of a kept box.
__device__ __forceinline__ u32 kept_logit(const BoxesParams& p, u32 scope, u32 at) {
    return (u32)(p.best[(u64)scope * p.max_sorted + p.kept[scope * p.max_boxes + at]] >> 32);
}

// A thread a kept box: its place is the number of those before it. Greater logits are first, then lower
// scopes, then lower flat indices.
KERNEL(BLOCK) boxes_merge(BoxesParams p) {
    u32 idx = blockIdx.x * BLOCK + threadIdx.x, scope = idx / p.max_boxes, at = idx % p.max_boxes;
    if (scope >= p.n_scopes || at >= p.n_kept[scope]) return;
    u32 own = kept_logit(p, scope, at), place = at;
    for (u32 other = 0; other < p.n_scopes; ++other) {
        if (other == scope) continue;
        u32 low = 0, high = p.n_kept[other];
        while (low < high) {
            u32 middle = (low + high) / 2, logit = kept_logit(p, other, middle);
            if (logit > own || (logit == own && other < scope)) low = middle + 1; else high = middle;
        }
        place += low;
    }
    p.detections[place] = p.decoded[(u64)scope * p.max_candidates + p.kept[scope * p.max_boxes + at]];
}
