#include "shim.h"

#include <NvInfer.h>
#include <NvOnnxParser.h>
#include <dlfcn.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <string>

// The headers say which flavour this is.
#ifdef TRT_MAJOR_RTX
#define PILOTIS_TRT_RTX 1
#else
#define PILOTIS_TRT_RTX 0
#endif

#define PT_EXPORT extern "C" __attribute__((visibility("default")))

using namespace nvinfer1;

namespace {

constexpr int32_t kHeaders = NV_TENSORRT_MAJOR * 10000 + NV_TENSORRT_MINOR * 100 + NV_TENSORRT_PATCH;

class Log final : public ILogger {
   public:
    Log(pt_log log, void* user) : mLog(log), mUser(user) {}

    void log(Severity severity, AsciiChar const* text) noexcept override {
        if (mLog != nullptr && text != nullptr) mLog(mUser, static_cast<int32_t>(severity), text);
    }

   private:
    pt_log mLog;
    void* mUser;
};

// Copies as much of a text as fits, without cutting a UTF-8 character in two.
int32_t fail(pt_error error, pt_code code, std::string const& text) {
    if (error.text == nullptr || error.capacity == 0) return code;
    size_t n = std::min(text.size(), error.capacity - 1);
    while (n > 0 && n < text.size() && (static_cast<unsigned char>(text[n]) & 0xC0) == 0x80) --n;
    std::copy_n(text.data(), n, error.text);
    error.text[n] = '\0';
    return code;
}

// Runs what may throw (the C++ library may, out of memory) and keeps it inside.
template <typename F>
int32_t guarded(pt_error error, F&& body) noexcept {
    try {
        return body();
    } catch (std::exception const& e) {
        return fail(error, PT_INTERNAL, e.what());
    } catch (...) {
        return fail(error, PT_INTERNAL, "an exception of unknown kind");
    }
}

std::string last_dl_error() {
    char const* text = dlerror();
    return text != nullptr ? text : "unknown error of the loader";
}

std::string or_nothing(char const* text) { return text != nullptr ? text : ""; }

// Every error of the parser with the node that it is about.
std::string errors_of(nvonnxparser::IParser const& parser) {
    std::string text;
    for (int32_t i = 0; i < parser.getNbErrors(); ++i) {
        auto const* error = parser.getError(i);
        if (error == nullptr) continue;
        if (!text.empty()) text += '\n';
        std::string const name = or_nothing(error->nodeName());
        if (error->node() >= 0 || !name.empty()) {
            text += "node " + std::to_string(error->node()) + " `" + name + "` (" + or_nothing(error->nodeOperator()) +
                    "): ";
        }
        text += or_nothing(error->desc());
    }
    return text.empty() ? "the parser gives no reason" : text;
}

}  // namespace

struct pt_library {
    Log log;
    void* library = nullptr;
    void* parser = nullptr;
    int32_t version = 0;
    // Factories by name, so that nothing is linked.
    void* (*new_builder)(void*, int32_t) = nullptr;
    void* (*new_runtime)(void*, int32_t) = nullptr;
    void* (*new_parser)(void*, void*, int) = nullptr;

    pt_library(pt_log f, void* user) : log(f, user) {}
};

struct pt_plan {
    std::unique_ptr<IHostMemory> memory;
};

struct pt_runtime {
    std::unique_ptr<IRuntime> runtime;
};

struct pt_engine {
    std::unique_ptr<ICudaEngine> engine;
    std::unique_ptr<IEngineInspector> inspector;
};

struct pt_context {
    std::unique_ptr<IExecutionContext> context;
};

struct pt_cache {
#if PILOTIS_TRT_RTX
    std::unique_ptr<IRuntimeConfig> config;
    std::unique_ptr<IRuntimeCache> cache;
#endif
};

PT_EXPORT void pt_describe(pt_about* about) {
    about->flavour = PILOTIS_TRT_RTX ? "rtx" : "full";
    about->abi = PILOTIS_TRT_ABI;
    about->version = kHeaders;
    about->build = NV_TENSORRT_BUILD;
}

