// Runs the threads of emulator.h, each as a fibre, in a random order that a seed decides.
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "emulator.h"

namespace emulator {

dim3 thread, block, threads, blocks;

namespace {

constexpr size_t STACK = 64 * 1024;
constexpr size_t GUARD = 256 * 1024;  // bytes around memory, as many as a block shares
constexpr unsigned PATIENCE = 300000;  // looks at memory that nobody has changed

enum class State { ready, at_barrier, in_exchange, done };

struct Warp {
    uint32_t values[2][32];  // of this exchange and of the one before, which others may still be reading
    int arrived = 0, size = 0;
};

struct Block;

struct Fibre {
    ucontext_t context;  // where it begins
    jmp_buf stopped;     // where it goes on, once it has begun
    bool begun = false;
    State state = State::ready;
    bool watching = false;  // memory, in a loop
    bool asleep = false;    // one of those that are slow in this launch
    int line = 0;         // where it waits
    int exchanges = 0;    // how many it was in
    unsigned number = 0;  // in its block
    unsigned priority = 0;
    Block* home = nullptr;
};

// Memory, NaN at first, that begins at as odd an address as other memory and ends with a page, or up to three numbers before; behind
// it and before its first page nobody may touch anything.
struct Paged {
    size_t size, pages = 0;
    char *memory = nullptr, *own = nullptr;

