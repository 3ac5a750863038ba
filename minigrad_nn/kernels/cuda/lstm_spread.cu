// The LSTM for all steps, its weights spread over all blocks. Read lstm.cu first, whose equations and arguments these are, then
// spread.cuh.
//
// Forward, a team has the four gates of one unit. A step costs: fetching every row's state into every block, the products, and one
// barrier for the grid. Backward, a step is two parts: every block works out the gradients of its own units' gates; after
// the barrier it fetches those of all units, and multiplies.
//
// Sizes: H, THREADS, TILE, COPIES, TEAMS of a block, which is its units. The way back is in lstm_spread_back.cu.

#include "spread.cuh"

extern "C" __global__ void __launch_bounds__(THREADS, 1) lstm_spread_forward(
    const float* w_hh, const float* b_ih, const float* b_hh, const float* h_0, const float* c_0,
    const int* offsets, int T, int B, int reverse, float* gates, float* kept, float* y, float* h_n, float* c_n, unsigned* arrived) {
    extern __shared__ float4 shared[];
    float* tile = reinterpret_cast<float*>(shared);
    const Steps steps = {offsets, T, B, reverse};
    const int team = threadIdx.x / 32, lane = threadIdx.x % 32, gate = lane % 4, copy = team / TEAMS;
    const int unit = blockIdx.x * TEAMS + team % TEAMS, column = gate * H + unit;
    const bool mine = unit < H, writes = mine && lane < 4;

    Matrix<4, 32, H, THREADS, (H + 127) / 128> weights;
    weights.load(nullptr, [&](int row, int k) { return mine && k < H ? w_hh[(size_t(row) * H + unit) * H + k] : 0.0f; });
    constexpr int WIDTH = weights.WIDTH;
    const float bias = (mine && b_ih ? b_ih[column] : 0.0f) + (mine && b_hh ? b_hh[column] : 0.0f);
    unsigned wanted = 0;
    for (int k = 0; k < T; ++k) {
        const int size = steps.size(k);
        for (int j = 0; j < size; j += TILE) {
            const int rows = min(TILE, size - j);
            if (j > 0) __syncthreads();  // nobody reads the tile before any more
            fill_states<WIDTH>(tile, rows, steps, k, j, y, h_0);
            __syncthreads();  // the tile is there
            for (int row = copy; row < rows; row += COPIES) {
                const int state = (j + row) * H + unit;
                const size_t here = steps.row(k, j + row);
                const bool begins = !steps.has(k - 1, j + row);
                const float projected = mine ? gates[here * 4 * H + column] : 0.0f;
                const float c_before = !mine ? 0.0f : !begins ? c_n[state] : c_0 ? c_0[state] : 0.0f;
                const float own = tanh_or_sigmoid(projected + bias + weights.times(tile + row * WIDTH), gate == 2);  // (1) to (4)
                const float i = __shfl_sync(ALL, own, 0, 4), f = __shfl_sync(ALL, own, 1, 4);
                const float g = __shfl_sync(ALL, own, 2, 4), o = __shfl_sync(ALL, own, 3, 4);
                const float v = f * c_before, c = v + i * g, h = o * tanhf(c);  // (5), (6)
                if (writes && kept) gates[here * 4 * H + column] = own;
                if (writes && gate == 0) y[here * H + unit] = h_n[state] = h;
                if (writes && gate == 1 && kept) kept[here * H + unit] = v;
                if (mine) c_n[state] = c;
            }
        }
        grid_barrier(arrived, wanted);  // the states of all units are there
    }
}
