// The product on the way back, for layers whose weights are spread over several blocks (spread.cuh).

#include "spread.cuh"

// W_hh transposed has a row for each unit, and H columns for each gate. A team has the rows of four units, or eight, and of these the
// columns of one gate. So there are GATES teams for the same units, each with a part of their sums; they put them together in
// shared memory. A block has TEAMS times as many.
template <int GATES>
struct Back {
    using Part = Team<4, TF32>;
    static constexpr int UNITS = 4 * Part::QUADS * TEAMS, VECTOR = GATES * Part::WIDTH, STRIDE = Part::apart(VECTOR);

    Part part;
    int gate, first;  // of this thread's team: its gate, and its first unit in the block

    __device__ void load(const float* w_hh) {
        gate = threadIdx.x / 32 % GATES, first = threadIdx.x / 32 / GATES * 4 * Part::QUADS;
        const int unit = first_unit() + first;
        part.load([&](int row, int column) {
            return unit + row < H && column < H ? w_hh[(size_t(gate) * H + column) * H + unit + row] : 0.0f;
        });
    }

    // dh += W_hhᵀ @ d for one tile, the crew's rows of a step from number `from` on, of this block's units; d (N, GATES · H), dh (B, H).
    __device__ void add(float* tile, const Steps& steps, Step now, int from, int rows, const float* d, float* dh) const {
        float* sums = tile + TILE * STRIDE;  // (TILE, GATES, UNITS)
        fill_tile<VECTOR, STRIDE>(tile, rows, [&](int row, int column) {
            return four_of(d + (now.row(steps.place(from + row)) * GATES + column / Part::WIDTH) * H, column % Part::WIDTH);
        });
        __syncthreads();  // the tile is there
        const auto nothing = [](int, int) { return 0; };
        part.each(tile + gate * Part::WIDTH, STRIDE, rows, nothing, [&](int row, int quad, int, float sum) {
            if (row < rows) sums[(row * GATES + gate) * UNITS + first + 4 * quad + threadIdx.x % 4] = sum;
        });
        __syncthreads();  // the sums of all gates are there
        each_unit(rows, [&](int row, int unit) {
            float total = 0.0f;
            for (int gate = 0; gate < GATES; ++gate) total += sums[(row * GATES + gate) * UNITS + unit - first_unit()];
            dh[steps.place(from + row) * H + unit] += total;
        });
    }

    // Do something for each unit of this block in each row of a tile. A unit and row fall to the same thread every time, which so may
    // read what it wrote in another step without asking others.
    template <class Action>
    __device__ static void each_unit(int rows, Action action) {
        for (int place = threadIdx.x; place < rows * UNITS; place += THREADS) {
            const int unit = first_unit() + place % UNITS;
            if (unit < H) action(place / UNITS, unit);
        }
    }

    __device__ static int first_unit() { return blockIdx.x % BLOCKS * UNITS; }
};
