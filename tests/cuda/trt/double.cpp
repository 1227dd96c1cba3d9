// A double of TensorRT's C++ side: the functions of shim.h, over the emulator's device memory. It computes nothing:
// a run copies recorded tensors to where the outputs were bound, by the stream that it was given. What it watches is
// what a real library would answer with a crash: order of freeing, memory that was not bound, a stream of nobody.
//
// Switches of the environment:
//   PILOTIS_DOUBLE_BORDER=FILE   a line a tensor: `in|out NAME ELEMENT DIM DIM DIM DIM`
//   PILOTIS_DOUBLE_VALUES=FILE   `f32` of all outputs, one after the other
//   PILOTIS_DOUBLE_LOG=FILE      what was called, a line a call
//   PILOTIS_DOUBLE_SEEN=FILE     the canvas of the last run, written when its context goes
//   PILOTIS_DOUBLE_FAULT=F:N     function F fails at its N-th call and ever after
//   PILOTIS_DOUBLE_PLAIN=1       no stream can be captured
#include <dlfcn.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include "shim.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

using Address = uint64_t;
constexpr int64_t WORKSPACE_BYTES = 1000 * 256;
const char MAGIC[] = "PLAN OF A DOUBLE";

std::mutex the_lock;
std::map<std::string, int> calls;
pt_log the_log = nullptr;
void* the_user = nullptr;

[[noreturn]] void wrong(const std::string& what) {
    fprintf(stderr, "double: %s\n", what.c_str());
    _exit(87);
}

const char* variable(const char* name) {
    const char* value = getenv(name);
    return value && *value ? value : nullptr;
}

// Notes a call; whether it is to fail.
bool enter(const char* function, const std::string& more = "") {
    std::lock_guard<std::mutex> guard(the_lock);
    int n = ++calls[function];
    if (const char* path = variable("PILOTIS_DOUBLE_LOG"))
        std::ofstream(path, std::ios::app) << function << (more.empty() ? "" : " ") << more << "\n";
    const char* fault = variable("PILOTIS_DOUBLE_FAULT");
    if (!fault) return false;
    std::string asked = fault;
    size_t colon = asked.find(':');
    bool fails = asked.substr(0, colon) == function && n >= atoi(asked.c_str() + colon + 1);
    if (fails && the_log) the_log(the_user, 1, (std::string("the double was told to fail in ") + function).c_str());
    return fails;
}

int32_t fail(pt_error error, pt_code code, const std::string& text) {
    if (error.capacity) snprintf(error.text, error.capacity, "%s", text.c_str());
    return code;
}

// A function of the emulator, which every library of the process sees.
template <class... Arguments>
void driver(const char* name, Arguments... arguments) {
    auto function = (int (*)(Arguments...))dlsym(RTLD_DEFAULT, name);
    if (!function) wrong(std::string("there is no ") + name);
    if (int code = function(arguments...)) wrong(std::string(name) + " answers " + std::to_string(code));
}

// Gives memory back; a card that is lost takes nothing.
void give_back(Address at) {
    auto function = (int (*)(Address))dlsym(RTLD_DEFAULT, "cuMemFree_v2");
    if (int code = function(at); code && code < 700) wrong("memory is given back twice");
}

// A call must find a device current in its thread, unless the card is lost.
void need_context() {
    void* context = nullptr;
    auto function = (int (*)(void**))dlsym(RTLD_DEFAULT, "cuCtxGetCurrent");
    if (function(&context) < 700 && !context) wrong("no device is current in this thread");
}

struct Tensor {
    std::string name;
    bool is_input = false;
    int32_t element = 0;
    std::vector<int64_t> dims;
    Address recorded = 0;

    size_t bytes() const {
        size_t n = element == 1 ? 2 : 4;
        for (int64_t d : dims) n *= (size_t)d;
        return n;
    }
};

}  // namespace

struct pt_library {};
struct pt_plan {
    std::string bytes;
};
struct pt_runtime {
    int n_engines = 0;
};
struct pt_engine {
    pt_runtime* runtime;
    std::vector<Tensor> tensors;
    int n_users = 0;
    std::string said;
};
struct pt_cache {
    pt_engine* engine;
    std::string bytes;
};
struct pt_context {
    pt_engine* engine;
    std::map<std::string, Address> bound;
    Address workspace = 0;
    Address seen = 0;
};

