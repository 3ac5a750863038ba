// What a CUDA source needs to be compiled by a C++ compiler and run on a processor, as tests do (see __init__.py).
//
// Every thread of a block is a fibre with a stack of its own. A fibre runs until it waits for others: at a barrier, at an
// exchange within its warp, or in a loop that watches memory. Then another one is chosen at random (scheduler.cpp). Threads
// so meet in orders that are rare on a GPU, and whoever forgot to wait reads what is not there yet: shared memory starts as NaN.
//
// What a block writes to arrays, blocks that are there with it see as late as CUDA allows: each has a copy of its own, as of the
// launch. At a fence it hands over what it wrote and fetches what others have handed over, which __ldcg gives; plain reads give
// the copy. Only atomics and volatile reads are at once. So a fence or an __ldcg too few gives wrong numbers here, always.
//
// Who reads or writes where no array is, or follows a null, ends the launch.
//
// Only names that stand here exist. What is not modelled: threads that stop between two instructions which wait for nobody.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
// `extern __shared__ T name[];` becomes `T* const name = …shared_memory()` before compiling.

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};

struct alignas(16) float4 {
    float x, y, z, w;
};

inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

struct float2 {
    float x, y;
};

inline float2 make_float2(float x, float y) { return {x, y}; }

inline int min(int a, int b) { return a < b ? a : b; }

namespace emulator {

extern dim3 thread, block, threads, blocks;  // of the fibre that runs: where it is, and how many there are

void* shared_memory();
void wait_for_block(int line);
uint32_t exchange(int line, uint32_t value, int lane);  // wait for the warp, then read the value of another lane
float to_tf32(float x);
void tensor_core(int line, float* product, float4 left, float2 right);  // as a tensor core does for a warp: see tensor.cuh
void watch();  // let others run, and look again later
void misaligned();

struct Array {
    char* at;
    size_t size;  // in bytes; 0 where kernels only read, or no other block is there
};

void* own_copy(const void* array, size_t number);  // this block's copy of the array of this number, or the array
void* fetched(const void* place, size_t bytes);    // where to read what was fetched at the last fence, or written here since
void* shared(const void* place);                   // where all blocks read and write
void fence();
void let_others_run();

// Run `body` in every thread of every block; what went wrong, or null. Blocks come one after the other in random order, or
// all at once if they are to be together.
const char* run(unsigned blocks, unsigned threads, unsigned shared_bytes, unsigned seed, bool together, void (*body)(void*), void* of,
                const std::vector<Array>& arrays);

template <class T>
T read_lane(int line, T value, int lane) {
    static_assert(sizeof(T) == 4, "lanes exchange 4 bytes");
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    bits = exchange(line, bits, lane);
    std::memcpy(&value, &bits, 4);
    return value;
}

// What the driver has to hand over for an argument: "float*", "int*", "int", or "N bytes" of a structure.
template <class T>
struct kind {
    static void name(char* text) {
        using Bare = std::remove_cv_t<std::remove_pointer_t<T>>;
        const char* base = std::is_same_v<Bare, float> ? "float" : std::is_same_v<Bare, int> ? "int" : nullptr;
        if (std::is_same_v<Bare, unsigned>) base = "unsigned";
        if (base) std::strcat(text, base), std::strcat(text, std::is_pointer_v<T> ? "*" : "");
        else {
            char digits[12] = {}, *end = digits + 11;
            for (size_t size = sizeof(T); size; size /= 10) *--end = char('0' + size % 10);
            std::strcat(text, end), std::strcat(text, " bytes");
        }
        std::strcat(text, ",");
    }
};

template <class... Args>
const char* signature(void (*)(Args...)) {
    static char text[1024];
    text[0] = 0;
    (kind<Args>::name(text), ...);
    return text;
}

template <class T>
constexpr bool is_written = std::is_pointer_v<T> && !std::is_const_v<std::remove_pointer_t<T>>;

template <class T>
T seen_by_block(T value, size_t number) {
    if constexpr (is_written<T>) return value ? static_cast<T>(own_copy(value, number)) : value;
    else return value;
}

// Launch a kernel with pointers to its arguments, as cuLaunchKernel takes them, and the sizes of arrays.
template <class... Args>
const char* launch(void (*kernel)(Args...), unsigned blocks, unsigned threads, unsigned bytes, unsigned seed, int together, void** given,
                   const size_t* sizes) {
    struct Call {
        void (*kernel)(Args...);
        void** given;
    } call{kernel, given};
    const auto each = [&]<class T>(T* value, size_t size) -> Array {
        if constexpr (is_written<T>) {
            if (together && *value) return {reinterpret_cast<char*>(*value), size};
        }
        return {nullptr, 0};
    };
    auto body = [](void* of) {
        const Call& call = *static_cast<Call*>(of);
        [&]<size_t... k>(std::index_sequence<k...>) {
            call.kernel(seen_by_block(*static_cast<Args*>(call.given[k]), k)...);
        }(std::index_sequence_for<Args...>{});
    };
    return [&]<size_t... k>(std::index_sequence<k...>) {
        return run(blocks, threads, bytes, seed, together != 0, body, &call, {each(static_cast<Args*>(given[k]), sizes[k])...});
    }(std::index_sequence_for<Args...>{});
}

}  // namespace emulator

#define threadIdx emulator::thread
#define blockIdx emulator::block
#define blockDim emulator::threads
#define gridDim emulator::blocks

#define __syncthreads() emulator::wait_for_block(__LINE__)
#define __syncwarp() ((void)emulator::exchange(__LINE__, 0, 0))
#define __shfl_xor_sync(mask, value, distance) emulator::read_lane(__LINE__, value, int(threadIdx.x % 32) ^ (distance))
#define __shfl_sync(mask, value, lane, width) emulator::read_lane(__LINE__, value, int(threadIdx.x % 32) / (width) * (width) + (lane))

// tensor.cuh says these in the words of the assembler.
#define EMULATED
inline float to_tf32(float x) { return emulator::to_tf32(x); }
#define multiply_fragments(product, ...) emulator::tensor_core(__LINE__, product, __VA_ARGS__)

// Between blocks. Fibres never run at the same time, so each of these is indivisible by itself.
inline unsigned atomicAdd(unsigned* place, unsigned value) {
    unsigned& there = *static_cast<unsigned*>(emulator::shared(place));
    const unsigned before = there;
    there += value;
    emulator::let_others_run();
    return before;
}
inline void __threadfence() { emulator::fence(); }
inline void __nanosleep(unsigned) { emulator::watch(); }
template <class T>
inline T __ldcg(const T* place) {
    if (reinterpret_cast<uintptr_t>(place) % alignof(T)) emulator::misaligned();
    T value;
    std::memcpy(&value, emulator::fetched(place, sizeof(T)), sizeof value);
    return value;
}
// `*static_cast<volatile T*>(place)` becomes read_volatile(place) before compiling.
template <class T>
inline T read_volatile(const T* place) { return *static_cast<T*>(emulator::shared(place)); }
