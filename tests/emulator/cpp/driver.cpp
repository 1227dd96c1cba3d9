// A driver library without a device: memory is the host's, kernels are those of threads.cpp.
//
// It is called as the real one is. What the real one would answer to wrong arguments, it answers; what
// the real one would not notice (a range past the end of an allocation), it notices.
//
// switches.h lists what the environment may ask of it.
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "switches.h"
#include "threads.h"

#define API extern "C" __attribute__((visibility("default"))) int

namespace {

using Address = uint64_t;
using Work = std::function<void()>;

constexpr int INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_DEVICE = 101;
constexpr int INVALID_PTX = 218, INVALID_HANDLE = 400, ILLEGAL_STATE = 401, NOT_FOUND = 500, NOT_READY = 600;
constexpr int CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALID = 901, CAPTURE_IMPLICIT = 906, CAPTURED_EVENT = 907;
// Flags of cuda.h.
constexpr unsigned NON_BLOCKING = 1, RECORD_EXTERNAL = 1;
// What memory holds that nobody has written, and what it holds once it is given back.
constexpr int SPOILT = 0xcd, FREED = 0xdd;
constexpr size_t TOTAL_BYTES = 8ull << 30;

struct Stream {
    unsigned flags = 0;
    bool is_capturing = false;
    // Something was called that a capture does not survive.
    bool is_invalid = false;
    std::vector<Work> queue;
    std::thread::id capturer;
};

struct Event {
    double ms = 0;
    unsigned n_waiting = 0;
    bool is_recorded = false;
    // Recorded into a graph without the flag that makes it an event of its own.
    bool is_captured = false;
};

struct Graph {
    std::vector<Work> works;
};

struct Module {
    std::string ptx;
};

std::recursive_mutex the_lock;
std::map<Address, size_t> allocations, pinned;
Stream default_stream;
thread_local void* current_context = nullptr;

// Every function: one at a time, counted, with its fault.
#define ENTER(function)                                   \
    std::lock_guard<std::recursive_mutex> guard(the_lock); \
    if (int fault = enter(function)) return fault

// Whether a range lies in one of the blocks. Nothing that a caller passes can overflow.
bool is_inside(const std::map<Address, size_t>& blocks, Address at, size_t n_bytes) {
    auto next = blocks.upper_bound(at);
    if (next == blocks.begin()) return false;
    auto& [start, size] = *--next;
    return at - start <= size && n_bytes <= size - (at - start);
}

bool is_allocated(Address at, size_t n_bytes) { return is_inside(allocations, at, n_bytes); }

// A copy or fill of a graph comes when it is launched: its memory must be there still.
void need_memory(Address at, size_t n_bytes) {
    if (is_allocated(at, n_bytes)) return;
    fprintf(stderr, "emulator: work uses device memory that was given back\n");
    _exit(86);
}

// Memory of the host: where it starts in a pinned block, it ends there.
bool is_host(const void* at, size_t n_bytes) {
    return !is_inside(pinned, (Address)at, 0) || is_inside(pinned, (Address)at, n_bytes);
}

Stream& stream_of(void* handle) { return handle ? *(Stream*)handle : default_stream; }

void finish(Stream& stream) {
    std::vector<Work> works;
    works.swap(stream.queue);
    for (const Work& work : works) work();
}

// The order of all streams is that of the calls: nothing here runs side by side.
std::vector<Stream*> all_streams = {&default_stream};

void finish_all() {
    for (Stream* stream : all_streams)
        if (!stream->is_capturing) finish(*stream);
}

// The capture of this thread, if it is at one.
Stream* capture_here() {
    for (Stream* stream : all_streams)
        if (stream->is_capturing && stream->capturer == std::this_thread::get_id()) return stream;
    return nullptr;
}

// What no graph can hold, and what could wait for one: the capture is lost with the call.
int refuse_in_capture() {
    Stream* stream = capture_here();
    if (!stream) return SUCCESS;
    stream->is_invalid = true;
    ++counts["refused_in_capture"];
    return CAPTURE_UNSUPPORTED;
}

#define NOT_IN_CAPTURE() \
    if (int refused = refuse_in_capture()) return refused

int enqueue(void* handle, Work work) {
    static bool is_lazy = number("PILOTIS_EMULATOR_LAZY", 0) != 0;
    Stream& stream = stream_of(handle);
    Stream* capture = capture_here();
    if (!handle && capture && !(capture->flags & NON_BLOCKING)) {
        // The default stream waits for streams that do not say otherwise.
        capture->is_invalid = true;
        return CAPTURE_IMPLICIT;
    }
    if (stream.is_capturing && stream.is_invalid) return CAPTURE_INVALID;
    if (stream.is_capturing || is_lazy) stream.queue.push_back(std::move(work));
    else work();
    return SUCCESS;
}

double now_ms() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec * 1e-6;
}

