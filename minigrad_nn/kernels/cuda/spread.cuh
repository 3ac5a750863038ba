// For layers too large for one block: all blocks of the GPU together hold the weights, and each computes a few units for every
// row of the batch. Read product.cuh and a kernel for one block first, rnn.cu.
//
// A step needs the whole state before it, and that comes from all blocks. So each writes its part to main memory, and then all wait
// for each other at a barrier for the grid. That works only where all blocks are there at once, which the launch makes sure of
// (a cooperative launch); otherwise some would wait for ever for others that have not begun.
//
// A team is a whole warp here, TEAM = 32, with four rows of the matrix in registers. The vectors of several rows of the batch, a
// tile, are fetched into shared memory; then every team takes its product with each of them. There are COPIES of every
// team, with the same weights, which share the rows of a tile among them.

#include "product.cuh"

// The steps of a sequence, for blocks that compute all rows of each; rows as in steps.cuh.
struct Steps {
    const int* offsets;  // (T + 1), or null where all steps have B rows
    int T, B, reverse;

    __device__ int t(int k) const { return reverse ? T - 1 - k : k; }  // which step is the k-th to be computed
    __device__ int first(int k) const { return offsets ? offsets[t(k)] : t(k) * B; }
    __device__ int size(int k) const { return offsets ? offsets[t(k) + 1] - offsets[t(k)] : B; }
    __device__ size_t row(int k, int j) const { return static_cast<size_t>(first(k) + j); }
    __device__ bool has(int k, int j) const { return k >= 0 && k < T && j < size(k); }
};

// Wait until every block is here. What blocks wrote before is there for all after, but only to those who ask main memory
// for it (__ldcg): a multiprocessor's own cache may still have what was there before.
__device__ inline void grid_barrier(unsigned* arrived, unsigned& wanted) {
    __syncthreads();  // all threads of this block have written
    wanted += gridDim.x;
    if (threadIdx.x == 0) {
        __threadfence();  // and all others can see it, before they can see that this block has arrived
        atomicAdd(arrived, 1u);
        while (*static_cast<volatile unsigned*>(arrived) < wanted) __nanosleep(20);
        __threadfence();
    }
    __syncthreads();  // none goes on before thread 0 has seen all blocks arrive
}

// Put `rows` vectors of WIDTH numbers into shared memory: value(row, column) fetches one.
template <int WIDTH, class Value>
__device__ inline void fill_tile(float* tile, int rows, Value value) {
    for (int place = threadIdx.x; place < rows * WIDTH; place += THREADS) tile[place] = value(place / WIDTH, place % WIDTH);
}

// Number `column` of the state that entered row j of step k: the output of the step before, or the initial state.
__device__ inline float state_before(const Steps& steps, int k, int j, int column, const float* y, const float* h_0) {
    if (steps.has(k - 1, j)) return __ldcg(y + steps.row(k - 1, j) * H + column);
    return h_0 ? h_0[j * H + column] : 0.0f;
}

template <int WIDTH>
__device__ inline void fill_states(float* tile, int rows, const Steps& steps, int k, int j, const float* y, const float* h_0) {
    fill_tile<WIDTH>(tile, rows, [&](int row, int column) { return column < H ? state_before(steps, k, j + row, column, y, h_0) : 0.0f; });
}
