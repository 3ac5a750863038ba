// The RNN for all steps, its weights spread over all blocks. Read rnn.cu first, whose equations and arguments these are, then
// spread.cuh and lstm_spread.cu. Forward, a team has four units.
//
// Sizes: H, THREADS, TILE, COPIES, TEAMS of a block, ACTIVATION.

#include "spread.cuh"
#include "activation.cuh"

extern "C" __global__ void __launch_bounds__(THREADS, 1) rnn_spread_forward(
    const float* w_hh, const float* b_ih, const float* b_hh, const float* h_0, const int* offsets, int T, int B, int reverse,
    float* y, float* h_n, unsigned* arrived) {
    extern __shared__ float4 shared[];
    float* tile = reinterpret_cast<float*>(shared);
    const Steps steps = {offsets, T, B, reverse};
    const int team = threadIdx.x / 32, lane = threadIdx.x % 32, copy = team / TEAMS;
    const int first = 4 * (blockIdx.x * TEAMS + team % TEAMS), unit = first + lane % 4;
    const bool mine = unit < H;

    Matrix<4, 32, H, THREADS, (H + 127) / 128> weights;
    weights.load(nullptr, [&](int row, int k) { return first + row < H && k < H ? w_hh[size_t(first + row) * H + k] : 0.0f; });
    constexpr int WIDTH = weights.WIDTH;
    const float bias = (mine && b_ih ? b_ih[unit] : 0.0f) + (mine && b_hh ? b_hh[unit] : 0.0f);
    unsigned wanted = 0;
    for (int k = 0; k < T; ++k) {
        const int size = steps.size(k);
        for (int j = 0; j < size; j += TILE) {
            const int rows = min(TILE, size - j);
            if (j > 0) __syncthreads();  // nobody reads the tile before any more
            fill_states<WIDTH>(tile, rows, steps, k, j, y, h_0);
            __syncthreads();  // the tile is there
            for (int row = copy; row < rows; row += COPIES) {
                const size_t here = steps.row(k, j + row) * H + unit;
                const float projected = mine ? y[here] : 0.0f;
                const float h = activation(projected + bias + weights.times(tile + row * WIDTH));  // (1)
                if (mine && lane < 4) y[here] = h_n[(j + row) * H + unit] = h;
            }
        }
        grid_barrier(arrived, wanted);  // the states of all units are there
    }
}