// Whether the text has an entry of this name whose one parameter has this many bytes.
bool has_entry(const std::string& ptx, const Kernel& kernel) {
    size_t entry = ptx.find(std::string(".entry ") + kernel.name + "(");
    if (entry == std::string::npos) return false;
    size_t end = ptx.find(')', entry), open = ptx.find('[', entry);
    if (open == std::string::npos || open > end) return false;
    size_t n_bytes = strtoull(ptx.c_str() + open + 1, nullptr, 10);
    if (n_bytes == kernel.params_bytes) return true;
    fprintf(stderr, "emulator: `%s` takes %zu bytes in the PTX and %zu in the source\n", kernel.name, n_bytes,
            kernel.params_bytes);
    return false;
}

int allocate(Address* at, size_t n_bytes) {
    void* memory = nullptr;
    if (n_bytes == 0) return INVALID_VALUE;
    if (posix_memalign(&memory, 512, n_bytes) != 0) return OUT_OF_MEMORY;
    memset(memory, SPOILT, n_bytes);
    counts["bytes_allocated"] += n_bytes;
    allocations[(Address)memory] = n_bytes;
    *at = (Address)memory;
    return SUCCESS;
}

}  // namespace

// ---- The driver and its device.

API cuInit(unsigned) {
    ENTER("cuInit");
    return number("PILOTIS_EMULATOR_DEVICES", 1) > 0 ? SUCCESS : NO_DEVICE;
}

API cuDriverGetVersion(int* version) {
    ENTER("cuDriverGetVersion");
    *version = (int)number("PILOTIS_EMULATOR_VERSION", 12080);
    return SUCCESS;
}

API cuDeviceGetCount(int* n) {
    ENTER("cuDeviceGetCount");
    *n = (int)number("PILOTIS_EMULATOR_DEVICES", 1);
    return SUCCESS;
}

API cuDeviceGet(int* device, int ordinal) {
    ENTER("cuDeviceGet");
    if (ordinal < 0 || ordinal >= number("PILOTIS_EMULATOR_DEVICES", 1)) return INVALID_DEVICE;
    *device = ordinal;
    return SUCCESS;
}

API cuDeviceGetName(char* name, int n, int) {
    ENTER("cuDeviceGetName");
    snprintf(name, n, "Emulated device (host threads)");
    return SUCCESS;
}

API cuDeviceTotalMem_v2(size_t* n_bytes, int) {
    ENTER("cuDeviceTotalMem");
    *n_bytes = TOTAL_BYTES;
    return SUCCESS;
}

API cuDeviceGetAttribute(int* value, int attribute, int) {
    ENTER("cuDeviceGetAttribute");
    // Numbers of cuda.h; those of a laptop's RTX 4070.
    static const std::map<int, int> attributes = {
        {1, 1024},      // threads a block
        {10, 32},       // lanes a warp
        {13, 1500000},  // clock in kHz
        {16, 36},       // multiprocessors
        {36, 8001000},  // memory clock in kHz
        {37, 128},      // memory bus in bits
        {38, 33554432}, // level-two cache in bytes
        {75, 8},        // compute capability, major
        {76, 9},        // minor
        {115, 1},       // memory pools
    };
    auto found = attributes.find(attribute);
    *value = found == attributes.end() ? 0 : found->second;
    return SUCCESS;
}

API cuDevicePrimaryCtxRetain(void** context, int device) {
    ENTER("cuDevicePrimaryCtxRetain");
    *context = (void*)(uintptr_t)(0x1000 + device);
    return SUCCESS;
}

