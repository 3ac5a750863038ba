// A matrix that stays on chip for a whole sequence, and its product with a vector: the heart of all kernels here.
//
// A GPU computes with blocks of threads. Threads of one block share a memory of their own ("shared memory", about 200 KB) and
// can wait for each other; 32 neighbouring threads, a warp, can even read each other's registers. Both are many times
// nearer than the GPU's main memory, and a block keeps them for as long as it runs. A recurrent layer multiplies the same
// matrix with a new vector at every step, so a block that stays for all steps fetches the matrix once: as much as fits
// into registers, the rest into shared memory.
//
// Who has what: TEAM neighbouring threads, the lanes of a team, have four rows of the matrix between them. Each has its
// part of the columns, four neighbours at a time (a float4, what a thread fetches in one go):
//
//     columns       0 1 2 3 | 4 5 6 7 | 8 9 . . | . . . . | 16 …
//     lane of 4     0         1         2         3         0 …
//
// so that the lanes of a team read neighbouring parts of the vector. Each lane adds up its columns for all four rows; then the
// lanes exchange sums, after which lane k has the whole of row k % 4.

constexpr unsigned ALL = 0xffffffff;  // all 32 threads of a warp take part

// sum += a · b, in four instructions that multiply and add at once.
__device__ inline void add_product(float& sum, float4 a, float4 b) {
    sum += a.x * b.x;
    sum += a.y * b.y;
    sum += a.z * b.z;
    sum += a.w * b.w;
}

__device__ inline float tanh_or_sigmoid(float a, bool is_tanh) {
    // sigmoid(a) = ½ tanh(½a) + ½, so that neighbouring threads with different gates run the same instructions.
    float factor = is_tanh ? 1.0f : 0.5f;
    return factor * tanhf(factor * a) + (1.0f - factor);
}

// The sums of four neighbouring lanes: lane k of them gets that of sum[k]. In two exchanges each lane gives away what others
// collect.
__device__ inline float sum_over_four(const float (&sum)[4], int lane) {
    bool upper = lane & 2, odd = lane & 1;
    float even_row = (upper ? sum[2] : sum[0]) + __shfl_xor_sync(ALL, upper ? sum[0] : sum[2], 2);
    float odd_row = (upper ? sum[3] : sum[1]) + __shfl_xor_sync(ALL, upper ? sum[1] : sum[3], 2);
    return (odd ? odd_row : even_row) + __shfl_xor_sync(ALL, odd ? even_row : odd_row, 1);
}

// The sums of a team's lanes: lane k gets that of sum[k % 4]. Then lanes that collect the same row add up.
template <int TEAM>
__device__ inline float sum_over_team(const float (&sum)[4], int lane) {
    float mine = sum_over_four(sum, lane);
#pragma unroll
    for (int distance = 4; distance < TEAM; distance *= 2) mine += __shfl_xor_sync(ALL, mine, distance);
    return mine;
}

// The second half of that for eight vectors at once, in a team of 32. Its eight fours of lanes have a part of mine[n] each, for every
// vector n; four number n collects all of mine[n]. Again each lane gives away what others collect: first four of its eight numbers,
// then two, then one. That is seven exchanges, where one vector after the other would take three for each.
__device__ inline float sum_of_each(float (&mine)[8], int lane) {
#pragma unroll
    for (int given = 4; given > 0; given /= 2) {
        bool upper = lane & 4 * given;
#pragma unroll
        for (int n = 0; n < given; ++n) {
            float got = __shfl_xor_sync(ALL, upper ? mine[n] : mine[n + given], 4 * given);
            mine[n] = (upper ? mine[n + given] : mine[n]) + got;
        }
    }
    return mine[0];
}

// What one thread holds of the matrix. ROWS is 4, or 3 where no team has a fourth row. Of the CHUNKS float4 that it has in each
// row, HELD are in registers and the rest in shared memory, so that neighbouring threads have neighbours there.
template <int ROWS, int TEAM, int COLUMNS, int THREADS, int HELD>
struct Matrix {
    static constexpr int CHUNKS = (COLUMNS + 4 * TEAM - 1) / (4 * TEAM);
    static constexpr int WIDTH = 4 * TEAM * CHUNKS;                     // of the vector, with zeros at its end
    static constexpr int SHARED = (CHUNKS - HELD) * ROWS * THREADS;     // float4 in shared memory
    static_assert(0 < HELD && HELD <= CHUNKS, "HELD counts chunks in registers");

    float4 held[HELD][ROWS];
    float4* rest;
    int lane;

    // Fetch the matrix: entry(row, column) gives one number of the team's rows, and 0 outside of the matrix.
    template <class Entry>
    __device__ void load(float4* shared, Entry entry) {
        rest = shared + threadIdx.x;
        lane = threadIdx.x % TEAM;
        const auto four = [&](int chunk, int row) {
            const int column = 4 * (chunk * TEAM + lane);
            return make_float4(entry(row, column), entry(row, column + 1), entry(row, column + 2), entry(row, column + 3));
        };
#pragma unroll 1  // one after the other: many at a time would need registers of their own
        for (int place = 0; place < (CHUNKS - HELD) * ROWS; ++place) rest[place * THREADS] = four(HELD + place / ROWS, place % ROWS);
#pragma unroll
        for (int chunk = 0; chunk < HELD; ++chunk)
#pragma unroll
            for (int row = 0; row < ROWS; ++row) held[chunk][row] = four(chunk, row);
    }

    // The product with a vector in shared memory: lane k of the team gets that of row k % 4.
    __device__ float times(const float* vector) const {
        float sum[4];
        add_up(vector, sum);
        return sum_over_team<TEAM>(sum, lane);
    }

    // The products with up to eight vectors, `stride` numbers apart: lane 4n + k of a team of 32 gets that of row k with vector n, so
    // that what is done with the products afterwards keeps all lanes busy.
    __device__ float times_each(const float* vectors, int stride, int count) const {
        static_assert(TEAM == 32, "four lanes for each vector");
        float mine[8];
#pragma unroll
        for (int n = 0; n < 8; ++n) {
            mine[n] = 0.0f;
            if (n >= count) continue;
            float sum[4];
            add_up(vectors + n * stride, sum);
            mine[n] = sum_over_four(sum, lane);
        }
        return sum_of_each(mine, lane);
    }

    // This lane's part of the product of each row.
    __device__ void add_up(const float* vector, float (&sum)[4]) const {
        const float4* part = reinterpret_cast<const float4*>(vector) + lane;
        sum[0] = sum[1] = sum[2] = sum[3] = 0.0f;
#pragma unroll
        for (int chunk = 0; chunk < HELD; ++chunk) {
            const float4 v = part[chunk * TEAM];
#pragma unroll
            for (int row = 0; row < ROWS; ++row) add_product(sum[row], held[chunk][row], v);
        }
#pragma unroll 1  // here too, weights on their way from shared memory need registers
        for (int chunk = HELD; chunk < CHUNKS; ++chunk) {
            const float4 v = part[chunk * TEAM];
#pragma unroll
            for (int row = 0; row < ROWS; ++row) add_product(sum[row], rest[((chunk - HELD) * ROWS + row) * THREADS], v);
        }
    }
};

// Two vectors in shared memory, one to read while the other is written. Their ends, beyond SIZE, are zeros and stay so.
template <int WIDTH, int SIZE, int THREADS>
__device__ inline void clear_ends(float* vectors) {
    for (int place = SIZE + threadIdx.x; place < WIDTH; place += THREADS) vectors[place] = vectors[WIDTH + place] = 0.0f;
}
