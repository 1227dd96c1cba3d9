// The emulator seen from outside: a program that opens it as a driver and calls it.
//
//   host LIBRARY run KERNEL BLOCKS THREADS IN OUT N   runs a kernel of kernels.cu; prints its OUT words
//   host LIBRARY lazy | faults | stale | ranges | capture     prints what the calls answer
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

using Address = uint64_t;

static void* library;

template <class... Arguments>
int call(const char* name, Arguments... arguments) {
    auto function = (int (*)(Arguments...))dlsym(library, name);
    if (!function) {
        fprintf(stderr, "host: no function %s\n", name);
        exit(3);
    }
    return function(arguments...);
}

// A call that must work.
template <class... Arguments>
void need(const char* name, Arguments... arguments) {
    if (int code = call(name, arguments...)) {
        fprintf(stderr, "host: %s answers %d\n", name, code);
        exit(4);
    }
}

struct Params {
    Address in, out;
    uint32_t n;
};

static Address allocate(size_t n_bytes) {
    Address at = 0;
    need("cuMemAlloc_v2", &at, n_bytes);
    return at;
}

static int find(const char* kernel, size_t params_bytes, void** function, const char* in_ptx = nullptr) {
    std::string ptx = std::string(".version 8.0\n.target sm_89\n.visible .entry ") + (in_ptx ? in_ptx : kernel) +
                      "(\n.param .align 8 .b8 params[" + std::to_string(params_bytes) + "]\n)\n{ ret; }\n";
    void* module = nullptr;
    need("cuModuleLoadDataEx", &module, (const void*)ptx.c_str(), 0u, (int*)nullptr, (void**)nullptr);
    return call("cuModuleGetFunction", function, module, kernel);
}

static void launch(const char* kernel, unsigned n_blocks, unsigned n_threads, Params params, void* stream) {
    void* function = nullptr;
    if (int code = find(kernel, sizeof params, &function)) {
        fprintf(stderr, "host: no kernel %s: %d\n", kernel, code);
        exit(5);
    }
    void* all[] = {&params};
    need("cuLaunchKernel", function, n_blocks, 1u, 1u, n_threads, 1u, 1u, 0u, stream, (void**)all, (void**)nullptr);
}

static void* make_stream() {
    void* stream = nullptr;
    need("cuStreamCreate", &stream, 0u);
    return stream;
}

static void run(char** arguments) {
    const char* kernel = arguments[0];
    unsigned n[5];
    for (int i = 0; i < 5; ++i) n[i] = (unsigned)atoi(arguments[i + 1]);
    std::vector<uint32_t> in(n[2]), out(n[3]);
    for (uint32_t i = 0; i < in.size(); ++i) in[i] = (i + 1) * 2654435761u >> 8;
    Params params = {allocate(4 * in.size()), allocate(4 * out.size()), n[4]};
    void* stream = make_stream();
    need("cuMemcpyHtoDAsync_v2", params.in, (const void*)in.data(), 4 * in.size(), stream);
    need("cuMemsetD8Async", params.out, (unsigned char)0, 4 * out.size(), stream);
    launch(kernel, n[0], n[1], params, stream);
    need("cuMemcpyDtoHAsync_v2", (void*)out.data(), params.out, 4 * out.size(), stream);
    need("cuStreamSynchronize", stream);
    for (uint32_t word : out) printf("%u\n", word);
    need("cuMemFree_v2", params.in);
    need("cuMemFree_v2", params.out);
}

// What the host finds before it waits and after; it changes its source in between.
static void lazy() {
    Address at = allocate(4);
    void *stream = make_stream(), *event = nullptr;
    need("cuEventCreate", &event, 0u);
    uint32_t source = 1, found = 0;
    need("cuMemcpyHtoDAsync_v2", at, (const void*)&source, (size_t)4, stream);
    need("cuMemcpyDtoHAsync_v2", (void*)&found, at, (size_t)4, stream);
    need("cuEventRecord", event, stream);
    source = 2;
    int code = call("cuEventQuery", event);
    printf("%u %d\n", found, code);
    need("cuEventSynchronize", event);
    code = call("cuEventQuery", event);
    printf("%u %d\n", found, code);
}

