// The RNN for all steps, one block for one row of the batch. It computes what `rnn_step` in cells.py computes, whose equation
// is (1), and (1') its derivative; read that first, then product.cuh and steps.cuh.
//
//     (1)  h = activation(W_ih @ x + b_ih + W_hh @ h + b_hh)
//
// What makes it fast:
//     (a) W_ih @ x of all steps is one product, made before; it stands in y, where states overwrite it
//     (b) W_hh stays on chip, and h never leaves it on its way to the next step
//     (c) one barrier per step: a step reads one of two vectors and writes the other
//     (d) what a step needs from main memory is asked for one step ahead
//     (e) the slope of the activation follows from its value
//     (f) gradients of weights, biases and inputs are products made afterwards
//
// Sizes: H, THREADS, HELD_FORWARD, HELD_BACKWARD, ACTIVATION (0 tanh, 1 relu, 2 sigmoid). Thread u has unit u in its care.

#include "product.cuh"
#include "activation.cuh"
#include "steps.cuh"

// y (N, H) comes in as W_ih @ x and goes out as h; h_n (B, H). b_ih, b_hh (H) and h_0 (B, H) may be null.
extern "C" __global__ void __launch_bounds__(THREADS, 1) rnn_forward(
    const float* w_hh, const float* b_ih, const float* b_hh, const float* h_0, const int* offsets, int T, int B, int reverse,
    float* y, float* h_n) {
    extern __shared__ float4 shared[];
    const Path path({offsets, T, B, reverse}, blockIdx.x);
    const int unit = threadIdx.x, first = unit / 4 * 4, state = path.j * H + unit;
    const bool mine = unit < H;

    Matrix<4, 4, H, THREADS, HELD_FORWARD> weights;  // rows `first` … `first + 3` of W_hh belong to this team of four
    weights.load(shared, [&](int row, int k) { return first + row < H && k < H ? w_hh[(first + row) * H + k] : 0.0f; });
    constexpr int WIDTH = weights.WIDTH;
    float* h = reinterpret_cast<float*>(shared + weights.SHARED);  // two vectors (c)
    clear_ends<WIDTH, H, THREADS>(h);

    float value = mine && h_0 ? h_0[state] : 0.0f;
    const float bias = (mine && b_ih ? b_ih[unit] : 0.0f) + (mine && b_hh ? b_hh[unit] : 0.0f);
    size_t row = path.row(0);
    float ahead = mine ? y[row * H + unit] : 0.0f;
    for (int k = 0; k < path.length; ++k) {
        const bool more = k + 1 < path.length;
        const size_t next = more ? path.row(k + 1) : 0;
        float* before = h + k % 2 * WIDTH;
        if (mine) before[unit] = value;
        __syncthreads();  // all of the state before is there
        const float projected = ahead + bias;
        if (mine && more) ahead = y[next * H + unit];  // (d)
        value = activation(projected + weights.times(before));  // (1)
        if (mine) y[row * H + unit] = value;
        row = next;
    }
    if (mine) h_n[state] = value;
}

// y (N, H) as forward left it; da (N, H) is what comes out, the gradient of what the activation was taken of, and in h_before
// (N, H) the state that entered each step. h_0, dy (N, H), dh_n and dh_0 (B, H) may be null, as may h_before.
extern "C" __global__ void __launch_bounds__(THREADS, 1) rnn_backward(
    const float* w_hh, const float* h_0, const int* offsets, int T, int B, int reverse,
    const float* y, const float* dy, const float* dh_n, float* da, float* h_before, float* dh_0) {
    extern __shared__ float4 shared[];
    const Path path({offsets, T, B, reverse}, blockIdx.x);
    const int unit = threadIdx.x, first = unit / 4 * 4, state = path.j * H + unit;
    const bool mine = unit < H;

    Matrix<4, 4, H, THREADS, HELD_BACKWARD> weights;  // rows of the transposed W_hh: what a state did to all units after it
    weights.load(shared, [&](int row, int k) { return first + row < H && k < H ? w_hh[k * H + first + row] : 0.0f; });
    constexpr int WIDTH = weights.WIDTH;
    float* d = reinterpret_cast<float*>(shared + weights.SHARED);  // two vectors (c)
    clear_ends<WIDTH, H, THREADS>(d);

    float dh = mine && dh_n ? dh_n[state] : 0.0f, ahead_dy = 0.0f, before = 0.0f;
    float value = mine ? y[path.row(path.length - 1) * H + unit] : 0.0f;
    if (mine && dy) ahead_dy = dy[path.row(path.length - 1) * H + unit];
    for (int k = path.length - 1; k >= 0; --k) {
        const size_t here = path.row(k) * H + unit;
        const float gradient = slope(value) * (dh + ahead_dy);  // (1') by (e)
        if (mine && k > 0) {  // (d)
            before = y[path.row(k - 1) * H + unit];
            ahead_dy = dy ? dy[path.row(k - 1) * H + unit] : 0.0f;
        } else if (mine) {
            before = h_0 ? h_0[state] : 0.0f;
        }
        float* vector = d + k % 2 * WIDTH;
        if (mine) vector[unit] = da[here] = gradient;
        __syncthreads();  // all gradients of this step are there
        dh = weights.times(vector);
        if (mine && h_before) h_before[here] = before;
        value = before;
    }
    if (mine && dh_0) dh_0[state] = dh;
}
