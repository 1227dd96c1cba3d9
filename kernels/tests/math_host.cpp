// Runs the functions of math.cuh on the CPU: records {function, a, b} from standard input, two words of
// answer each to standard output.
#include <cmath>
#include <cstdio>
#include <cstring>
#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(n)
struct Three {
    unsigned x;
};
static Three threadIdx, blockDim;
template <class T> T __shfl_xor_sync(unsigned, T v, int) { return v; }
template <class T> T __shfl_up_sync(unsigned, T v, int) { return v; }
static void __syncthreads() {}
template <class To, class From> To bits_of(From v) {
    static_assert(sizeof(To) == sizeof(From), "");
    To to;
    memcpy(&to, &v, sizeof to);
    return to;
}
static int __float_as_int(float v) { return bits_of<int>(v); }
static float __int_as_float(int v) { return bits_of<float>(v); }
static double __longlong_as_double(long long v) { return bits_of<double>(v); }
#include "math.cuh"

struct Record {
    u64 function, a, b;
};

int main() {
    Record r;
    while (fread(&r, sizeof r, 1, stdin) == 1) {
        u64 answer[2] = {0, 0};
        float a = as_float((u32)r.a), b = as_float((u32)r.b);
        double sine, cosine;
        switch (r.function) {
            case 0: 
                answer[0] = as_bits(exponential(a));
                answer[1] = bits_of<u64>(exponential_double(a));
                break;
            case 1: answer[0] = as_bits(sigmoid(a)); break;
            case 2: 
                answer[0] = as_bits(arc_tangent(a, b));
                answer[1] = bits_of<u64>(arc_tangent_double(a, b));
                break;
            case 3: answer[0] = as_bits(heading(a)); break;
            case 4:
                sine_cosine(as_double(r.a), sine, cosine);
                answer[0] = bits_of<u64>(sine);
                answer[1] = bits_of<u64>(cosine);
                break;
            default: return 1;
        }
        fwrite(answer, sizeof answer, 1, stdout);
    }
    return 0;
}