static void faults() {
    Address at = 0;
    for (int i = 0; i < 3; ++i) printf("%d ", call("cuMemAlloc_v2", &at, (size_t)16));
    int n = 0;
    printf("%d ", call("cuStreamSynchronize", (void*)nullptr));
    printf("%d\n", call("cuDeviceGetCount", &n));
}

// Two captures one after the other, and what comes of each: begun, ended, a graph or none; then whether the
// stream can be waited for.
static void capture() {
    void* stream = make_stream();
    Address at = allocate(4);
    for (int i = 0; i < 2; ++i) {
        void *graph = nullptr, *executable = nullptr;
        printf("%d ", call("cuStreamBeginCapture_v2", stream, 1));
        need("cuMemsetD8Async", at, (unsigned char)i, (size_t)4, stream);
        int ended = call("cuStreamEndCapture", stream, &graph);
        printf("%d %d ", ended, graph != nullptr);
        if (!graph) continue;
        printf("%d ", call("cuGraphInstantiateWithFlags", &executable, graph, 0ull));
        need("cuGraphDestroy", graph);
    }
    printf("%d\n", call("cuStreamSynchronize", stream));
}

static void stale() {
    void* function = nullptr;
    printf("%d ", find("scan", sizeof(Params), &function));
    printf("%d ", find("scan", sizeof(Params) + 8, &function));
    printf("%d ", find("scan", sizeof(Params), &function, "scan_of_old"));
    printf("%d ", find("no_such_kernel", sizeof(Params), &function));
    void* module = nullptr;
    printf("%d\n", call("cuModuleLoadData", &module, (const void*)"no PTX"));
}

static void ranges() {
    Address at = allocate(64);
    uint8_t bytes[128] = {};
    void* none = nullptr;
    need("cuMemcpyDtoHAsync_v2", (void*)bytes, at, (size_t)64, none);
    need("cuStreamSynchronize", none);
    printf("%02x ", bytes[63]);
    printf("%d ", call("cuMemcpyHtoDAsync_v2", at + 1, (const void*)bytes, (size_t)64, none));
    printf("%d ", call("cuMemcpyDtoHAsync_v2", (void*)bytes, at - 1, (size_t)2, none));
    printf("%d ", call("cuMemcpyDtoHAsync_v2", (void*)bytes, at + 1, SIZE_MAX, none));
    printf("%d ", call("cuMemsetD8Async", at, (unsigned char)0, (size_t)65, none));
    printf("%d ", call("cuMemsetD32Async", at, 0u, (size_t)17, none));
    void* pinned = nullptr;
    need("cuMemHostAlloc", &pinned, (size_t)32, 0u);
    printf("%d ", call("cuMemcpyHtoDAsync_v2", at, (const void*)pinned, (size_t)33, none));
    printf("%d ", call("cuMemFreeHost", pinned));
    printf("%d ", call("cuMemFreeHost", pinned));
    printf("%d ", call("cuMemFree_v2", at));
    printf("%d\n", call("cuMemFree_v2", at));
}

int main(int, char** arguments) {
    library = dlopen(arguments[1], RTLD_NOW | RTLD_GLOBAL);
    if (!library || dlopen("libcuda.so", RTLD_NOW | RTLD_NOLOAD) != library) {
        fprintf(stderr, "host: %s\n", library ? "the library has another name" : dlerror());
        return 2;
    }
    std::string what = arguments[2];
    if (int code = call("cuInit", 0u)) {
        printf("cuInit %d\n", code);
        return 0;
    }
    if (what == "run") run(arguments + 3);
    else if (what == "lazy") lazy();
    else if (what == "faults") faults();
    else if (what == "stale") stale();
    else if (what == "capture") capture();
    else if (what == "ranges") ranges();
    else return 1;
}