API cuDevicePrimaryCtxRelease_v2(int) {
    ENTER("cuDevicePrimaryCtxRelease");
    return SUCCESS;
}

API cuCtxSetCurrent(void* context) {
    ENTER("cuCtxSetCurrent");
    current_context = context;
    return SUCCESS;
}

API cuCtxGetCurrent(void** context) {
    ENTER("cuCtxGetCurrent");
    *context = current_context;
    return SUCCESS;
}

API cuCtxSynchronize() {
    ENTER("cuCtxSynchronize");
    NOT_IN_CAPTURE();
    finish_all();
    return SUCCESS;
}

// ---- Memory.

API cuMemGetInfo_v2(size_t* free_bytes, size_t* total_bytes) {
    ENTER("cuMemGetInfo");
    *free_bytes = (size_t)number("PILOTIS_EMULATOR_FREE_BYTES", 7ll << 30);
    *total_bytes = TOTAL_BYTES;
    return SUCCESS;
}

API cuMemAlloc_v2(Address* at, size_t n_bytes) {
    ENTER("cuMemAlloc");
    NOT_IN_CAPTURE();
    if (n_bytes > (size_t)number("PILOTIS_EMULATOR_FREE_BYTES", 7ll << 30)) return OUT_OF_MEMORY;
    return allocate(at, n_bytes);
}

API cuMemFree_v2(Address at) {
    ENTER("cuMemFree");
    NOT_IN_CAPTURE();
    auto found = allocations.find(at);
    if (found == allocations.end()) return INVALID_VALUE;
    finish_all();
    memset((void*)at, FREED, found->second);
    allocations.erase(found);
    free((void*)at);
    return SUCCESS;
}

API cuMemHostAlloc(void** at, size_t n_bytes, unsigned) {
    ENTER("cuMemHostAlloc");
    NOT_IN_CAPTURE();
    if (posix_memalign(at, 4096, n_bytes ? n_bytes : 1) != 0) return OUT_OF_MEMORY;
    memset(*at, SPOILT, n_bytes);
    pinned[(Address)*at] = n_bytes;
    return SUCCESS;
}

API cuMemFreeHost(void* at) {
    ENTER("cuMemFreeHost");
    NOT_IN_CAPTURE();
    auto found = pinned.find((Address)at);
    if (found == pinned.end()) return INVALID_VALUE;
    finish_all();
    memset(at, FREED, found->second);
    pinned.erase(found);
    free(at);
    return SUCCESS;
}

API cuMemcpyHtoDAsync_v2(Address to, const void* from, size_t n_bytes, void* stream) {
    ENTER("cuMemcpyHtoDAsync");
    if (!is_allocated(to, n_bytes) || !is_host(from, n_bytes)) return INVALID_VALUE;
    return enqueue(stream, [=] {
        need_memory(to, n_bytes);
        counts["bytes_to_device"] += n_bytes;
        memcpy((void*)to, from, n_bytes);
    });
}

API cuMemcpyDtoHAsync_v2(void* to, Address from, size_t n_bytes, void* stream) {
    ENTER("cuMemcpyDtoHAsync");
    if (!is_allocated(from, n_bytes) || !is_host(to, n_bytes)) return INVALID_VALUE;
    return enqueue(stream, [=] {
        need_memory(from, n_bytes);
        counts["bytes_to_host"] += n_bytes;
        memcpy(to, (const void*)from, n_bytes);
    });
}

API cuMemcpyDtoDAsync_v2(Address to, Address from, size_t n_bytes, void* stream) {
    ENTER("cuMemcpyDtoDAsync");
    if (!is_allocated(to, n_bytes) || !is_allocated(from, n_bytes)) return INVALID_VALUE;
    return enqueue(stream, [=] {
        need_memory(to, n_bytes);
        need_memory(from, n_bytes);
        counts["bytes_on_device"] += n_bytes;
        memcpy((void*)to, (const void*)from, n_bytes);
    });
}

API cuMemsetD8Async(Address at, unsigned char value, size_t n, void* stream) {
    ENTER("cuMemsetD8Async");
    if (!is_allocated(at, n)) return INVALID_VALUE;
    counts["bytes_set"] += n;
    return enqueue(stream, [=] { need_memory(at, n); memset((void*)at, value, n); });
}

