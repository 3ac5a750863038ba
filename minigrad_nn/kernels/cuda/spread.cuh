// For layers too large for one block: several blocks together, a crew, hold the weights once, and each computes a few units. Read
// product.cuh and a kernel for one block first, rnn.cu.
//
// There are as many crews as the GPU has room for. They share the rows of the batch among them and have nothing to tell each
// other: crew c of C computes rows c, c + C, c + 2C and so on, so that each has its part of the long sequences and of the short ones.
//
//     rows of the batch    0   1   2   3   4   5   6   7
//     crew of three        0   1   2   0   1   2   0   1
//
// A step needs the whole state before it, and that comes from all blocks of the crew. So each writes its part to main memory, and
// then all wait for each other at a barrier. That works only where all blocks are there at once, which the launch makes sure of
// (a cooperative launch); otherwise some would wait for ever for others that have not begun.
//
// A team is a whole warp here, with four rows of the matrix in registers, or eight for tensor cores (TF32). The vectors of several
// rows of the batch, a tile, are fetched into shared memory; then every team takes its product with each of them.

#include "product.cuh"
#include "tensor.cuh"

// One step of a sequence: its first row among those of all steps, and how many rows of the batch it has.
struct Step {
    int first, size;

    __device__ bool has(int j) const { return j < size; }
    __device__ size_t row(int j) const { return static_cast<size_t>(first + j); }
};

// All steps, for blocks that compute a crew's rows of each; rows as in steps.cuh.
struct Steps {
    const int* offsets;  // (T + 1), or null where all steps have B rows
    int T, B, reverse;
    int crew = blockIdx.x / BLOCKS, crews = gridDim.x / BLOCKS;

    // The k-th step to be computed; before the first and after the last, one without rows.
    __device__ Step at(int k) const {
        if (k < 0 || k >= T) return {0, 0};
        const int t = reverse ? T - 1 - k : k;
        return offsets ? Step{offsets[t], offsets[t + 1] - offsets[t]} : Step{t * B, B};
    }

    __device__ int count(Step step) const { return (step.size - crew + crews - 1) / crews; }  // how many of its rows are the crew's
    __device__ int place(int n) const { return crew + n * crews; }                            // where the n-th of them is in the batch
};

// Wait until every block of the crew is here. Each adds 1 to the crew's counter, which is 0 at first; `wanted` is what it comes to
// when all have (counters are CACHE_LINE numbers apart, so that crews do not disturb each other). What blocks wrote before is
// there for all after, if they ask the cache that all multiprocessors share (__ldcg): their own may still have what was before.
constexpr int CACHE_LINE = 32;

__device__ inline void crew_barrier(unsigned* counters, unsigned& wanted) {
    unsigned* arrived = counters + blockIdx.x / BLOCKS * CACHE_LINE;
    __syncthreads();  // all threads of this block have written
    wanted += BLOCKS;
    if (threadIdx.x == 0) {
        __threadfence();  // and all others can see it, before they can see that this block has arrived
        atomicAdd(arrived, 1u);
        while (*static_cast<volatile unsigned*>(arrived) < wanted) __nanosleep(20);
        __threadfence();
    }
    __syncthreads();  // none goes on before thread 0 has seen all blocks arrive
}

// Four neighbours of a vector of H numbers, from `column` on, and zeros beyond its end. Other blocks may have written them. (If H is a
// multiple of four, vectors begin where four numbers can be fetched in one go: this is for arrays that the driver made itself.)
__device__ inline float4 four_of(const float* vector, int column) {
    if (H % 4 == 0) return column < H ? __ldcg(reinterpret_cast<const float4*>(vector + column)) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    const auto one = [&](int k) { return k < H ? __ldcg(vector + k) : 0.0f; };
    return make_float4(one(column), one(column + 1), one(column + 2), one(column + 3));
}

// The rows of the matrix that a warp has, QUADS times four, of H columns; and its products with the vectors of a tile.
template <int ROWS, bool TENSOR>
struct Team;

template <int ROWS>
struct Team<ROWS, false> {
    static constexpr int QUADS = 1, WIDTH = (H + 127) / 128 * 128;
    static __device__ constexpr int apart(int width) { return width; }  // from one vector of a tile to the next
    static __device__ float4 rounded(float4 x) { return x; }

    Matrix<ROWS, 32, H, THREADS, WIDTH / 128> matrix;

    template <class Entry>
    __device__ void load(Entry entry) { matrix.load(nullptr, entry); }

