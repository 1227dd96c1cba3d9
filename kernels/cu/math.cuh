// The functions that IEEE leaves open, operation by operation those of runtime/spec/src/math.rs: series
// in double precision, nothing fused, so that both give the same bits. A test compares the two.
#pragma once
#include "common.cuh"

__device__ __forceinline__ double as_double(u64 bits) { return __longlong_as_double((i64)bits); }

__device__ __forceinline__ bool is_negative(float value) { return as_bits(value) >> 31 != 0; }

// The nearest integer; halves go away from zero.
__device__ __forceinline__ int nearest(double v) { return (int)(v + (v < 0.0 ? -0.5 : 0.5)); }

// The polynomial of these coefficients, highest first.
template <u32 N>
__device__ __forceinline__ double horner(double x, const double (&coefficients)[N]) {
    double sum = coefficients[0];
#pragma unroll
    for (u32 i = 1; i < N; ++i) sum = sum * x + coefficients[i];
    return sum;
}

__device__ __forceinline__ float not_a_number() { return as_float(0x7fc00000u); }

// Before it is rounded.
__device__ __forceinline__ double exponential_double(float exponent) {
    if (exponent != exponent) return (double)not_a_number();
    double x = (double)exponent;
    if (x > 89.0) return (double)as_float(0x7f800000u);
    if (x < -104.0) return 0.0;
    int k = nearest(x * 1.4426950408889634);
    double r = (x - (double)k * 0.6931471805592082) - (double)k * 7.371002565167799e-13;
    const double series[] = {
        1.0 / 479001600.0,
        1.0 / 39916800.0,
        1.0 / 3628800.0,
        1.0 / 362880.0,
        1.0 / 40320.0,
        1.0 / 5040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    };
    return horner(r, series) * as_double((u64)(k + 1023) << 52);
}

__device__ __forceinline__ float exponential(float exponent) { return (float)exponential_double(exponent); }

__device__ __forceinline__ float sigmoid(float logit) { return 1.0f / (1.0f + exponential(-logit)); }

// Sine and cosine of an angle of at most 100 rad.
__device__ __forceinline__ void sine_cosine(double x, double& sine, double& cosine) {
    if (fabs(x) < 7e-9) {
        sine = x;
        cosine = 1.0;
        return;
    }
    int k = nearest(x * 0.6366197723675814);
    double n = (double)k;
    double far = x - n * 1.5707963267941523;
    double step = n * 7.443547480480255e-13;
    double near = far - step;
    double back = near - far;
    double lost = (far - (near - back)) - (step + back);
    double tail = n * 6.36831716351095e-25;
    double r = near - tail;
    double rest = ((near - r) - tail) + lost;
    const double odd[] = {
        1.0 / 355687428096000.0,
        -1.0 / 1307674368000.0,
        1.0 / 6227020800.0,
        -1.0 / 39916800.0,
        1.0 / 362880.0,
        -1.0 / 5040.0,
        1.0 / 120.0,
        -1.0 / 6.0,
    };
    const double even[] = {
        1.0 / 20922789888000.0,
        -1.0 / 87178291200.0,
        1.0 / 479001600.0,
        -1.0 / 3628800.0,
        1.0 / 40320.0,
        -1.0 / 720.0,
        1.0 / 24.0,
    };
    double z = r * r;
    double half = 0.5 * z;
    double s = r + (r * z * horner(z, odd) + rest * (1.0 - half));
    double base = 1.0 - half;
    double c = base + (((1.0 - base) - half) + (z * z * horner(z, even) - r * rest));
    // A quarter turn swaps the two; half a turn, and the quarter's swap, change signs.
    sine = k & 1 ? c : s;
    cosine = k & 1 ? s : c;
    if (k & 2) sine = -sine;
    if ((k + 1) & 2) cosine = -cosine;
}

// The angle of the point (x, y), before it is rounded.
__device__ __forceinline__ double arc_tangent_double(float y, float x) {
    if (y != y || x != x) return (double)not_a_number();
    double up = fabs((double)y), along = fabs((double)x);
    bool is_steep = up > along;
    double low = is_steep ? along : up, high = is_steep ? up : along;
    double t = low < high ? low / high : high > 0.0 ? 1.0 : 0.0;
    int eighth = nearest(t * 8.0);
    double c = (double)eighth * 0.125;
    double u = (t - c) / (1.0 + t * c);
    double z = u * u;
    const double series[] = {1.0 / 13.0, -1.0 / 11.0, 1.0 / 9.0, -1.0 / 7.0, 1.0 / 5.0, -1.0 / 3.0};
    const double of_eighths[] = {
        0.0,
        0.12435499454676144,
        0.24497866312686414,
        0.35877067027057225,
        0.4636476090008061,
        0.5585993153435624,
        0.6435011087932844,
        0.7188299996216245,
        0.7853981633974483,
    };
    // Chosen, not looked up: the table stays in registers.
    double turned = of_eighths[0];
#pragma unroll
    for (int i = 1; i < 9; ++i)
        if (i == eighth) turned = of_eighths[i];
    double angle = turned + (u + u * z * horner(z, series));
    if (is_steep) angle = 1.5707963267948966 - angle;
    if (is_negative(x)) angle = 3.141592653589793 - angle;
    return is_negative(y) ? -angle : angle;
}

__device__ __forceinline__ float arc_tangent(float y, float x) { return (float)arc_tangent_double(y, x); }

constexpr float PI = 3.14159274101257324f;

// The remainder of a heading beyond a turn by a turn: exact, with the heading's sign, as fmod has it.
__device__ __forceinline__ float turn_remainder(float yaw) {
    // A turn is TURN * 2^-21.
    constexpr u32 TURN = 0xc90fdb, TURN_EXPONENT = 129;
    u32 remainder = ((as_bits(yaw) & 0x7fffff) | 0x800000) % TURN;
    u32 n_doublings = (as_bits(yaw) >> 23 & 255) - TURN_EXPONENT;
    while (n_doublings > 0) {
        u32 n = min_u32(n_doublings, 8);
        remainder = (remainder << n) % TURN;
        n_doublings -= n;
    }
    float value = (float)remainder * 4.76837158203125e-7f;
    return is_negative(yaw) ? -value : value;
}

// A finite heading brought into (-pi, pi].
__device__ __forceinline__ float heading(float yaw) {
    if (fabsf(yaw) > 2.0f * PI) yaw = turn_remainder(yaw);
    for (int i = 0; i < 4; ++i) {
        if (yaw > PI) {
            yaw -= 2.0f * PI;
        } else if (yaw <= -PI) {
            yaw += 2.0f * PI;
        }
    }
    return yaw;
}
