// The product on the way back, for layers whose weights are spread over all blocks (spread.cuh).

#include "spread.cuh"

// With W_hh transposed, of GATES · H columns, rows belong to units, four to a team, and a team has the columns of one gate: GATES
// teams have a sum between them, which they put together in shared memory. Blocks have QUADS times four units.
template <int GATES, int QUADS>
struct Back {
    using Part = Matrix<4, 32, H, THREADS, (H + 127) / 128>;  // all in registers
    static constexpr int UNITS = 4 * QUADS, VECTOR = GATES * Part::WIDTH;

    Part part;
    int gate, first, copy;  // of this thread's team: its gate, its first unit in the block, and which copy it is

    __device__ void load(const float* w_hh) {
        const int team = threadIdx.x / 32;
        gate = team % GATES, first = team / GATES % QUADS * 4, copy = team / (GATES * QUADS);
        const int unit = blockIdx.x * UNITS + first;
        part.load(nullptr, [&](int row, int k) { return unit + row < H && k < H ? w_hh[(size_t(gate) * H + k) * H + unit + row] : 0.0f; });
    }

    // dh += W_hhᵀ @ d for one tile, rows j to j + rows of step k, of this block's units; d (N, GATES · H), dh (B, H).
    __device__ void add(float* tile, const Steps& steps, int k, int j, int rows, const float* d, float* dh) const {
        float* sums = tile + TILE * VECTOR;  // (TILE, GATES, UNITS)
        fill_tile<VECTOR>(tile, rows, [&](int row, int column) {
            const int of = column / Part::WIDTH, place = column % Part::WIDTH;
            return place < H ? __ldcg(d + steps.row(k, j + row) * (GATES * H) + of * H + place) : 0.0f;
        });
        __syncthreads();  // the tile is there
        for (int row = copy; row < rows; row += COPIES) {
            const float sum = part.times(tile + row * VECTOR + gate * Part::WIDTH);
            if (threadIdx.x % 32 < 4) sums[(row * GATES + gate) * UNITS + first + threadIdx.x % 4] = sum;
        }
        __syncthreads();  // the sums of all gates are there
        each_unit(rows, [&](int row, int unit) {
            float total = 0.0f;
            for (int gate = 0; gate < GATES; ++gate) total += sums[(row * GATES + gate) * UNITS + unit % UNITS];
            dh[(j + row) * H + unit] += total;
        });
    }

    // Do something for each unit of this block in each row of a tile; the same ones fall to the same thread every time.
    template <class Action>
    __device__ static void each_unit(int rows, Action action) {
        for (int place = threadIdx.x; place < rows * UNITS; place += THREADS) {
            const int unit = blockIdx.x * UNITS + place % UNITS;
            if (unit < H) action(place / UNITS, unit);
        }
    }
};
