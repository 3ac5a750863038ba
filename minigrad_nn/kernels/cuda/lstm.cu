// The LSTM for all steps, one block for one row of the batch. It computes what `lstm_step` in cells.py computes; numbers in
// brackets are its equations, a prime marks the derivative of one. Read that first, then rnn.cu, whose moves (a) to (f)
// are these too.
//
//     (1) i = sigmoid(…)  (2) f = sigmoid(…)  (3) g = tanh(…)  (4) o = sigmoid(…)     of W_ih @ x + b_ih + W_hh @ h + b_hh
//     (5) c = f * c + i * g
//     (6) h = o * tanh(c)
//
// Further:
//     (g) forward, the four lanes of a team are the four gates of one unit: they exchange their gates by registers, and each
//         carries c
//     (h) backward, W_hh transposed has 4H columns, so a team has 16 lanes for the rows of four units: and each lane one
//         gate of one of them
//     (i) kept are the gates, where their pre-activations stood, and v = f * c of (5): c is v + i * g again
//
// Sizes: H, THREADS, HELD_FORWARD, HELD_BACKWARD.

#include "product.cuh"
#include "steps.cuh"

// gates (N, 4H) come in as W_ih @ x, and go out as i, f, g, o if kept (N, H) is there for v; y (N, H), h_n and c_n (B, H).
// b_ih, b_hh (4H), h_0 and c_0 (B, H) may be null, and kept.
extern "C" __global__ void __launch_bounds__(THREADS, 1) lstm_forward(
    const float* w_hh, const float* b_ih, const float* b_hh, const float* h_0, const float* c_0,
    const int* offsets, int T, int B, int reverse, float* gates, float* kept, float* y, float* h_n, float* c_n) {
    extern __shared__ float4 shared[];
    const Path path({offsets, T, B, reverse}, blockIdx.x);
    const int unit = threadIdx.x / 4, gate = threadIdx.x % 4;  // (g)
    const int column = gate * H + unit, state = path.j * H + unit;
    const bool mine = unit < H;

    Matrix<4, 4, H, THREADS, HELD_FORWARD> weights;
    weights.load(shared, [&](int row, int k) { return mine && k < H ? w_hh[(row * H + unit) * H + k] : 0.0f; });
    constexpr int WIDTH = weights.WIDTH;
    float* h = reinterpret_cast<float*>(shared + weights.SHARED);
    clear_ends<WIDTH, H, THREADS>(h);

    float value = mine && h_0 ? h_0[state] : 0.0f, c = mine && c_0 ? c_0[state] : 0.0f;
    const float bias = (mine && b_ih ? b_ih[column] : 0.0f) + (mine && b_hh ? b_hh[column] : 0.0f);
    size_t row = path.row(0);
    float ahead = mine ? gates[row * 4 * H + column] : 0.0f;
    for (int k = 0; k < path.length; ++k) {
        const bool more = k + 1 < path.length;
        const size_t next = more ? path.row(k + 1) : 0;
        float* before = h + k % 2 * WIDTH;
        if (mine && gate == 0) before[unit] = value;
        __syncthreads();  // all of the state before is there
        const float projected = ahead + bias;
        if (mine && more) ahead = gates[next * 4 * H + column];
        const float own = tanh_or_sigmoid(projected + weights.times(before), gate == 2);  // (1) to (4)
        const float i = __shfl_sync(ALL, own, 0, 4), f = __shfl_sync(ALL, own, 1, 4);
        const float g = __shfl_sync(ALL, own, 2, 4), o = __shfl_sync(ALL, own, 3, 4);
        const float v = f * c;
        c = v + i * g;  // (5)
        value = o * tanhf(c);  // (6)
        if (mine && kept) gates[row * 4 * H + column] = own;  // (i)
        if (mine && gate == 1 && kept) kept[row * H + unit] = v;
        if (mine && gate == 0) y[row * H + unit] = value;
        row = next;
    }
    if (mine && gate == 0) h_n[state] = value;
    if (mine && gate == 1) c_n[state] = c;
}

// What one step left for the way back, of one unit, and the gradients that come in from outside.
struct Kept {
    float i, f, g, o, v, dy, dcell;
};

__device__ inline Kept fetch(const float* gates, const float* kept, const float* dy, const float* dcells, size_t row, int unit) {
    const float* four = gates + row * 4 * H + unit;
    const size_t one = row * H + unit;
    return {four[0], four[H], four[2 * H], four[3 * H], kept[one], dy ? dy[one] : 0.0f, dcells ? dcells[one] : 0.0f};
}

// gates, kept and y as forward left them; da (N, 4H) is what comes out, the gradients of what the gates were taken of, and in
// h_before (N, H) the state that entered each step. All after y may be null, but for da.
extern "C" __global__ void __launch_bounds__(THREADS, 1) lstm_backward(
    const float* w_hh, const float* h_0, const int* offsets, int T, int B, int reverse,
    const float* gates, const float* kept, const float* y, const float* dy, const float* dh_n, const float* dc_n, const float* dcells,
    float* da, float* h_before, float* dh_0, float* dc_0) {
    extern __shared__ float4 shared[];
    const Path path({offsets, T, B, reverse}, blockIdx.x);
    const int lane = threadIdx.x % 16, first = threadIdx.x / 16 * 4, unit = first + lane % 4, gate = lane / 4;  // (h)
    const int column = gate * H + unit, state = path.j * H + unit;
    const bool mine = unit < H;

    Matrix<4, 16, 4 * H, THREADS, HELD_BACKWARD> weights;
    weights.load(shared, [&](int row, int k) { return first + row < H && k < 4 * H ? w_hh[k * H + first + row] : 0.0f; });
    constexpr int WIDTH = weights.WIDTH;
    float* d = reinterpret_cast<float*>(shared + weights.SHARED);
    clear_ends<WIDTH, 4 * H, THREADS>(d);

    float dh = mine && dh_n ? dh_n[state] : 0.0f, dc = mine && dc_n ? dc_n[state] : 0.0f, before = 0.0f;
    Kept ahead = {};
    if (mine) ahead = fetch(gates, kept, dy, dcells, path.row(path.length - 1), unit);
    for (int k = path.length - 1; k >= 0; --k) {
        const size_t row = path.row(k);
        const Kept now = ahead;
        if (mine && k > 0) {
            ahead = fetch(gates, kept, dy, dcells, path.row(k - 1), unit);
            if (h_before && gate == 0) before = y[path.row(k - 1) * H + unit];
        } else if (mine && h_before && gate == 0) {
            before = h_0 ? h_0[state] : 0.0f;
        }
        const float u = now.i * now.g, tanh_c = tanhf(now.v + u), m = now.o * tanh_c;
        const float slope = gate == 0 ? u * (1.0f - now.i)            // (1')  per unit of dc
                          : gate == 1 ? now.v * (1.0f - now.f)        // (2')
                          : gate == 2 ? now.i - u * now.g             // (3')
                                      : m * (1.0f - now.o);           // (4')  per unit of dh
        dh += now.dy;
        dc += now.dcell + dh * (now.o - m * tanh_c);  // (6')
        const float gradient = slope * (gate == 3 ? dh : dc);
        dc *= now.f;  // (5')
        float* vector = d + k % 2 * WIDTH;
        if (mine) vector[column] = da[row * 4 * H + column] = gradient;
        __syncthreads();  // all gradients of this step are there
        dh = weights.times(vector);
        if (mine && h_before && gate == 0) h_before[row * H + unit] = before;
    }
    if (mine && gate == 0 && dh_0) dh_0[state] = dh;
    if (mine && gate == 1 && dc_0) dc_0[state] = dc;
}
