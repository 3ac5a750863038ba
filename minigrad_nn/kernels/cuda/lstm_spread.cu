// The LSTM for all steps, its weights spread over several blocks. Read lstm.cu first, whose equations and arguments these are, then
// spread.cuh.
//
// Forward, a team has the four gates of one unit; four lanes have those of one row of the batch. A step costs: fetching the state
// of the crew's rows into every block, the products, and one barrier. c is carried from step to step in c_n, where only those
// four lanes read and write it. Backward, a step is two parts: every block works out the gradients of its own units' gates; after
// the barrier it fetches those of all units, and multiplies.
//
// Sizes: H, THREADS, TILE, BLOCKS of a crew, TEAMS of a block, which is its units. The way back is in lstm_spread_back.cu.

#include "spread.cuh"

extern "C" __global__ void __launch_bounds__(THREADS, 1) lstm_spread_forward(
    const float* w_hh, const float* b_ih, const float* b_hh, const float* h_0, const float* c_0,
    const int* offsets, int T, int B, int reverse, float* gates, float* kept, float* y, float* h_n, float* c_n, unsigned* counters) {
    extern __shared__ float4 shared[];
    float* tile = reinterpret_cast<float*>(shared);
    const Steps steps = {offsets, T, B, reverse};
    const int lane = threadIdx.x % 32, gate = lane % 4, unit = blockIdx.x % BLOCKS * TEAMS + threadIdx.x / 32, column = gate * H + unit;

    Matrix<4, 32, H, THREADS, (H + 127) / 128> weights;
    weights.load(nullptr, [&](int row, int k) { return unit < H && k < H ? w_hh[(size_t(row) * H + unit) * H + k] : 0.0f; });
    constexpr int WIDTH = weights.WIDTH;
    const float bias = (unit < H && b_ih ? b_ih[column] : 0.0f) + (unit < H && b_hh ? b_hh[column] : 0.0f);
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
                const int own_row = row + lane / 4, j = steps.place(from + own_row), state = j * H + unit;
                const bool mine = unit < H && own_row < rows;
                const size_t here = mine ? now.row(j) : 0;
                const float projected = mine ? gates[here * 4 * H + column] : 0.0f;
                const float c_before = !mine ? 0.0f : before.has(j) ? c_n[state] : c_0 ? c_0[state] : 0.0f;
                const float product = weights.times_each(tile + row * WIDTH, WIDTH, rows - row);
                const float own = tanh_or_sigmoid(projected + bias + product, gate == 2);  // (1) to (4)
                const float i = __shfl_sync(ALL, own, 0, 4), f = __shfl_sync(ALL, own, 1, 4);
                const float g = __shfl_sync(ALL, own, 2, 4), o = __shfl_sync(ALL, own, 3, 4);
                const float v = f * c_before, c = v + i * g, h = o * tanhf(c);  // (5), (6)
                if (mine && kept) gates[here * 4 * H + column] = own;
                if (mine && gate == 0) y[here * H + unit] = h_n[state] = h;
                if (mine && gate == 1 && kept) kept[here * H + unit] = v;
                if (mine) c_n[state] = c;
            }
        }
        if (count > 0) crew_barrier(counters, wanted);  // the states of all units are there
    }
}