EXPORT void pt_describe(pt_about* about) { *about = pt_about{"rtx", PILOTIS_TRT_ABI, 10701, 7}; }

EXPORT int32_t pt_library_open(const char*, const char*, pt_log log, void* user, pt_library** out, pt_error error) {
    the_log = log;
    the_user = user;
    if (enter("library_open")) return fail(error, PT_LIBRARY, "told to fail");
    *out = new pt_library;
    return PT_OK;
}

EXPORT int32_t pt_library_version(const pt_library*) { return 10701; }

EXPORT int32_t pt_build(const pt_library*, const void* onnx, size_t n, const pt_build_options* options, pt_plan** out,
                        pt_error error) {
    if (enter("build")) return fail(error, PT_BUILD, "told to fail");
    uint64_t hash = 14695981039346656037ull;
    for (size_t i = 0; i < n; ++i) hash = (hash ^ ((const unsigned char*)onnx)[i]) * 1099511628211ull;
    std::ostringstream text;
    text << MAGIC << " format " << options->input_format << " tf32 " << options->allow_tf32 << " onnx " << hash << " for";
    for (int i = 0; i < options->n_compute_capabilities; ++i) text << " " << options->compute_capabilities[i];
    *out = new pt_plan{text.str()};
    return PT_OK;
}

EXPORT const void* pt_plan_bytes(const pt_plan* plan, size_t* n) {
    *n = plan->bytes.size();
    return plan->bytes.data();
}

EXPORT void pt_plan_free(pt_plan* plan) { delete plan; }

EXPORT int32_t pt_runtime_new(const pt_library*, pt_runtime** out, pt_error error) {
    if (enter("runtime_new")) return fail(error, PT_LIBRARY, "told to fail");
    *out = new pt_runtime;
    return PT_OK;
}

EXPORT void pt_runtime_free(pt_runtime* runtime) {
    enter("runtime_free");
    if (runtime->n_engines) wrong("a runtime is freed before its engine");
    delete runtime;
}

EXPORT int32_t pt_engine_load(pt_runtime* runtime, const void* plan, size_t n, pt_engine** out, pt_error error) {
    need_context();
    std::string text((const char*)plan, n);
    if (enter("engine_load", text) || text.rfind(MAGIC, 0) != 0) return fail(error, PT_PLAN, "no plan of a double");
    auto engine = new pt_engine{runtime, {}, 0, ""};
    std::ifstream border(variable("PILOTIS_DOUBLE_BORDER")), values(variable("PILOTIS_DOUBLE_VALUES"), std::ios::binary);
    for (std::string line, way; std::getline(border, line);) {
        std::istringstream words(line);
        Tensor tensor;
        words >> way >> tensor.name >> tensor.element;
        tensor.is_input = way == "in";
        for (int64_t dim; words >> dim;) tensor.dims.push_back(dim);
        if (!tensor.is_input) {
            // The emulator's device memory is the host's.
            driver("cuMemAlloc_v2", &tensor.recorded, tensor.bytes());
            if (!values.read((char*)tensor.recorded, tensor.bytes())) wrong("too few values were recorded");
        }
        engine->tensors.push_back(tensor);
    }
    ++runtime->n_engines;
    *out = engine;
    return PT_OK;
}

EXPORT void pt_engine_free(pt_engine* engine) {
    need_context();
    enter("engine_free");
    if (engine->n_users) wrong("an engine is freed before its context or cache");
    for (const Tensor& tensor : engine->tensors)
        if (tensor.recorded) give_back(tensor.recorded);
    --engine->runtime->n_engines;
    delete engine;
}

EXPORT int64_t pt_engine_workspace_bytes(const pt_engine*) { return WORKSPACE_BYTES; }
EXPORT int32_t pt_engine_n_tensors(const pt_engine* engine) { return (int32_t)engine->tensors.size(); }

EXPORT int32_t pt_engine_tensor(const pt_engine* engine, int32_t idx, pt_tensor* out, pt_error) {
    const Tensor& tensor = engine->tensors.at((size_t)idx);
    *out = pt_tensor{tensor.name.c_str(), tensor.is_input, tensor.element, (int32_t)tensor.dims.size(), {}, (int64_t)tensor.bytes(), 0};
    for (size_t i = 0; i < tensor.dims.size(); ++i) out->dims[i] = tensor.dims[i];
    return PT_OK;
}

