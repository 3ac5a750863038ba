// The GRU for all steps, its weights spread over several blocks. Read gru.cu first, whose equations and arguments these are, then
// spread.cuh and lstm_spread.cu.
//
// Sizes: H, THREADS, TILE, BLOCKS of a crew, TEAMS of a block, which is its units.

#include "spread.cuh"

extern "C" __global__ void __launch_bounds__(THREADS, 1) gru_spread_forward(
    const float* w_hh, const float* b_ih, const float* b_hh, const float* h_0, const int* offsets, int T, int B, int reverse,
    float* gates, float* kept, float* y, float* h_n, unsigned* counters) {
    extern __shared__ float4 shared[];
    float* tile = reinterpret_cast<float*>(shared);
    const Steps steps = {offsets, T, B, reverse};
    const int lane = threadIdx.x % 32, gate = lane % 4, unit = blockIdx.x % BLOCKS * TEAMS + threadIdx.x / 32, column = gate * H + unit;
    const bool is_gate = unit < H && gate < 3;

    Matrix<3, 32, H, THREADS, (H + 127) / 128> weights;
    weights.load(nullptr, [&](int row, int k) { return unit < H && k < H ? w_hh[(size_t(row) * H + unit) * H + k] : 0.0f; });
    constexpr int WIDTH = weights.WIDTH;
    const float bias_x = is_gate && b_ih ? b_ih[column] : 0.0f, bias_h = is_gate && b_hh ? b_hh[column] : 0.0f;
    unsigned wanted = 0;
    for (int k = 0; k < T; ++k) {
        const Step now = steps.at(k), before = steps.at(k - 1);
        const int count = steps.count(now);
        for (int from = 0; from < count; from += TILE) {
            const int rows = min(TILE, count - from);
            if (from > 0) __syncthreads();  // nobody reads the tile before any more
            fill_states<WIDTH>(tile, rows, steps, before, from, y, h_0);
            __syncthreads();  // the tile is there
            for (int row = 0; row < rows; row += 8) {
                const int own_row = row + lane / 4, j = steps.place(from + own_row);
                const bool mine = unit < H && own_row < rows, has_gate = mine && gate < 3;
                const size_t here = mine ? now.row(j) : 0;
                const float projected = (has_gate ? gates[here * 3 * H + column] : 0.0f) + bias_x;
                const float h_before = mine ? tile[own_row * WIDTH + unit] : 0.0f;
                const float sum = weights.times_each(tile + row * WIDTH, WIDTH, rows - row) + bias_h;
                const float own = tanh_or_sigmoid(projected + sum, false);  // (1), (2)
                const float r = __shfl_sync(ALL, own, 0, 4), z = __shfl_sync(ALL, own, 1, 4);
                const float s = __shfl_sync(ALL, sum, 2, 4), a = __shfl_sync(ALL, projected, 2, 4);
                const float n = tanhf(a + r * s), h = n + z * (h_before - n);  // (3), (4)
                if (has_gate && kept) gates[here * 3 * H + column] = gate == 2 ? n : own;
                if (mine && gate == 3 && kept) kept[here * H + unit] = s;
                if (mine && gate == 0) y[here * H + unit] = h_n[j * H + unit] = h;
            }
        }
        if (count > 0) crew_barrier(counters, wanted);  // the states of all units are there
    }
}
