// What the environment may ask of the emulator, and what is counted for it.
//
// Switches of the environment:
//   PILOTIS_EMULATOR_SEED=N             order of threads and blocks
//   PILOTIS_EMULATOR_LAZY=1             a stream's work is done when somebody waits for it, not before
//   PILOTIS_EMULATOR_SKIP_KERNELS=1     launches do nothing: for what the host's part of a frame costs
//   PILOTIS_EMULATOR_FAULT=F:CODE[:N]   function F answers CODE; its N-th call alone with N. After a code
//                                       of 700 to 799, or 999, every call of any function answers it
//   PILOTIS_EMULATOR_VERSION=12000      version of CUDA
//   PILOTIS_EMULATOR_DEVICES=N          number of devices
//   PILOTIS_EMULATOR_FREE_BYTES=N       free memory
//   PILOTIS_EMULATOR_COUNTS=FILE        what was called is written there when the process ends
#pragma once

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

namespace {

constexpr int SUCCESS = 0;

// Calls by function, launches by kernel, bytes by direction.
std::map<std::string, unsigned long long> counts;
// The fault that every call answers with from now on; 0 for none.
int sticky = 0;

long long number(const char* name, long long otherwise) {
    const char* text = getenv(name);
    return text ? atoll(text) : otherwise;
}

void write_counts() {
    FILE* file = fopen(getenv("PILOTIS_EMULATOR_COUNTS"), "w");
    if (!file) {
        fprintf(stderr, "emulator: PILOTIS_EMULATOR_COUNTS cannot be written\n");
        _exit(86);
    }
    for (const auto& [name, n] : counts) fprintf(file, "%s %llu\n", name.c_str(), n);
    fclose(file);
}

// Counts a call, and answers with the fault that it was told to have.
int enter(const char* function) {
    static bool is_counting = getenv("PILOTIS_EMULATOR_COUNTS") && atexit(write_counts) == 0;
    unsigned long long n = ++counts[function];
    (void)is_counting;
    if (sticky) return sticky;
    const char* fault = getenv("PILOTIS_EMULATOR_FAULT");
    if (!fault) return SUCCESS;
    char asked[64] = "";
    int code = 0;
    unsigned long long which = 0;
    if (sscanf(fault, "%63[^:]:%d:%llu", asked, &code, &which) < 2) {
        fprintf(stderr, "emulator: PILOTIS_EMULATOR_FAULT is no FUNCTION:CODE[:N]: %s\n", fault);
        _exit(86);
    }
    // Some functions are exported under a name with a version behind it.
    size_t length = strlen(function);
    bool is_asked = strncmp(asked, function, length) == 0 && (!asked[length] || !strcmp(asked + length, "_v2"));
    if (!is_asked || (which != 0 && n != which)) return SUCCESS;
    if ((code >= 700 && code < 800) || code == 999) sticky = code;
    return code;
}

}  // namespace
