// Blocks one after the other, the threads of a block as fibers.
//
// A fiber runs until it waits: for the block, for lanes of its warp, or for nothing any more. The order
// in which blocks and fibers have their turns is permuted by PILOTIS_EMULATOR_SEED.
#include "threads.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <utility>
#include <vector>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

thread_local Dim3 threadIdx, blockIdx, blockDim, gridDim;

// The section of shared memory, by the linker's names for its ends.
extern char __start_pilotis_shared[] __attribute__((weak, visibility("hidden")));
extern char __stop_pilotis_shared[] __attribute__((weak, visibility("hidden")));

namespace {

// Guards of AddressSanitizer make frames larger.
#ifdef __SANITIZE_ADDRESS__
constexpr size_t STACK_BYTES = 256 * 1024;
#else
constexpr size_t STACK_BYTES = 64 * 1024;
#endif
// What the far end of a stack holds until a thread needs more.
constexpr uint64_t STACK_END = 0x5ca1ab1e0ddba115;
constexpr unsigned MAX_THREADS = 1024;
// What memory holds that nobody has written.
constexpr int SPOILT = 0xcd;

enum class State { READY, AT_BLOCK_BARRIER, IN_WARP, DONE };

struct Fiber {
    void* stack_top;
    State state;
    Place place;
    unsigned mask;
    uint64_t given;
    // What the warp's lanes gave at the last exchange.
    uint64_t received[WARP_LANES];
};

std::vector<Kernel>& kernels() {
    static std::vector<Kernel> all;
    return all;
}

Fiber fibers[MAX_THREADS];
char* stacks = nullptr;
void* scheduler = nullptr;
unsigned current = 0;
const Kernel* running = nullptr;
const void* running_params = nullptr;

// Where the fiber waits or last waited.
[[noreturn]] void refuse(const char* what) {
    const Place& place = fibers[current].place;
    fprintf(stderr, "emulator: kernel `%s`, block %u, thread %u: %s", running->name, blockIdx.x, current, what);
    if (place.file) fprintf(stderr, " (at %s:%d)", place.file, place.line);
    fprintf(stderr, "\n");
    fflush(stderr);
    // Not abort: the sanitizer's exit would come after it, on the stack of a fiber.
    _exit(86);
}

bool is_same(const Place& a, const Place& b) {
    return a.line == b.line && (a.file == b.file || strcmp(a.file, b.file) == 0);
}

// The sanitizer guards the gaps between the variables of the section, so nothing of it may look on.
__attribute__((no_sanitize("address"))) void spoil_shared_memory() {
    if (!__start_pilotis_shared) return;
#ifdef __SANITIZE_ADDRESS__
    for (volatile char* at = __start_pilotis_shared; at < __stop_pilotis_shared; ++at) *at = (char)SPOILT;
#else
    memset(__start_pilotis_shared, SPOILT, __stop_pilotis_shared - __start_pilotis_shared);
#endif
}

// Saves the registers that a call keeps, and goes on on another stack.
extern "C" void switch_stacks(void** from, void* to);
asm(R"(.text
.type switch_stacks, @function
switch_stacks:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
)");

uint64_t* stack_end(unsigned thread) { return (uint64_t*)(stacks + STACK_BYTES * thread); }

void wait_as(State state) {
    fibers[current].state = state;
    switch_stacks(&fibers[current].stack_top, scheduler);
}

void start_fiber() {
    running->call(running_params);
    wait_as(State::DONE);
    abort();
}

void make_fiber(unsigned thread) {
    char* end = stacks + STACK_BYTES * (thread + 1);
    void** top = (void**)end;
    *--top = nullptr;  // the return address of a function that never returns
    *--top = (void*)start_fiber;
    for (int i = 0; i < 6; ++i) *--top = nullptr;
    fibers[thread].stack_top = top;
    *stack_end(thread) = STACK_END;
    fibers[thread].state = State::READY;
    fibers[thread].place = {nullptr, 0};
}

unsigned seed() {
    const char* text = getenv("PILOTIS_EMULATOR_SEED");
    return text ? (unsigned)atoi(text) : 0;
}

// Numbers 0..n in an order of the seed; in their own for 0.
void permute(std::vector<unsigned>& order, unsigned n, unsigned& state) {
    order.resize(n);
    std::iota(order.begin(), order.end(), 0u);
    if (state == 0) return;
    for (unsigned i = n; i > 1; --i) {
        state = state * 1664525u + 1013904223u;
        std::swap(order[i - 1], order[(state >> 8) % i]);
    }
}

// Lets the lanes of a warp go on whose exchange is complete; whether there were any.
bool release_warp(unsigned first, unsigned end) {
    bool has_released = false;
    for (unsigned t = first; t < end; ++t) {
        if (fibers[t].state != State::IN_WARP) continue;
        unsigned mask = fibers[t].mask;
        bool is_complete = true;
        for (unsigned lane = 0; lane < WARP_LANES; ++lane) {
            if (!(mask >> lane & 1)) continue;
            unsigned other = first + lane;
            current = t;
            if (other >= end || fibers[other].state == State::DONE) refuse("a warp waits for a lane that is gone");
            if (fibers[other].state == State::AT_BLOCK_BARRIER) refuse("lanes of a warp wait for different things");
            if (fibers[other].state != State::IN_WARP) is_complete = false;
            else if (fibers[other].mask != mask) refuse("lanes of a warp name different masks");
            else if (!is_same(fibers[other].place, fibers[t].place)) refuse("lanes of a warp wait at different places");
        }
        if (!is_complete) continue;
        uint64_t given[WARP_LANES] = {};
        for (unsigned lane = 0; lane < WARP_LANES; ++lane)
            if (mask >> lane & 1) given[lane] = fibers[first + lane].given;
        for (unsigned lane = 0; lane < WARP_LANES; ++lane) {
            if (!(mask >> lane & 1)) continue;
            memcpy(fibers[first + lane].received, given, sizeof given);
            fibers[first + lane].state = State::READY;
        }
        has_released = true;
    }
    return has_released;
}

unsigned first_at(State state, unsigned n_threads) {
    unsigned t = 0;
    while (t + 1 < n_threads && fibers[t].state != state) ++t;
    return t;
}

void run_block(unsigned n_threads, unsigned& order_state) {
    static std::vector<unsigned> order;
    spoil_shared_memory();
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(stacks, STACK_BYTES * n_threads);
#endif
    for (unsigned t = 0; t < n_threads; ++t) make_fiber(t);
    for (;;) {
        permute(order, n_threads, order_state);
        bool has_run = false;
        for (unsigned t : order) {
            if (fibers[t].state != State::READY) continue;
            has_run = true;
            current = t;
            threadIdx.x = t;
            switch_stacks(&scheduler, fibers[t].stack_top);
            if (*stack_end(t) != STACK_END) refuse("a thread needs more stack than there is");
        }
        bool has_released = false;
        for (unsigned first = 0; first < n_threads; first += WARP_LANES)
            has_released |= release_warp(first, first + WARP_LANES < n_threads ? first + WARP_LANES : n_threads);
        if (has_released) continue;
        unsigned n_done = 0, n_waiting = 0;
        for (unsigned t = 0; t < n_threads; ++t) {
            n_done += fibers[t].state == State::DONE;
            n_waiting += fibers[t].state == State::AT_BLOCK_BARRIER;
        }
        if (n_done == n_threads) return;
        if (n_waiting == n_threads) {
            for (current = 0; current < n_threads; ++current) {
                bool is_here = is_same(fibers[current].place, fibers[0].place);
                if (!is_here) refuse("threads of a block wait at different barriers");
                fibers[current].state = State::READY;
            }
        } else if (n_waiting > 0 && n_waiting + n_done == n_threads) {
            current = first_at(State::AT_BLOCK_BARRIER, n_threads);
            refuse("a barrier after some threads of the block are gone");
        } else if (!has_run) {
            refuse("threads wait for each other for ever");
        }
    }
}

}  // namespace