EXPORT int32_t pt_engine_inspect(pt_engine* engine, const char** json, pt_error error) {
    if (enter("engine_inspect")) return fail(error, PT_INTERNAL, "told to fail");
    engine->said = "{\"layers\": " + std::to_string(engine->tensors.size()) + "}";
    *json = engine->said.c_str();
    return PT_OK;
}

EXPORT int32_t pt_cache_new(pt_engine* engine, const void* bytes, size_t n, pt_cache** out, pt_error error) {
    if (enter("cache_new", std::to_string(n))) return fail(error, PT_INTERNAL, "told to fail");
    ++engine->n_users;
    *out = new pt_cache{engine, std::string((const char*)bytes, n)};
    return PT_OK;
}

EXPORT int32_t pt_cache_bytes(const pt_cache*, pt_plan** out, pt_error error) {
    if (enter("cache_bytes")) return fail(error, PT_INTERNAL, "told to fail");
    *out = new pt_plan{"compiled kernels"};
    return PT_OK;
}

EXPORT void pt_cache_free(pt_cache* cache) {
    enter("cache_free");
    --cache->engine->n_users;
    delete cache;
}

EXPORT int32_t pt_context_new(pt_engine* engine, const pt_cache* cache, pt_context** out, pt_error error) {
    need_context();
    if (enter("context_new", cache ? "with a cache" : "")) return fail(error, PT_INTERNAL, "told to fail");
    ++engine->n_users;
    auto context = new pt_context{engine, {}, 0, 0};
    for (const Tensor& tensor : engine->tensors)
        if (tensor.is_input) driver("cuMemAlloc_v2", &context->seen, tensor.bytes());
    *out = context;
    return PT_OK;
}

EXPORT int32_t pt_context_bind_workspace(pt_context* context, void* memory, int64_t bytes, pt_error error) {
    if (enter("bind_workspace") || bytes < WORKSPACE_BYTES) return fail(error, PT_ARGUMENT, "too little to work in");
    context->workspace = (Address)memory;
    return PT_OK;
}

EXPORT int32_t pt_context_bind_tensor(pt_context* context, const char* name, void* memory, pt_error error) {
    if (enter("bind_tensor", name)) return fail(error, PT_ARGUMENT, "told to fail");
    for (const Tensor& tensor : context->engine->tensors)
        if (tensor.name == name) {
            context->bound[name] = (Address)memory;
            return PT_OK;
        }
    return fail(error, PT_ARGUMENT, "no such tensor");
}

EXPORT int32_t pt_context_is_capturable(const pt_context*, void* stream) {
    if (!stream) wrong("no stream is asked about");
    return variable("PILOTIS_DOUBLE_PLAIN") ? 0 : 1;
}

EXPORT int32_t pt_context_enqueue(pt_context* context, void* stream) {
    need_context();
    if (!stream) wrong("a network is enqueued on the stream of nobody");
    if (enter("enqueue")) return PT_RUN;
    if (!context->workspace || context->workspace % 256) wrong("the workspace is not bound, or not at a multiple of 256");
    // What lies in the workspace is gone with every run.
    driver("cuMemsetD8Async", context->workspace, (unsigned char)0xab, (size_t)WORKSPACE_BYTES, stream);
    for (const Tensor& tensor : context->engine->tensors) {
        auto found = context->bound.find(tensor.name);
        if (found == context->bound.end() || found->second % 256) wrong(tensor.name + " is not bound, or not at a multiple of 256");
        if (tensor.is_input) driver("cuMemcpyDtoDAsync_v2", context->seen, found->second, tensor.bytes(), stream);
        else driver("cuMemcpyDtoDAsync_v2", found->second, tensor.recorded, tensor.bytes(), stream);
    }
    return PT_OK;
}

EXPORT void pt_context_free(pt_context* context) {
    need_context();
    enter("context_free");
    for (const Tensor& tensor : context->engine->tensors) {
        if (!tensor.is_input) continue;
        if (const char* path = variable("PILOTIS_DOUBLE_SEEN"))
            std::ofstream(path, std::ios::binary).write((const char*)context->seen, (std::streamsize)tensor.bytes());
        give_back(context->seen);
    }
    --context->engine->n_users;
    delete context;
}
