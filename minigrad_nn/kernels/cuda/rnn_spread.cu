// The RNN for all steps, its weights spread over several blocks. Read rnn.cu first, whose equations and arguments these are, then
// spread.cuh and lstm_spread.cu. Forward, a team has four units.
//
// Sizes: H, THREADS, TILE, BLOCKS of a crew, TEAMS of a block, ACTIVATION.

#include "spread.cuh"
#include "activation.cuh"

extern "C" __global__ void __launch_bounds__(THREADS, 1) rnn_spread_forward(
    const float* w_hh, const float* b_ih, const float* b_hh, const float* h_0, const int* offsets, int T, int B, int reverse,
    float* y, float* h_n, unsigned* counters) {
    extern __shared__ float4 shared[];
    float* tile = reinterpret_cast<float*>(shared);
    const Steps steps = {offsets, T, B, reverse};
    const int team = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int first = 4 * (blockIdx.x % BLOCKS * TEAMS + team), unit = first + lane % 4;

    Matrix<4, 32, H, THREADS, (H + 127) / 128> weights;
    weights.load(nullptr, [&](int row, int k) { return first + row < H && k < H ? w_hh[size_t(first + row) * H + k] : 0.0f; });
    constexpr int WIDTH = weights.WIDTH;
    const float bias = (unit < H && b_ih ? b_ih[unit] : 0.0f) + (unit < H && b_hh ? b_hh[unit] : 0.0f);
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
                const int own = row + lane / 4, j = steps.place(from + own);
                const bool mine = unit < H && own < rows;
                const size_t here = mine ? now.row(j) * H + unit : 0;
                const float projected = mine ? y[here] : 0.0f;
                const float h = activation(projected + bias + weights.times_each(tile + row * WIDTH, WIDTH, rows - row));  // (1)
                if (mine) y[here] = h_n[j * H + unit] = h;
            }
        }
        if (count > 0) crew_barrier(counters, wanted);  // the states of all units are there
    }
}
