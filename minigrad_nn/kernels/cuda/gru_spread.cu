// The GRU for all steps, its weights spread over several blocks. Read gru.cu first, whose equations and arguments these are, then
// spread.cuh and lstm_spread.cu.
//
// Sizes: H, THREADS, TILE, BLOCKS of a crew, TEAMS of a block, TF32.

#include "spread.cuh"

extern "C" __global__ void __launch_bounds__(THREADS, 1) gru_spread_forward(
    const float* w_hh, const float* b_ih, const float* b_hh, const float* h_0, const int* offsets, int T, int B, int reverse,
    float* gates, float* kept, float* y, float* h_n, unsigned* counters) {
    extern __shared__ float4 shared[];
    float* tile = reinterpret_cast<float*>(shared);
    const Steps steps = {offsets, T, B, reverse};
    using Gates = Team<3, TF32>;  // of one unit, or of two
    constexpr int WIDTH = Gates::WIDTH, STRIDE = Gates::apart(WIDTH), UNITS = Gates::QUADS;
    const int gate = threadIdx.x % 4, first = (blockIdx.x % BLOCKS * TEAMS + threadIdx.x / 32) * UNITS;

    Gates weights;
    weights.load([&](int row, int k) {
        const int unit = first + row / 4;
        return unit < H && k < H ? w_hh[(size_t(row % 4) * H + unit) * H + k] : 0.0f;
    });
    float bias_x[UNITS], bias_h[UNITS];
    for (int u = 0; u < UNITS; ++u) {
        const int unit = first + u, column = gate * H + unit;
        bias_x[u] = unit < H && gate < 3 && b_ih ? b_ih[column] : 0.0f;
        bias_h[u] = unit < H && gate < 3 && b_hh ? b_hh[column] : 0.0f;
    }
    struct Given {
        float projected, h;
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
                const int unit = first + u, j = steps.place(from + row);
                if (unit >= H || row >= rows) return {0.0f, 0.0f};
                return {gate < 3 ? gates[now.row(j) * 3 * H + gate * H + unit] : 0.0f, state_before(before, j, unit, y, h_0)};
            };
            weights.each(tile, STRIDE, rows, fetch, [&](int row, int u, Given given, float product) {
                const float projected = given.projected + bias_x[u], sum = product + bias_h[u];
                const float own = tanh_or_sigmoid(projected + sum, false);  // (1), (2)
                const float r = __shfl_sync(ALL, own, 0, 4), z = __shfl_sync(ALL, own, 1, 4);
                const float s = __shfl_sync(ALL, sum, 2, 4), a = __shfl_sync(ALL, projected, 2, 4);
                const float n = tanhf(a + r * s), h = n + z * (given.h - n);  // (3), (4)
                const int unit = first + u, j = steps.place(from + row);
                if (unit >= H || row >= rows) return;
                const size_t here = now.row(j);
                if (gate < 3 && kept) gates[here * 3 * H + gate * H + unit] = gate == 2 ? n : own;
                if (gate == 3 && kept) kept[here * H + unit] = s;
                if (gate == 0) y[here * H + unit] = h_n[j * H + unit] = h;
            });
        }
        if (count > 0) crew_barrier(counters, wanted);  // the states of all units are there
    }
}