    // For each of `rows` vectors, `stride` apart: finish(vector, quad, given, product), where lane 4n + k has the product with row k of
    // the quad for vector n of eight; given is what fetch(vector, quad) asked for before.
    template <class Fetch, class Finish>
    __device__ void each(const float* vectors, int stride, int rows, Fetch fetch, Finish finish) const {
        for (int first = 0; first < rows; first += 8) {
            const int own = first + threadIdx.x % 32 / 4;
            const auto given = fetch(own, 0);
            finish(own, 0, given, matrix.times_each(vectors + first * stride, stride, rows - first));
        }
    }
};

template <int ROWS>
struct Team<ROWS, true> {
    static constexpr int QUADS = 2, WIDTH = Fragments<H>::WIDTH;
    static __device__ constexpr int apart(int width) { return width % 32 ? width : width + 16; }  // so that a warp reads from all banks
    static __device__ float4 rounded(float4 x) { return to_tf32(x); }

    Fragments<H> fragments;

    template <class Entry>
    __device__ void load(Entry entry) {
        fragments.load([&](int row, int k) { return row % 4 < ROWS ? entry(row, k) : 0.0f; });
    }

    // As above, for 16 vectors at a time. Of the product, lane 4n + k has what lanes 4n to 4n + 3 hold between them.
    template <class Fetch, class Finish>
    __device__ void each(const float* vectors, int stride, int rows, Fetch fetch, Finish finish) const {
        const int n = threadIdx.x % 32 / 4, k = threadIdx.x % 4;
        for (int first = 0; first < rows; first += 16) {
            const decltype(fetch(0, 0)) given[2][2] = {
                {fetch(first + n, 0), fetch(first + n, 1)}, {fetch(first + n + 8, 0), fetch(first + n + 8, 1)}};
            float product[4];
            fragments.times(vectors + first * stride, stride, product);
#pragma unroll
            for (int upper = 0; upper < 2; ++upper)
#pragma unroll
                for (int quad = 0; quad < 2; ++quad) {
                    const float even = __shfl_sync(ALL, product[2 * upper], 2 * quad + k / 2, 4);
                    const float odd = __shfl_sync(ALL, product[2 * upper + 1], 2 * quad + k / 2, 4);
                    finish(first + n + 8 * upper, quad, given[upper][quad], k % 2 ? odd : even);
                }
        }
    }
};

// Put `rows` vectors of WIDTH numbers into shared memory, STRIDE apart: value(row, column) fetches four neighbours. Each thread asks
// for several before it waits for the first, so that 32 KB are on their way to a block at a time, or what its threads have registers for.
template <int WIDTH, int STRIDE, class Value>
__device__ inline void fill_tile(float* tile, int rows, Value value) {
    constexpr int FOURS = WIDTH / 4, AHEAD = THREADS > 256 ? 2048 / THREADS : TF32 ? 4 : 8;
    for (int place = threadIdx.x; place < rows * FOURS; place += AHEAD * THREADS) {
        float4 fetched[AHEAD];
#pragma unroll
        for (int n = 0; n < AHEAD; ++n) {
            const int here = place + n * THREADS;
            if (here < rows * FOURS) fetched[n] = value(here / FOURS, here % FOURS * 4);
        }
#pragma unroll
        for (int n = 0; n < AHEAD; ++n) {
            const int here = place + n * THREADS;
            float* to = tile + here / FOURS * STRIDE + here % FOURS * 4;
            if (here < rows * FOURS) *reinterpret_cast<float4*>(to) = Team<4, TF32>::rounded(fetched[n]);
        }
    }
}

// Number `column` of the state that entered row j of a step: the output of the step before, or the initial state. (Only for numbers
// that this block wrote itself, or another kernel.)
__device__ inline float state_before(Step before, int j, int column, const float* y, const float* h_0) {
    if (before.has(j)) return y[before.row(j) * H + column];
    return h_0 ? h_0[j * H + column] : 0.0f;
}

// The states that entered the crew's rows of a step, from number `from` on. (h_0 is the caller's, and may begin at any number.)
template <int WIDTH, int STRIDE>
__device__ inline void fill_states(float* tile, int rows, const Steps& steps, Step before, int from, const float* y, const float* h_0) {
    fill_tile<WIDTH, STRIDE>(tile, rows, [&](int row, int column) {
        const int j = steps.place(from + row);
        if (before.has(j)) return four_of(y + before.row(j) * H, column);
        const auto one = [&](int c) { return h_0 && c < H ? h_0[j * H + c] : 0.0f; };
        return make_float4(one(column), one(column + 1), one(column + 2), one(column + 3));
    });
}