    explicit Paged(size_t size, const char* like = nullptr) : size(size) {
        if (!size) return;
        const size_t page = sysconf(_SC_PAGESIZE), inner = (size + 12 + page - 1) / page * page;
        pages = inner + 2 * GUARD;
        memory = static_cast<char*>(mmap(nullptr, pages, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
        if (memory == MAP_FAILED || mprotect(memory + GUARD, inner, PROT_READ | PROT_WRITE)) std::abort();
        own = memory + GUARD + inner - size;
        own -= (reinterpret_cast<uintptr_t>(own) - reinterpret_cast<uintptr_t>(like)) & 15;
        std::memset(memory + GUARD, 0xff, inner);
    }
    Paged(Paged&& other) : size(other.size), pages(other.pages), memory(other.memory), own(other.own) { other.memory = nullptr; }
    ~Paged() {
        if (memory) munmap(memory, pages);
    }
};

// What a block sees of an array: its own copy, that copy as it was at the last fence, and what all blocks had then.
struct Copy : Paged {
    std::vector<char> handed_over, fetched;

    explicit Copy(const Array& array) : Paged(array.size, array.at), handed_over(array.at, array.at + size), fetched(handed_over) {
        if (size) std::memcpy(own, array.at, size);
    }
    bool written(size_t at, size_t bytes) const { return std::memcmp(own + at, &handed_over[at], bytes) != 0; }  // since the fence
    bool has(const char* place) const { return place >= own && place < own + size; }
};

struct Block {
    unsigned number = 0;
    std::vector<Copy> copies;
    std::vector<Fibre> fibres;
    std::vector<Warp> warps;
    std::unique_ptr<Paged> memory;
    unsigned waiting = 0, done = 0;
};

std::mt19937 dice;
jmp_buf scheduler;
Fibre* running;
std::vector<Fibre*> ready;
std::vector<Array> arrays;
unsigned looks;  // at memory, since somebody did something else
unsigned long long opened;  // barriers, in this launch
void (*body)(void*);
void* body_of;
char trouble[256];
std::unique_ptr<char[]> stacks;
size_t stacks_size;

void entry() {
    body(body_of);
    running->state = State::done;
    looks = 0;
    _longjmp(scheduler, 1);
}

// Jumps, where swapcontext asks the system about signals each time.
[[noreturn]] void go_on(Fibre& fibre) {
    if (fibre.begun) _longjmp(fibre.stopped, 1);
    fibre.begun = true;
    setcontext(&fibre.context);
    std::abort();
}

void wake(Fibre& fibre) {
    fibre.state = State::ready;
    ready.push_back(&fibre);
}

void sleep(State state, int line) {
    Fibre* me = running;
    me->state = state;
    me->line = line;
    if (!_setjmp(me->stopped)) _longjmp(scheduler, 1);
}

void prepare(Block& home, unsigned number, unsigned size, unsigned bytes, char* stack) {
    home.number = number;
    home.waiting = home.done = 0;
    home.fibres = std::vector<Fibre>(size);
    home.warps = std::vector<Warp>((size + 31) / 32);
    home.memory = std::make_unique<Paged>((bytes + 15) / 16 * 16);
    home.copies.clear();
    for (const Array& each : arrays) home.copies.emplace_back(each);
    for (unsigned k = 0; k < size; ++k) {
        Fibre& fibre = home.fibres[k];
        fibre.number = k;
        fibre.home = &home;
        home.warps[k / 32].size++;
        getcontext(&fibre.context);
        fibre.context.uc_stack.ss_sp = stack + k * STACK;
        fibre.context.uc_stack.ss_size = STACK;
        fibre.context.uc_link = nullptr;
        makecontext(&fibre.context, entry, 0);
        ready.push_back(&fibre);
    }
}

// One of the fibres that can run. Of `choices` drawn at random the one of highest priority: with one choice all go
// about alike; with many some run far ahead of others, as far as barriers let them, until priorities are drawn anew.
// Those that only watch memory for a change get their turn less often, whatever their priority, and those asleep when hardly
// anybody else can run.
Fibre* choose(unsigned choices) {
    const auto rank = [](const Fibre* each) { return each->asleep && dice() % 64 ? 2 : each->watching ? 1 : 0; };
    size_t best = dice() % ready.size();
    int least = rank(ready[best]);
    for (unsigned k = 1; k < choices || (least > 0 && k < 64); ++k) {
        const size_t other = dice() % ready.size();
        const int its = rank(ready[other]);
        if (its < least || (its == 0 && least == 0 && ready[other]->priority > ready[best]->priority)) best = other, least = its;
    }
    Fibre* chosen = ready[best];
    ready[best] = ready.back();
    ready.pop_back();
    return chosen;
}

// Give all others what a block has written, and fetch what they have.
void fence_of(Block& home) {
    for (size_t k = 0; k < arrays.size(); ++k) {
        Copy& copy = home.copies[k];
        for (size_t at = 0; at < copy.size; at += 4)
            if (copy.written(at, 4)) std::memcpy(arrays[k].at + at, copy.own + at, 4);
        copy.handed_over.assign(copy.own, copy.own + copy.size);
        copy.fetched.assign(arrays[k].at, arrays[k].at + copy.size);
    }
}

// While this is there, a fibre that touches memory which is not there is stopped, and the launch with it.
struct Watch {
    struct sigaction before[2];
    stack_t stack_before;
    std::vector<char> room = std::vector<char>(64 * 1024);

    Watch() {
        const stack_t stack = {room.data(), 0, room.size()};
        struct sigaction action = {};
        action.sa_flags = SA_ONSTACK | SA_NODEFER;
        action.sa_handler = [](int) {
            std::snprintf(trouble, sizeof trouble, "block %u, thread %u: read or wrote beyond an array", running->home->number, running->number);
            _longjmp(scheduler, 1);
        };
        sigaltstack(&stack, &stack_before);
        sigaction(SIGSEGV, &action, &before[0]), sigaction(SIGBUS, &action, &before[1]);
    }
    ~Watch() {
        sigaction(SIGSEGV, &before[0], nullptr), sigaction(SIGBUS, &before[1], nullptr);
        sigaltstack(&stack_before, nullptr);
    }
};

void resume(Fibre* fibre) {
    running = fibre;
    fibre->watching = false;
    thread.x = fibre->number;
    block.x = fibre->home->number;
    if (!_setjmp(scheduler)) go_on(*fibre);
    fibre = running;  // as it was before the jump
    if (fibre->state == State::ready) ready.push_back(fibre);  // it let others run
    if (fibre->state == State::done && ++fibre->home->done == fibre->home->fibres.size()) fence_of(*fibre->home);
}

// A barrier that all threads of a block have reached opens. They must have reached the same one.
bool release(Block& home) {
    if (home.waiting == 0 || home.waiting + home.done < home.fibres.size()) return true;
    for (Fibre& each : home.fibres) {
        if (each.state == State::done || each.line != home.fibres[0].line) {
            std::snprintf(trouble, sizeof trouble, "block %u: some threads wait at line %d, others at line %d or no more", home.number,
                          home.fibres[0].line, each.line);
            return false;
        }
    }
    home.waiting = 0;
    opened++;
    for (Fibre& each : home.fibres) wake(each);
    return true;
}

bool finish(std::vector<Block>& together) {
    const unsigned choices[] = {1, 4, 64}, periods[] = {64, 4096, 65536};
    const unsigned chosen = choices[dice() % 3], period = periods[dice() % 3];
    const unsigned group = dice() % 2 ? 1 : 32;  // threads that are as fast as each other: every one by itself, or a warp
    const auto shuffle = [&] {
        for (Block& home : together)
            for (Fibre& each : home.fibres)
                each.priority = each.number % group ? home.fibres[each.number - 1].priority : dice();
    };
    if (dice() % 2)  // a quarter of the threads of one block are far behind all others
        for (Fibre& each : together[dice() % together.size()].fibres) each.asleep = dice() % 4 == 0;
    shuffle();
    while (!ready.empty()) {
        if (dice() % period == 0) shuffle();
        Fibre* fibre = choose(chosen);
        resume(fibre);
        if (looks > PATIENCE) std::snprintf(trouble, sizeof trouble, "block %u: a thread watches memory for ever", fibre->home->number);
        if (trouble[0] || !release(*fibre->home)) return false;
    }
    for (Block& home : together) {
        if (home.done == home.fibres.size()) continue;
        std::snprintf(trouble, sizeof trouble, "block %u: threads wait for each other for ever", home.number);
        return false;
    }
    return true;
}

}  // namespace

void* shared_memory() { return running->home->memory->own; }

void* own_copy(const void* array, size_t number) {
    const Array& whole = arrays[number];
    return whole.size ? running->home->copies[number].own : const_cast<void*>(array);
}

void* fetched(const void* place, size_t bytes) {
    const char* byte = static_cast<const char*>(place);
    for (Copy& copy : running->home->copies) {
        if (!copy.has(byte)) continue;
        const size_t at = byte - copy.own;
        if (at + bytes > copy.size) break;  // let it touch what it may not
        return copy.written(at, bytes) ? copy.own + at : &copy.fetched[at];
    }
    return const_cast<void*>(place);
}

void* shared(const void* place) {
    const char* byte = static_cast<const char*>(place);
    for (size_t k = 0; k < arrays.size(); ++k) {
        const Copy& copy = running->home->copies[k];
        if (copy.has(byte)) return arrays[k].at + (byte - copy.own);
    }
    return const_cast<void*>(place);
}

void fence() { fence_of(*running->home); }

void wait_for_block(int line) {
    looks = 0;
    running->home->waiting++;
    sleep(State::at_barrier, line);
}

uint32_t exchange(int line, uint32_t value, int lane) {
    looks = 0;
    Fibre* me = running;
    Warp& warp = me->home->warps[me->number / 32];
    uint32_t* values = warp.values[me->exchanges++ % 2];
    values[me->number % 32] = value;
    if (++warp.arrived < warp.size) {
        sleep(State::in_exchange, line);
    } else {
        warp.arrived = 0;
        for (unsigned k = me->number / 32 * 32; k < me->home->fibres.size() && k < me->number / 32 * 32 + 32; ++k) {
            Fibre& other = me->home->fibres[k];
            if (&other == me) continue;
            if (other.line != line) std::snprintf(trouble, sizeof trouble, "threads of a warp exchange at lines %d and %d", line, other.line);
            wake(other);
        }
        me->line = line;
        let_others_run();
    }
    return values[lane];
}

void let_others_run() { sleep(State::ready, running->line); }

void watch() {
    running->watching = true;
    looks++;
    let_others_run();
}

void misaligned() { std::snprintf(trouble, sizeof trouble, "block %u fetches four numbers from an odd address", running->home->number); }

const char* run(unsigned grid, unsigned size, unsigned bytes, unsigned seed, bool together, void (*given)(void*), void* of,
                const std::vector<Array>& given_arrays) {
    dice.seed(seed);
    trouble[0] = 0;
    looks = opened = 0;
    arrays = given_arrays;
    const Watch watch;
    body = given;
    body_of = of;
    blocks.x = grid;
    threads.x = size;
    ready.clear();
    const unsigned at_once = together ? grid : 1;
    if (stacks_size < at_once * size * STACK) stacks.reset(new char[stacks_size = at_once * size * STACK]);
    std::vector<unsigned> order(grid);
    for (unsigned k = 0; k < grid; ++k) order[k] = k;
    for (unsigned k = grid; k > 1; --k) std::swap(order[k - 1], order[dice() % k]);
    for (unsigned first = 0; first < grid; first += at_once) {
        std::vector<Block> current(at_once);
        for (unsigned k = 0; k < at_once; ++k) prepare(current[k], order[first + k], size, bytes, stacks.get() + k * size * STACK);
        if (!finish(current)) return trouble;
    }
    return nullptr;
}

// The nearest number with 11 significant bits; of two, the one further from 0.
float to_tf32(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    if ((bits >> 23 & 255) != 255) bits += 1u << 12;
    bits &= ~((1u << 13) - 1);
    std::memcpy(&x, &bits, 4);
    return x;
}

// Each lane asks the others for what it needs of both factors. A tensor core sees no more of them than TF32 has.
void tensor_core(int line, float* product, float4 left, float2 right) {
    const int lane = running->number % 32, g = lane / 4, t = lane % 4;
    const auto ask = [&](float own, int of) {
        uint32_t bits;
        std::memcpy(&bits, &own, 4);
        bits = exchange(line, bits & ~((1u << 13) - 1), of);
        std::memcpy(&own, &bits, 4);
        return own;
    };
    for (int k = 0; k < 4; ++k) {
        const float low = ask(left.x, 4 * g + k), high = ask(left.y, 4 * g + k);
        const float low_4 = ask(left.z, 4 * g + k), high_4 = ask(left.w, 4 * g + k);
        for (int n = 0; n < 2; ++n) {
            const float b = ask(right.x, 4 * (2 * t + n) + k), b_4 = ask(right.y, 4 * (2 * t + n) + k);
            product[n] += low * b + low_4 * b_4;
            product[2 + n] += high * b + high_4 * b_4;
        }
    }
}

}  // namespace emulator

extern "C" unsigned long long barriers() { return emulator::opened; }