API cuMemsetD32Async(Address at, unsigned value, size_t n, void* stream) {
    ENTER("cuMemsetD32Async");
    if (at % 4 != 0 || n > SIZE_MAX / 4 || !is_allocated(at, 4 * n)) return INVALID_VALUE;
    counts["bytes_set"] += 4 * n;
    return enqueue(stream, [=] {
        need_memory(at, 4 * n);
        for (size_t i = 0; i < n; ++i) ((unsigned*)at)[i] = value;
    });
}

// ---- Modules and launches.

API cuModuleLoadDataEx(void** module, const void* image, unsigned, int*, void**) {
    ENTER("cuModuleLoadData");
    NOT_IN_CAPTURE();
    const char* text = (const char*)image;
    if (!strstr(text, ".version") || !strstr(text, ".target")) return INVALID_PTX;
    *module = new Module{text};
    return SUCCESS;
}

API cuModuleLoadData(void** module, const void* image) {
    return cuModuleLoadDataEx(module, image, 0, nullptr, nullptr);
}

API cuModuleUnload(void* module) {
    ENTER("cuModuleUnload");
    NOT_IN_CAPTURE();
    delete (Module*)module;
    return SUCCESS;
}

API cuModuleGetFunction(void** function, void* module, const char* name) {
    ENTER("cuModuleGetFunction");
    const Kernel* kernel = find_kernel(name);
    if (!kernel || !has_entry(((Module*)module)->ptx, *kernel)) return NOT_FOUND;
    *function = (void*)kernel;
    return SUCCESS;
}

API cuFuncGetAttribute(int* value, int attribute, void*) {
    ENTER("cuFuncGetAttribute");
    *value = attribute == 0 ? 1024 : 0;
    return SUCCESS;
}

API cuLaunchKernel(void* function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                   unsigned block_y, unsigned block_z, unsigned, void* stream, void** params, void**) {
    ENTER("cuLaunchKernel");
    const Kernel& kernel = *(const Kernel*)function;
    bool is_flat = grid_y == 1 && grid_z == 1 && block_y == 1 && block_z == 1;
    if (!is_flat || grid_x == 0 || block_x == 0 || block_x > 1024) return INVALID_VALUE;
    ++counts[std::string("launches_of_") + kernel.name];
    if (getenv("PILOTIS_EMULATOR_SKIP_KERNELS")) return SUCCESS;
    // As the driver does: what the parameters are now is what the kernel gets.
    auto copied = std::make_shared<std::vector<char>>((char*)params[0], (char*)params[0] + kernel.params_bytes);
    return enqueue(stream, [=, &kernel] { run_grid(kernel, grid_x, block_x, copied->data()); });
}

// ---- Streams, events and graphs.

API cuStreamCreate(void** stream, unsigned flags) {
    ENTER("cuStreamCreate");
    all_streams.push_back(new Stream{flags});
    *stream = all_streams.back();
    return SUCCESS;
}

API cuStreamDestroy_v2(void* stream) {
    ENTER("cuStreamDestroy");
    finish(*(Stream*)stream);
    std::erase(all_streams, (Stream*)stream);
    delete (Stream*)stream;
    return SUCCESS;
}

API cuStreamSynchronize(void* stream) {
    ENTER("cuStreamSynchronize");
    if (stream_of(stream).is_capturing) {
        stream_of(stream).is_invalid = true;
        return CAPTURE_UNSUPPORTED;
    }
    finish(stream_of(stream));
    return SUCCESS;
}

API cuStreamBeginCapture_v2(void* handle, int) {
    ENTER("cuStreamBeginCapture");
    if (!handle) return INVALID_VALUE;
    Stream& stream = stream_of(handle);
    if (stream.is_capturing) return ILLEGAL_STATE;
    finish(stream);
    stream.is_capturing = true;
    stream.is_invalid = false;
    ++counts["captures_begun"];
    stream.capturer = std::this_thread::get_id();
    return SUCCESS;
}

