// The language of the kernels, on the CPU: what the compiler of CUDA C++ knows by itself.
//
// Every thread of a block is a fiber; they take turns on one thread of the machine, so a value that
// one writes the others see at once. What real threads would do differently, the order of turns shows:
// it is permuted by a seed.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
// Shared memory lies in a section of its own, so that it can be spoilt before every block. The flag
// -fsanitize-sections makes AddressSanitizer guard it there.
#define __shared__ static __attribute__((section("pilotis_shared")))

struct Dim3 {
    unsigned x = 1, y = 1, z = 1;
};

// One dimension is all that the kernels use.
extern thread_local Dim3 threadIdx, blockIdx, blockDim, gridDim;

struct float4 {
    float x, y, z, w;
} __attribute__((aligned(16)));

struct uint2 {
    unsigned x, y;
} __attribute__((aligned(8)));

inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }

// ---- Barriers and exchanges; see threads.cpp.

constexpr unsigned WARP_LANES = 32;

// Where a thread waits: threads that wait for each other must do so at the same place. The compiler
// may copy a call, so that its address would not tell; its line does.
struct Place {
    const char* file;
    int line;
};

void wait_for_block(Place place);
// Waits until the lanes of `mask` are here, and answers with what each of them gave.
const uint64_t* exchange_in_warp(Place place, unsigned mask, uint64_t value);
unsigned lane_of_thread();

#define HERE Place here = {__builtin_FILE(), __builtin_LINE()}

inline void __syncthreads(HERE) { wait_for_block(here); }
// Lanes may meet at different ones of these.
inline void __syncwarp(unsigned mask = 0xffffffffu) { exchange_in_warp({"a __syncwarp", 0}, mask, 0); }

template <class T>
T lane_value(const uint64_t* given, unsigned lane) {
    static_assert(sizeof(T) <= 8, "a lane gives at most eight bytes");
    T value;
    memcpy(&value, &given[lane], sizeof value);
    return value;
}

template <class T>
uint64_t as_given(T value) {
    uint64_t given = 0;
    memcpy(&given, &value, sizeof value);
    return given;
}

template <class T>
T __shfl_sync(unsigned mask, T value, unsigned lane, HERE) {
    return lane_value<T>(exchange_in_warp(here, mask, as_given(value)), lane % WARP_LANES);
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, unsigned bits, HERE) {
    return lane_value<T>(exchange_in_warp(here, mask, as_given(value)), lane_of_thread() ^ bits);
}

template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned n, HERE) {
    unsigned lane = lane_of_thread();
    return lane_value<T>(exchange_in_warp(here, mask, as_given(value)), lane >= n ? lane - n : lane);
}

template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned n, HERE) {
    unsigned lane = lane_of_thread();
    return lane_value<T>(exchange_in_warp(here, mask, as_given(value)), lane + n < WARP_LANES ? lane + n : lane);
}

inline unsigned __ballot_sync(unsigned mask, bool is_so, HERE) {
    const uint64_t* given = exchange_in_warp(here, mask, is_so);
    unsigned answer = 0;
    for (unsigned lane = 0; lane < WARP_LANES; ++lane)
        if (mask >> lane & 1) answer |= (unsigned)(given[lane] & 1) << lane;
    return answer;
}

// ---- Atomics: nobody else has a turn meanwhile.

template <class T>
T atomicAdd(T* at, T value) {
    T old = *at;
    *at = old + value;
    return old;
}

template <class T>
T atomicMin(T* at, T value) {
    T old = *at;
    if (value < old) *at = value;
    return old;
}

template <class T>
T atomicMax(T* at, T value) {
    T old = *at;
    if (value > old) *at = value;
    return old;
}

template <class T>
T atomicOr(T* at, T value) {
    T old = *at;
    *at = old | value;
    return old;
}

// ---- Bits and numbers.

template <class To, class From>
To bits_as(From from) {
    static_assert(sizeof(To) == sizeof(From), "the same bits");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}

inline float __int_as_float(int bits) { return bits_as<float>(bits); }
inline int __float_as_int(float value) { return bits_as<int>(value); }
inline double __longlong_as_double(long long bits) { return bits_as<double>(bits); }
inline long long __double_as_longlong(double value) { return bits_as<long long>(value); }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline int __popcll(unsigned long long bits) { return __builtin_popcountll(bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }
inline int __ffsll(long long bits) { return __builtin_ffsll(bits); }

// What stands in for `cvt.rn.f16.f32`.
inline unsigned short half_bits(float value) { return bits_as<unsigned short>((_Float16)value); }

// ---- The table of kernels.

using Call = void (*)(const void* params);

// Notes a kernel; called before `main` for every entry of every module.
struct Registration {
    Registration(const char* name, size_t params_bytes, Call call);
};
