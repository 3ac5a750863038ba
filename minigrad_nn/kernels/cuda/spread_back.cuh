// The product on the way back, for layers whose weights are spread over several blocks (spread.cuh).

#include "spread.cuh"

// W_hh transposed has a row for each unit, and H columns for each gate. A team has the rows of four units, and of these the columns of
// one gate. So there are GATES teams for the same four units, each with a part of their sums; they put them together in shared
// memory. A block has QUADS times four units.
template <int GATES, int QUADS>
struct Back {
    using Part = Matrix<4, 32, H, THREADS, (H + 127) / 128>;  // all in registers
    static constexpr int UNITS = 4 * QUADS, VECTOR = GATES * Part::WIDTH;

    Part part;
    int gate, first;  // of this thread's team: its gate, and its first unit in the block

    __device__ void load(const float* w_hh) {
        gate = threadIdx.x / 32 % GATES, first = threadIdx.x / 32 / GATES * 4;
        const int unit = first_unit() + first;
        part.load(nullptr, [&](int row, int column) {
            return unit + row < H && column < H ? w_hh[(size_t(gate) * H + column) * H + unit + row] : 0.0f;
        });
    }

    // dh += W_hhᵀ @ d for one tile, the crew's rows of a step from number `from` on, of this block's units; d (N, GATES · H), dh (B, H).
    __device__ void add(float* tile, const Steps& steps, Step now, int from, int rows, const float* d, float* dh) const {
        float* sums = tile + TILE * VECTOR;  // (TILE, GATES, UNITS)
        fill_tile<VECTOR>(tile, rows, [&](int row, int column) {
            return four_of(d + (now.row(steps.place(from + row)) * GATES + column / Part::WIDTH) * H, column % Part::WIDTH);
        });
        __syncthreads();  // the tile is there
        for (int row = 0; row < rows; row += 8) {
            const float sum = part.times_each(tile + row * VECTOR + gate * Part::WIDTH, VECTOR, rows - row);
            const int own = row + threadIdx.x % 32 / 4;
            if (own < rows) sums[(own * GATES + gate) * UNITS + first + threadIdx.x % 4] = sum;
        }
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
