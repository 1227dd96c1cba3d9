// The C side of Pilotis' TensorRT layer: the nvinfer1 C++ API as plain functions.
//
// One source for two flavours: TensorRT for RTX, and full TensorRT with its lean runtime. The shim
// links against neither. It opens the library that it is told to open and asks it for its factories.
//
// Rules that hold for every function:
// - no exception leaves it; a failure is a code and a text in `error` (always ended with a zero);
// - a handle that it gives out is freed by the function named for it, once;
// - what a handle was made from must outlive it. The Rust layer sees to that.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Changes with every change of this file. The Rust side refuses another one.
#define PILOTIS_TRT_ABI 1

typedef enum {
    PT_OK = 0,
    PT_LIBRARY = 1,      // the library cannot be opened, or is no TensorRT
    PT_VERSION = 2,      // the library is of another version than the headers
    PT_UNSUPPORTED = 3,  // this flavour cannot do it
    PT_PARSE = 4,        // the ONNX parser refused the network
    PT_BUILD = 5,        // the builder made no plan
    PT_PLAN = 6,         // the plan was not accepted
    PT_ARGUMENT = 7,     // an argument that makes no sense
    PT_RUN = 8,          // the network could not be enqueued
    PT_INTERNAL = 9,     // an exception inside
} pt_code;

typedef struct {
    char* text;
    size_t capacity;
} pt_error;

// Severity 0 internal error, 1 error, 2 warning, 3 info, 4 verbose. May be called from any thread.
typedef void (*pt_log)(void* user, int32_t severity, const char* text);

typedef struct pt_library pt_library;
typedef struct pt_plan pt_plan;
typedef struct pt_runtime pt_runtime;
typedef struct pt_engine pt_engine;
typedef struct pt_context pt_context;
typedef struct pt_cache pt_cache;

typedef struct {
    const char* flavour;  // "rtx" or "full"
    int32_t abi;
    int32_t version;  // of the headers: major * 10000 + minor * 100 + patch
    int32_t build;
} pt_about;
void pt_describe(pt_about* about);

// The library and, where plans are to be built, the parser (else null). Never closed.
int32_t pt_library_open(const char* library, const char* parser, pt_log log, void* user, pt_library** out,
                        pt_error error);
int32_t pt_library_version(const pt_library* library);

typedef struct {
    const int32_t* compute_capabilities;  // 89 is sm_89
    int32_t n_compute_capabilities;
    int32_t allow_tf32;
    int32_t input_format;  // nvinfer1::TensorFormat of the inputs: 0 linear, 2 HWC8, 8 HWC
    int64_t max_workspace_bytes;  // 0: the library's own limit
} pt_build_options;
int32_t pt_build(const pt_library* library, const void* onnx, size_t onnx_bytes, const pt_build_options* options,
                 pt_plan** out, pt_error error);
const void* pt_plan_bytes(const pt_plan* plan, size_t* n);
void pt_plan_free(pt_plan* plan);

int32_t pt_runtime_new(const pt_library* library, pt_runtime** out, pt_error error);
void pt_runtime_free(pt_runtime* runtime);

int32_t pt_engine_load(pt_runtime* runtime, const void* plan, size_t n, pt_engine** out, pt_error error);
void pt_engine_free(pt_engine* engine);
int64_t pt_engine_workspace_bytes(const pt_engine* engine);
int32_t pt_engine_n_tensors(const pt_engine* engine);

typedef struct {
    const char* name;  // lives as long as the engine
    int32_t is_input;
    int32_t element;  // nvinfer1::DataType
    int32_t n_dims;
    int64_t dims[8];
    int64_t bytes;    // without the padding that a format may have
    int32_t format;   // nvinfer1::TensorFormat
} pt_tensor;
int32_t pt_engine_tensor(const pt_engine* engine, int32_t idx, pt_tensor* out, pt_error error);

// The inspector's JSON; lives until the next call for this engine.
int32_t pt_engine_inspect(pt_engine* engine, const char** json, pt_error error);

// Kernels that the library compiled for this card; null where the flavour keeps none.
int32_t pt_cache_new(pt_engine* engine, const void* bytes, size_t n, pt_cache** out, pt_error error);
// Freed by pt_plan_free.
int32_t pt_cache_bytes(const pt_cache* cache, pt_plan** out, pt_error error);
void pt_cache_free(pt_cache* cache);

// A context that works in memory given by pt_context_bind, and leaves graphs to the caller.
int32_t pt_context_new(pt_engine* engine, const pt_cache* cache, pt_context** out, pt_error error);
int32_t pt_context_bind_workspace(pt_context* context, void* memory, int64_t bytes, pt_error error);
int32_t pt_context_bind_tensor(pt_context* context, const char* name, void* memory, pt_error error);
// Whether work on this stream can be captured into a graph.
int32_t pt_context_is_capturable(const pt_context* context, void* stream);
int32_t pt_context_enqueue(pt_context* context, void* stream);
void pt_context_free(pt_context* context);

#ifdef __cplusplus
}
#endif
