// Overlap of boxes seen from above, operation by operation that of runtime/engine/src/boxes/iou.rs.
#pragma once
#include "math.cuh"

constexpr double TOUCHING = 1e-12;

// A footprint, prepared once for many comparisons. All its numbers are finite.
struct Rect {
    double center[2];
    double half[2];
    double cos;
    double sin;
    double area;
    double min[2];
    double max[2];
};

__device__ __forceinline__ Rect rect_of(const float* center, const float* size, float yaw) {
    Rect r;
    sine_cosine((double)yaw, r.sin, r.cos);
    for (u32 k = 0; k < 2; ++k) {
        r.center[k] = (double)center[k];
        r.half[k] = fmax((double)size[k], 0.0) / 2.0;
    }
    double c = fabs(r.cos), s = fabs(r.sin);
    double reach[2] = {r.half[0] * c + r.half[1] * s, r.half[0] * s + r.half[1] * c};
    r.area = 4.0 * r.half[0] * r.half[1];
    for (u32 k = 0; k < 2; ++k) {
        r.min[k] = r.center[k] - reach[k];
        r.max[k] = r.center[k] + reach[k];
    }
    return r;
}

// Bounds in single precision, not inside of the exact ones: lower corner, then upper.
__device__ __forceinline__ float4 bounds_of(const Rect& r) {
    // To the next number outwards from the nearest. Beyond infinity stands NaN, which separates nothing.
    return make_float4(from_ordered(to_ordered((float)r.min[0]) - 1), from_ordered(to_ordered((float)r.min[1]) - 1),
                       from_ordered(to_ordered((float)r.max[0]) + 1), from_ordered(to_ordered((float)r.max[1]) + 1));
}

// Bounds that every box is apart from.
__device__ __forceinline__ float4 no_bounds() {
    float far = as_float(0x7f800000u);
    return make_float4(far, far, -far, -far);
}

// Whether bounds prove that two boxes share nothing.
__device__ __forceinline__ bool are_apart(const float4& a, const float4& b) {
    return a.z <= b.x || b.z <= a.x || a.w <= b.y || b.w <= a.y;
}

__device__ __forceinline__ double cut(double v, double low, double high) { return fmin(fmax(v, low), high); }

// The integral of clamp(y, -half_y, half_y) dx along an edge, for x in -half_x..=half_x.
__device__ __forceinline__ double under_edge(const double* half, double from_x, double from_y, double to_x,
                                             double to_y) {
    double x0 = cut(from_x, -half[0], half[0]), x1 = cut(to_x, -half[0], half[0]);
    double width = x1 - x0;
    if (width == 0.0) return 0.0;
    double slope = (to_y - from_y) / (to_x - from_x);
    double y0 = from_y + (x0 - from_x) * slope, y1 = to_y + (x1 - to_x) * slope;
    double low = fmin(y0, y1), high = fmax(y0, y1);
    double cut_low = cut(low, -half[1], half[1]), cut_high = cut(high, -half[1], half[1]);
    double rise = high - low;
    double mean = cut_low;
    if (rise > 0.0) {
        double below = cut(-half[1], low, high) - low;
        double above = high - cut(half[1], low, high);
        double middle = (cut_high - cut_low) * 0.5 * (cut_high + cut_low);
        mean = (half[1] * (above - below) + middle) / rise;
    }
    return mean * width;
}

// Area of the overlap of a centred box with an axis-aligned one; negative if they touch at most.
__device__ __forceinline__ double shared_bound(const double* half, double at_x, double at_y, double reach_x,
                                               double reach_y) {
    double x = fmin(half[0], at_x + reach_x) - fmax(-half[0], at_x - reach_x);
    double y = fmin(half[1], at_y + reach_y) - fmax(-half[1], at_y - reach_y);
    bool meets = x > TOUCHING * (half[0] + reach_x) && y > TOUCHING * (half[1] + reach_y);
    return meets ? x * y : -1.0;
}

__device__ __forceinline__ double iou_of(const Rect& a, const Rect& b, double intersection) {
    double all = a.area + b.area - intersection;
    return all > 0.0 ? intersection / all : 0.0;
}

// Whether the intersection over union of two footprints is above a threshold.
__device__ __forceinline__ bool overlaps_above(const Rect& a, const Rect& b, double iou) {
    bool is_near = a.min[0] < b.max[0] && b.min[0] < a.max[0] && a.min[1] < b.max[1] && b.min[1] < a.max[1];
    if (!is_near) return false;
    double dx = b.center[0] - a.center[0], dy = b.center[1] - a.center[1];
    double cosine = a.cos * b.cos + a.sin * b.sin;
    double sine = a.cos * b.sin - a.sin * b.cos;
    double c = fabs(cosine), s = fabs(sine);
    double x = dx * a.cos + dy * a.sin, y = dy * a.cos - dx * a.sin;
    double bound_a = shared_bound(a.half, x, y, b.half[0] * c + b.half[1] * s, b.half[0] * s + b.half[1] * c);
    if (bound_a < 0.0) return false;
    double bound_b = shared_bound(b.half, dx * b.cos + dy * b.sin, dy * b.cos - dx * b.sin,
                                  a.half[0] * c + a.half[1] * s, a.half[0] * s + a.half[1] * c);
    if (bound_b < 0.0) return false;
    double bound = fmin(fmin(fmin(bound_a, bound_b), a.area), b.area);
    if (!(iou_of(a, b, bound) > iou)) return false;
    double ux = b.half[0] * cosine, uy = b.half[0] * sine;
    double vx = -b.half[1] * sine, vy = b.half[1] * cosine;
    double x0 = x + ux + vx, y0 = y + uy + vy;
    double x1 = x - ux + vx, y1 = y - uy + vy;
    double x2 = x - ux - vx, y2 = y - uy - vy;
    double x3 = x + ux - vx, y3 = y + uy - vy;
    double first = under_edge(a.half, x0, y0, x1, y1) + under_edge(a.half, x2, y2, x3, y3);
    double second = under_edge(a.half, x1, y1, x2, y2) + under_edge(a.half, x3, y3, x0, y0);
    double area = -(first + second);
    area = area < 0.0 ? 0.0 : area > bound ? bound : area;
    return iou_of(a, b, area) > iou;
}