PT_EXPORT int32_t pt_library_open(char const* library, char const* parser, pt_log log, void* user, pt_library** out,
                                  pt_error error) {
    return guarded(error, [&]() -> int32_t {
        auto opened = std::make_unique<pt_library>(log, user);
        opened->library = dlopen(library, RTLD_NOW | RTLD_LOCAL);
        if (opened->library == nullptr) return fail(error, PT_LIBRARY, last_dl_error());
        auto symbol = [](void* handle, char const* name) { return dlsym(handle, name); };
        auto version = reinterpret_cast<int32_t (*)()>(symbol(opened->library, "getInferLibVersion"));
        opened->new_runtime =
            reinterpret_cast<decltype(opened->new_runtime)>(symbol(opened->library, "createInferRuntime_INTERNAL"));
        if (version == nullptr || opened->new_runtime == nullptr) {
            return fail(error, PT_LIBRARY, "it is no TensorRT: `createInferRuntime_INTERNAL` is missing");
        }
        // A lean runtime has no builder; plans then come from elsewhere.
        opened->new_builder =
            reinterpret_cast<decltype(opened->new_builder)>(symbol(opened->library, "createInferBuilder_INTERNAL"));
        opened->version = version();
        // The virtual tables are those of the headers: another minor version may have others.
        if (opened->version / 100 != kHeaders / 100) {
            return fail(error, PT_VERSION,
                        "its version is " + std::to_string(opened->version) + ", the headers' " +
                            std::to_string(kHeaders));
        }
        if (parser != nullptr) {
            opened->parser = dlopen(parser, RTLD_NOW | RTLD_LOCAL);
            if (opened->parser == nullptr) return fail(error, PT_LIBRARY, last_dl_error());
            opened->new_parser =
                reinterpret_cast<decltype(opened->new_parser)>(symbol(opened->parser, "createNvOnnxParser_INTERNAL"));
            if (opened->new_parser == nullptr) {
                return fail(error, PT_LIBRARY, "it is no ONNX parser: `createNvOnnxParser_INTERNAL` is missing");
            }
        }
        *out = opened.release();
        return PT_OK;
    });
}

PT_EXPORT int32_t pt_library_version(pt_library const* library) { return library->version; }

PT_EXPORT int32_t pt_build(pt_library const* library, void const* onnx, size_t onnx_bytes,
                           pt_build_options const* options, pt_plan** out, pt_error error) {
    return guarded(error, [&]() -> int32_t {
        if (library->new_builder == nullptr || library->new_parser == nullptr) {
            return fail(error, PT_UNSUPPORTED, "this library builds no plans (no builder, or no parser)");
        }
        auto* logger = const_cast<Log*>(&library->log);
        std::unique_ptr<IBuilder> builder(static_cast<IBuilder*>(library->new_builder(logger, NV_TENSORRT_VERSION)));
        if (builder == nullptr) return fail(error, PT_BUILD, "no builder");
        // Types are those of the ONNX file, node by node: nothing is lowered behind our back.
        std::unique_ptr<INetworkDefinition> network(builder->createNetworkV2(0));
        if (network == nullptr) return fail(error, PT_BUILD, "no network definition");
        std::unique_ptr<nvonnxparser::IParser> parser(static_cast<nvonnxparser::IParser*>(
            library->new_parser(network.get(), logger, NV_ONNX_PARSER_VERSION)));
        if (parser == nullptr) return fail(error, PT_PARSE, "no parser");
        if (!parser->parse(onnx, onnx_bytes)) return fail(error, PT_PARSE, errors_of(*parser));

        if (options->input_format != 0) {
            for (int32_t i = 0; i < network->getNbInputs(); ++i) {
                network->getInput(i)->setAllowedFormats(1U << static_cast<uint32_t>(options->input_format));
            }
        }

        std::unique_ptr<IBuilderConfig> config(builder->createBuilderConfig());
        if (config == nullptr) return fail(error, PT_BUILD, "no builder configuration");
        config->setProfilingVerbosity(ProfilingVerbosity::kDETAILED);
        if (options->allow_tf32 == 0) config->clearFlag(BuilderFlag::kTF32);
        if (options->max_workspace_bytes > 0) {
            config->setMemoryPoolLimit(MemoryPoolType::kWORKSPACE, static_cast<size_t>(options->max_workspace_bytes));
        }
        if (options->n_compute_capabilities > 0) {
#if PILOTIS_TRT_RTX
            if (!config->setNbComputeCapabilities(options->n_compute_capabilities)) {
                return fail(error, PT_ARGUMENT, "the library refuses that many compute capabilities");
            }
            for (int32_t i = 0; i < options->n_compute_capabilities; ++i) {
                auto const capability = static_cast<ComputeCapability>(options->compute_capabilities[i]);
                if (!config->setComputeCapability(capability, i)) {
                    return fail(error, PT_ARGUMENT,
                                "the library knows no sm_" + std::to_string(options->compute_capabilities[i]));
                }
            }
#else
            return fail(error, PT_UNSUPPORTED, "full TensorRT builds for the card that is in the machine, and no other");
#endif
        }
        std::unique_ptr<IHostMemory> plan(builder->buildSerializedNetwork(*network, *config));
        if (plan == nullptr) return fail(error, PT_BUILD, "the builder made no plan; its reasons are in the log");
        *out = new pt_plan{std::move(plan)};
        return PT_OK;
    });
}

