// The LSTM for all steps, its weights spread over several blocks. Read lstm.cu first, whose equations and arguments these are, then
// spread.cuh.
//
// Forward, a team has the four gates of a unit; four lanes have those of one row of the batch. A step costs: fetching the state
// of the crew's rows into every block, the products, and one barrier. Backward, a step is two parts: every block works out the
// gradients of its own units' gates; after the barrier it fetches those of all units, and multiplies.
//
// Sizes: H, THREADS, TILE, BLOCKS of a crew, TEAMS of a block, TF32. The way back is in lstm_spread_back.cu.

#include "spread.cuh"

extern "C" __global__ void __launch_bounds__(THREADS, 1) lstm_spread_forward(
    const float* w_hh, const float* b_ih, const float* b_hh, const float* h_0, const float* c_0,
    const int* offsets, int T, int B, int reverse, float* gates, float* kept, float* y, float* h_n, float* c_n, unsigned* counters) {
    extern __shared__ float4 shared[];
    float* tile = reinterpret_cast<float*>(shared);
    const Steps steps = {offsets, T, B, reverse};
    using Gates = Team<4, TF32>;  // of one unit, or of two
    constexpr int WIDTH = Gates::WIDTH, STRIDE = Gates::apart(WIDTH), UNITS = Gates::QUADS;
    const int gate = threadIdx.x % 4, first = (blockIdx.x % BLOCKS * TEAMS + threadIdx.x / 32) * UNITS;

    Gates weights;
    weights.load([&](int row, int k) {
        const int unit = first + row / 4;
        return unit < H && k < H ? w_hh[(size_t(row % 4) * H + unit) * H + k] : 0.0f;
    });
    float bias[UNITS];
    for (int u = 0; u < UNITS; ++u) {
        const int unit = first + u, column = gate * H + unit;
        bias[u] = (unit < H && b_ih ? b_ih[column] : 0.0f) + (unit < H && b_hh ? b_hh[column] : 0.0f);
    }
    struct Given {
        float projected, c;
    };
    unsigned wanted = 0;
    for (int k = 0; k < T; ++k) {
        const Step before = steps.at(k - 1), now = steps.at(k);
        const int count = steps.count(now);
        for (int from = 0; from < count; from += TILE) {
            const int rows = min(TILE, count - from);
            if (from > 0) __syncthreads();  // nobody reads the tile before any more
            fill_states<WIDTH, STRIDE>(tile, rows, steps, before, from, y, h_0);
            __syncthreads();  // the tile is there
            const auto fetch = [&](int row, int u) -> Given {
                const int unit = first + u, j = steps.place(from + row), state = j * H + unit;
                if (unit >= H || row >= rows) return {0.0f, 0.0f};
                return {gates[now.row(j) * 4 * H + gate * H + unit], before.has(j) ? c_n[state] : c_0 ? c_0[state] : 0.0f};
            };
            weights.each(tile, STRIDE, rows, fetch, [&](int row, int u, Given given, float product) {
                const float own = tanh_or_sigmoid(given.projected + bias[u] + product, gate == 2);  // (1) to (4)
                const float i = __shfl_sync(ALL, own, 0, 4), f = __shfl_sync(ALL, own, 1, 4);
                const float g = __shfl_sync(ALL, own, 2, 4), o = __shfl_sync(ALL, own, 3, 4);
                const float v = f * given.c, c = v + i * g, h = o * tanhf(c);  // (5), (6)
                const int unit = first + u, j = steps.place(from + row), state = j * H + unit;
                if (unit >= H || row >= rows) return;
                const size_t here = now.row(j);
                if (kept) gates[here * 4 * H + gate * H + unit] = own;
                if (gate == 0) y[here * H + unit] = h_n[state] = h;
                if (gate == 1 && kept) kept[here * H + unit] = v;
                c_n[state] = c;
            });
        }
        if (count > 0) crew_barrier(counters, wanted);  // the states of all units are there
    }
}
