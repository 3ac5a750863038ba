// The RNN for all steps, its weights spread over several blocks. Read rnn.cu first, whose equations and arguments these are, then
// spread.cuh and lstm_spread.cu. Forward, a team has four units, or eight.
//
// Sizes: H, THREADS, TILE, BLOCKS of a crew, TEAMS of a block, TF32, ACTIVATION.

#include "spread.cuh"
#include "activation.cuh"

extern "C" __global__ void __launch_bounds__(THREADS, 1) rnn_spread_forward(
    const float* w_hh, const float* b_ih, const float* b_hh, const float* h_0, const int* offsets, int T, int B, int reverse,
    float* y, float* h_n, unsigned* counters) {
    extern __shared__ float4 shared[];
    float* tile = reinterpret_cast<float*>(shared);
    const Steps steps = {offsets, T, B, reverse};
    using Units = Team<4, TF32>;
    constexpr int WIDTH = Units::WIDTH, STRIDE = Units::apart(WIDTH), QUADS = Units::QUADS;
    const int first = (blockIdx.x % BLOCKS * TEAMS + threadIdx.x / 32) * 4 * QUADS;

    Units weights;
    weights.load([&](int row, int k) { return first + row < H && k < H ? w_hh[size_t(first + row) * H + k] : 0.0f; });
    float bias[QUADS];
    for (int quad = 0; quad < QUADS; ++quad) {
        const int unit = first + 4 * quad + threadIdx.x % 4;
        bias[quad] = (unit < H && b_ih ? b_ih[unit] : 0.0f) + (unit < H && b_hh ? b_hh[unit] : 0.0f);
    }
    unsigned wanted = 0;
    for (int k = 0; k < T; ++k) {
        const Step before = steps.at(k - 1), now = steps.at(k);
        const int count = steps.count(now);
        for (int from = 0; from < count; from += TILE) {
            const int rows = min(TILE, count - from);
            if (from > 0) __syncthreads();  // nobody reads the tile before any more
            fill_states<WIDTH, STRIDE>(tile, rows, steps, before, from, y, h_0);
            __syncthreads();  // the tile is there
            const auto fetch = [&](int row, int quad) {
                const int unit = first + 4 * quad + threadIdx.x % 4, j = steps.place(from + row);
                return unit < H && row < rows ? y[now.row(j) * H + unit] : 0.0f;
            };
            weights.each(tile, STRIDE, rows, fetch, [&](int row, int quad, float projected, float product) {
                const float h = activation(projected + bias[quad] + product);  // (1)
                const int unit = first + 4 * quad + threadIdx.x % 4, j = steps.place(from + row);
                if (unit < H && row < rows) y[now.row(j) * H + unit] = h_n[j * H + unit] = h;
            });
        }
        if (count > 0) crew_barrier(counters, wanted);  // the states of all units are there
    }
}