PT_EXPORT void const* pt_plan_bytes(pt_plan const* plan, size_t* n) {
    *n = plan->memory->size();
    return plan->memory->data();
}

PT_EXPORT void pt_plan_free(pt_plan* plan) { delete plan; }

PT_EXPORT int32_t pt_runtime_new(pt_library const* library, pt_runtime** out, pt_error error) {
    return guarded(error, [&]() -> int32_t {
        auto* logger = const_cast<Log*>(&library->log);
        std::unique_ptr<IRuntime> runtime(static_cast<IRuntime*>(library->new_runtime(logger, NV_TENSORRT_VERSION)));
        if (runtime == nullptr) return fail(error, PT_LIBRARY, "no runtime");
        *out = new pt_runtime{std::move(runtime)};
        return PT_OK;
    });
}

PT_EXPORT void pt_runtime_free(pt_runtime* runtime) { delete runtime; }

PT_EXPORT int32_t pt_engine_load(pt_runtime* runtime, void const* plan, size_t n, pt_engine** out, pt_error error) {
    return guarded(error, [&]() -> int32_t {
        std::unique_ptr<ICudaEngine> engine(runtime->runtime->deserializeCudaEngine(plan, n));
        if (engine == nullptr) {
            return fail(error, PT_PLAN, "the plan was not accepted on this machine; the reasons are in the log");
        }
        *out = new pt_engine{std::move(engine), nullptr};
        return PT_OK;
    });
}

PT_EXPORT void pt_engine_free(pt_engine* engine) { delete engine; }

PT_EXPORT int64_t pt_engine_workspace_bytes(pt_engine const* engine) { return engine->engine->getDeviceMemorySizeV2(); }

PT_EXPORT int32_t pt_engine_n_tensors(pt_engine const* engine) { return engine->engine->getNbIOTensors(); }

PT_EXPORT int32_t pt_engine_tensor(pt_engine const* engine, int32_t idx, pt_tensor* out, pt_error error) {
    return guarded(error, [&]() -> int32_t {
        auto const& e = *engine->engine;
        char const* name = e.getIOTensorName(idx);
        if (name == nullptr) return fail(error, PT_ARGUMENT, "there is no tensor " + std::to_string(idx));
        *out = pt_tensor{};
        out->name = name;
        out->is_input = e.getTensorIOMode(name) == TensorIOMode::kINPUT ? 1 : 0;
        auto const type = e.getTensorDataType(name);
        out->element = static_cast<int32_t>(type);
        Dims const dims = e.getTensorShape(name);
        if (dims.nbDims < 0 || dims.nbDims > 8) return fail(error, PT_PLAN, std::string(name) + ": more than 8 dimensions");
        out->n_dims = dims.nbDims;
        int64_t n_values = 1;
        for (int32_t i = 0; i < dims.nbDims; ++i) {
            out->dims[i] = dims.d[i];
            n_values *= dims.d[i];
        }
        int64_t const value_bytes = type == DataType::kFLOAT ? 4 : type == DataType::kHALF ? 2 : 1;
        out->bytes = n_values * value_bytes;
        out->format = static_cast<int32_t>(e.getTensorFormat(name));
        return PT_OK;
    });
}

PT_EXPORT int32_t pt_engine_inspect(pt_engine* engine, char const** json, pt_error error) {
    return guarded(error, [&]() -> int32_t {
        engine->inspector.reset(engine->engine->createEngineInspector());
        char const* text = nullptr;
        if (engine->inspector != nullptr) text = engine->inspector->getEngineInformation(LayerInformationFormat::kJSON);
        if (text == nullptr) return fail(error, PT_INTERNAL, "the inspector says nothing");
        *json = text;
        return PT_OK;
    });
}

