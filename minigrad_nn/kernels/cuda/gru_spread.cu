// The GRU for all steps, its weights spread over all blocks. Read gru.cu first, whose equations and arguments these are, then
// spread.cuh and lstm_spread.cu.
//
// Sizes: H, THREADS, TILE, COPIES, TEAMS of a block, which is its units.

#include "spread.cuh"

extern "C" __global__ void __launch_bounds__(THREADS, 1) gru_spread_forward(
    const float* w_hh, const float* b_ih, const float* b_hh, const float* h_0, const int* offsets, int T, int B, int reverse,
    float* gates, float* kept, float* y, float* h_n, unsigned* arrived) {
    extern __shared__ float4 shared[];
    float* tile = reinterpret_cast<float*>(shared);
    const Steps steps = {offsets, T, B, reverse};
    const int team = threadIdx.x / 32, lane = threadIdx.x % 32, gate = lane % 4, copy = team / TEAMS;
    const int unit = blockIdx.x * TEAMS + team % TEAMS, column = gate * H + unit;
    const bool mine = unit < H, has_gate = mine && gate < 3;

    Matrix<3, 32, H, THREADS, (H + 127) / 128> weights;
    weights.load(nullptr, [&](int row, int k) { return mine && k < H ? w_hh[(size_t(row) * H + unit) * H + k] : 0.0f; });
    constexpr int WIDTH = weights.WIDTH;
    const float bias_x = has_gate && b_ih ? b_ih[column] : 0.0f, bias_h = has_gate && b_hh ? b_hh[column] : 0.0f;
    unsigned wanted = 0;
    for (int k = 0; k < T; ++k) {
        const int size = steps.size(k);
        for (int j = 0; j < size; j += TILE) {
            const int rows = min(TILE, size - j);
            if (j > 0) __syncthreads();  // nobody reads the tile before any more
            fill_states<WIDTH>(tile, rows, steps, k, j, y, h_0);
            __syncthreads();  // the tile is there
            for (int row = copy; row < rows; row += COPIES) {
                const size_t here = steps.row(k, j + row);
                const float projected = (has_gate ? gates[here * 3 * H + column] : 0.0f) + bias_x;
                const float before = mine ? tile[row * WIDTH + unit] : 0.0f;
                const float sum = weights.times(tile + row * WIDTH) + bias_h, own = tanh_or_sigmoid(projected + sum, false);  // (1), (2)
                const float r = __shfl_sync(ALL, own, 0, 4), z = __shfl_sync(ALL, own, 1, 4);
                const float s = __shfl_sync(ALL, sum, 2, 4), a = __shfl_sync(ALL, projected, 2, 4);
                const float n = tanhf(a + r * s), h = n + z * (before - n);  // (3), (4)
                if (has_gate && lane < 4 && kept) gates[here * 3 * H + column] = gate == 2 ? n : own;
                if (mine && lane == 3 && kept) kept[here * H + unit] = s;
                if (mine && lane == 0) y[here * H + unit] = h_n[(j + row) * H + unit] = h;
            }
        }
        grid_barrier(arrived, wanted);  // the states of all units are there
    }
}
