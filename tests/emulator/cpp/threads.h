// Kernels, and how they are run.
#pragma once

#include "device.h"

struct Kernel {
    const char* name;
    size_t params_bytes;
    Call call;
};

// The kernel of a name; null where there is none.
const Kernel* find_kernel(const char* name);

// Runs a grid. A kernel that does what no device permits ends the process with words on stderr.
void run_grid(const Kernel& kernel, unsigned n_blocks, unsigned n_threads, const void* params);