void wait_for_block(Place place) {
    fibers[current].place = place;
    wait_as(State::AT_BLOCK_BARRIER);
}

const uint64_t* exchange_in_warp(Place place, unsigned mask, uint64_t value) {
    fibers[current].place = place;
    if (!(mask >> lane_of_thread() & 1)) refuse("a lane is not in the mask that it names");
    fibers[current].mask = mask;
    fibers[current].given = value;
    wait_as(State::IN_WARP);
    return fibers[current].received;
}

unsigned lane_of_thread() { return current % WARP_LANES; }

Registration::Registration(const char* name, size_t params_bytes, Call call) {
    kernels().push_back({name, params_bytes, call});
}

const Kernel* find_kernel(const char* name) {
    for (const Kernel& kernel : kernels())
        if (strcmp(kernel.name, name) == 0) return &kernel;
    return nullptr;
}

void run_grid(const Kernel& kernel, unsigned n_blocks, unsigned n_threads, const void* params) {
    running = &kernel;
    running_params = params;
    if (!stacks) {
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        stacks = (char*)mmap(nullptr, STACK_BYTES * MAX_THREADS, PROT_READ | PROT_WRITE, flags, -1, 0);
        if (stacks == MAP_FAILED) refuse("there is no memory for the stacks of threads");
    }
    gridDim.x = n_blocks;
    blockDim.x = n_threads;
    unsigned order_state = seed();
    std::vector<unsigned> order;
    permute(order, n_blocks, order_state);
    for (unsigned b : order) {
        blockIdx.x = b;
        run_block(n_threads, order_state);
    }
}