PT_EXPORT int32_t pt_cache_new(pt_engine* engine, void const* bytes, size_t n, pt_cache** out, pt_error error) {
#if PILOTIS_TRT_RTX
    return guarded(error, [&]() -> int32_t {
        auto cache = std::make_unique<pt_cache>();
        cache->config.reset(engine->engine->createRuntimeConfig());
        if (cache->config == nullptr) return fail(error, PT_INTERNAL, "no runtime configuration");
        cache->cache.reset(cache->config->createRuntimeCache());
        if (cache->cache == nullptr) return fail(error, PT_INTERNAL, "no runtime cache");
        // Kernels of another card, driver or library are refused by it, and then compiled anew.
        if (n > 0) (void)cache->cache->deserialize(bytes, n);
        *out = cache.release();
        return PT_OK;
    });
#else
    (void)engine, (void)bytes, (void)n, (void)error;
    *out = nullptr;
    return PT_OK;
#endif
}

PT_EXPORT int32_t pt_cache_bytes(pt_cache const* cache, pt_plan** out, pt_error error) {
#if PILOTIS_TRT_RTX
    return guarded(error, [&]() -> int32_t {
        std::unique_ptr<IHostMemory> memory(cache->cache->serialize());
        if (memory == nullptr) return fail(error, PT_INTERNAL, "the runtime cache cannot be serialized");
        *out = new pt_plan{std::move(memory)};
        return PT_OK;
    });
#else
    (void)cache, (void)out;
    return fail(error, PT_UNSUPPORTED, "full TensorRT keeps no runtime cache");
#endif
}

PT_EXPORT void pt_cache_free(pt_cache* cache) { delete cache; }

PT_EXPORT int32_t pt_context_new(pt_engine* engine, pt_cache const* cache, pt_context** out, pt_error error) {
    return guarded(error, [&]() -> int32_t {
        std::unique_ptr<IRuntimeConfig> config(engine->engine->createRuntimeConfig());
        if (config == nullptr) return fail(error, PT_INTERNAL, "no runtime configuration");
        config->setExecutionContextAllocationStrategy(ExecutionContextAllocationStrategy::kUSER_MANAGED);
#if PILOTIS_TRT_RTX
        // The frame's graph is ours; a graph inside of it could not be captured.
        if (!config->setCudaGraphStrategy(CudaGraphStrategy::kDISABLED)) {
            return fail(error, PT_UNSUPPORTED, "its own graphs cannot be turned off");
        }
        if (cache != nullptr && !config->setRuntimeCache(*cache->cache)) {
            return fail(error, PT_INTERNAL, "the runtime cache was not taken");
        }
#else
        (void)cache;
#endif
        std::unique_ptr<IExecutionContext> context(engine->engine->createExecutionContext(config.get()));
        if (context == nullptr) return fail(error, PT_INTERNAL, "no execution context; the reasons are in the log");
        *out = new pt_context{std::move(context)};
        return PT_OK;
    });
}

PT_EXPORT int32_t pt_context_bind_workspace(pt_context* context, void* memory, int64_t bytes, pt_error error) {
    return guarded(error, [&]() -> int32_t {
        int64_t const needed = context->context->getEngine().getDeviceMemorySizeV2();
        if (bytes < needed) {
            return fail(error, PT_ARGUMENT,
                        std::to_string(bytes) + " bytes to work in, and it needs " + std::to_string(needed));
        }
        context->context->setDeviceMemoryV2(memory, bytes);
        return PT_OK;
    });
}

PT_EXPORT int32_t pt_context_bind_tensor(pt_context* context, char const* name, void* memory, pt_error error) {
    return guarded(error, [&]() -> int32_t {
        if (!context->context->setTensorAddress(name, memory)) {
            return fail(error, PT_ARGUMENT, std::string("tensor `") + name + "` was not bound; the reasons are in the log");
        }
        return PT_OK;
    });
}

PT_EXPORT int32_t pt_context_is_capturable(pt_context const* context, void* stream) {
#if PILOTIS_TRT_RTX
    return context->context->isStreamCapturable(static_cast<cudaStream_t>(stream)) ? 1 : 0;
#else
    // Networks of fixed shapes without loops are; ours have nothing else.
    (void)context, (void)stream;
    return 1;
#endif
}

PT_EXPORT int32_t pt_context_enqueue(pt_context* context, void* stream) {
    return context->context->enqueueV3(static_cast<cudaStream_t>(stream)) ? PT_OK : PT_RUN;
}

PT_EXPORT void pt_context_free(pt_context* context) { delete context; }