API cuStreamEndCapture(void* handle, void** graph) {
    std::lock_guard<std::recursive_mutex> guard(the_lock);
    int fault = enter("cuStreamEndCapture");
    Stream& stream = stream_of(handle);
    if (!stream.is_capturing) return fault ? fault : ILLEGAL_STATE;
    // Whatever it answers, the driver ends the capture: a fault may not leave it open here either.
    stream.is_capturing = false;
    ++counts["captures_ended"];
    std::vector<Work> works;
    works.swap(stream.queue);
    *graph = nullptr;
    if (fault) return fault;
    if (stream.is_invalid) return CAPTURE_INVALID;
    counts["nodes_captured"] += works.size();
    ++counts["graphs_made"];
    *graph = new Graph{std::move(works)};
    return SUCCESS;
}

API cuGraphInstantiateWithFlags(void** executable, void* graph, unsigned long long) {
    ENTER("cuGraphInstantiate");
    *executable = new Graph(*(Graph*)graph);
    return SUCCESS;
}

API cuGraphLaunch(void* executable, void* stream) {
    ENTER("cuGraphLaunch");
    for (const Work& work : ((Graph*)executable)->works)
        if (int code = enqueue(stream, work)) return code;
    counts["nodes_launched"] += ((Graph*)executable)->works.size();
    return SUCCESS;
}

API cuGraphExecDestroy(void* executable) {
    ENTER("cuGraphExecDestroy");
    NOT_IN_CAPTURE();
    finish_all();
    delete (Graph*)executable;
    return SUCCESS;
}

API cuGraphDestroy(void* graph) {
    ENTER("cuGraphDestroy");
    delete (Graph*)graph;
    return SUCCESS;
}

API cuEventCreate(void** event, unsigned) {
    ENTER("cuEventCreate");
    *event = new Event;
    return SUCCESS;
}

API cuEventRecordWithFlags(void* handle, void* stream, unsigned flags) {
    ENTER("cuEventRecord");
    Event* event = (Event*)handle;
    bool is_external = flags & RECORD_EXTERNAL;
    if (!stream_of(stream).is_capturing) {
        if (is_external) return INVALID_VALUE;
        event->is_recorded = true;
        event->is_captured = false;
        ++event->n_waiting;
        return enqueue(stream, [=] {
            event->ms = now_ms();
            --event->n_waiting;
        });
    }
    if (is_external) {
        return enqueue(stream, [=] {
            event->ms = now_ms();
            event->is_recorded = true;
        });
    }
    // It stands for a place in the graph, which no clock knows.
    event->is_captured = true;
    return SUCCESS;
}

API cuEventRecord(void* handle, void* stream) { return cuEventRecordWithFlags(handle, stream, 0); }

API cuEventSynchronize(void* event) {
    ENTER("cuEventSynchronize");
    NOT_IN_CAPTURE();
    if (((Event*)event)->is_captured) return CAPTURED_EVENT;
    finish_all();
    return SUCCESS;
}

API cuEventQuery(void* event) {
    ENTER("cuEventQuery");
    NOT_IN_CAPTURE();
    if (((Event*)event)->is_captured) return CAPTURED_EVENT;
    return ((Event*)event)->n_waiting ? NOT_READY : SUCCESS;
}

API cuEventElapsedTime_v2(float* ms, void* start, void* end) {
    ENTER("cuEventElapsedTime");
    for (void* handle : {start, end}) {
        Event* event = (Event*)handle;
        if (!event->is_recorded || event->is_captured) return INVALID_HANDLE;
        if (event->n_waiting) return NOT_READY;
    }
    *ms = (float)(((Event*)end)->ms - ((Event*)start)->ms);
    return SUCCESS;
}

API cuEventElapsedTime(float* ms, void* start, void* end) { return cuEventElapsedTime_v2(ms, start, end); }

API cuEventDestroy_v2(void* event) {
    ENTER("cuEventDestroy");
    finish_all();
    delete (Event*)event;
    return SUCCESS;
}

API cuGetErrorName(int, const char** name) {
    *name = "CUDA_ERROR_EMULATED";
    return SUCCESS;
}

API cuGetErrorString(int, const char** text) {
    *text = "an error of the emulator";
    return SUCCESS;
}
