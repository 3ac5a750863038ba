// The GRU for all steps, one block for one row of the batch, in PyTorch's form: the reset gate acts after the product. It
// computes what `gru_step` in cells.py computes; numbers in brackets are its equations, a prime marks the derivative of one.
// Read that first, then lstm.cu, whose moves these are; teams and lanes are alike.
//
//     (1) r = sigmoid(W_ir @ x + b_ir + s_r)    (2) z = sigmoid(W_iz @ x + b_iz + s_z)    with s = W_hh @ h + b_hh
//     (3) n = tanh(W_in @ x + b_in + r * s_n)
//     (4) h = n + z * (h - n)
//
// Forward, lane 0 of a team of four has r, lane 1 z, lane 2 s_n, and lane 3 helps with the product. Backward, the lanes of a
// unit have the gradients of the three sums s_r, s_z, s_n, and that of n's sum on the side of the input. Kept are r, z, n where their
// pre-activations stood, and s_n.
//
// Sizes: H, THREADS, HELD_FORWARD, HELD_BACKWARD.

#include "product.cuh"
#include "steps.cuh"

// gates (N, 3H) come in as W_ih @ x, and go out as r, z, n if kept (N, H) is there for s_n; y (N, H), h_n (B, H).
// b_ih, b_hh (3H) and h_0 (B, H) may be null, and kept.
extern "C" __global__ void __launch_bounds__(THREADS, 1) gru_forward(
    const float* w_hh, const float* b_ih, const float* b_hh, const float* h_0, const int* offsets, int T, int B, int reverse,
    float* gates, float* kept, float* y, float* h_n) {
    extern __shared__ float4 shared[];
    const Path path({offsets, T, B, reverse}, blockIdx.x);
    const int unit = threadIdx.x / 4, gate = threadIdx.x % 4, column = gate * H + unit, state = path.j * H + unit;
    const bool mine = unit < H, has_gate = mine && gate < 3;

    Matrix<3, 4, H, THREADS, HELD_FORWARD> weights;
    weights.load(shared, [&](int row, int k) { return mine && k < H ? w_hh[(row * H + unit) * H + k] : 0.0f; });
    constexpr int WIDTH = weights.WIDTH;
    float* h = reinterpret_cast<float*>(shared + weights.SHARED);
    clear_ends<WIDTH, H, THREADS>(h);

    float value = mine && h_0 ? h_0[state] : 0.0f;
    const float bias_x = has_gate && b_ih ? b_ih[column] : 0.0f, bias_h = has_gate && b_hh ? b_hh[column] : 0.0f;
    size_t row = path.row(0);
    float ahead = has_gate ? gates[row * 3 * H + column] : 0.0f;
    for (int k = 0; k < path.length; ++k) {
        const bool more = k + 1 < path.length;
        const size_t next = more ? path.row(k + 1) : 0;
        float* before = h + k % 2 * WIDTH;
        if (mine && gate == 0) before[unit] = value;
        __syncthreads();  // all of the state before is there
        const float projected = ahead + bias_x;
        if (has_gate && more) ahead = gates[next * 3 * H + column];
        const float sum = weights.times(before) + bias_h, own = tanh_or_sigmoid(projected + sum, false);  // (1), (2)
        const float r = __shfl_sync(ALL, own, 0, 4), z = __shfl_sync(ALL, own, 1, 4);
        const float s = __shfl_sync(ALL, sum, 2, 4), a = __shfl_sync(ALL, projected, 2, 4);
        const float n = tanhf(a + r * s);  // (3)
        value = n + z * (value - n);  // (4)
        if (has_gate && kept) gates[row * 3 * H + column] = gate == 2 ? n : own;
        if (mine && gate == 3 && kept) kept[row * H + unit] = s;
        if (mine && gate == 0) y[row * H + unit] = value;
        row = next;
    }
    if (mine && gate == 0) h_n[state] = value;
}

// What one step left for the way back, of one unit, the state that entered it, and the gradient that comes in from outside.
struct Kept {
    float r, z, n, s, before, dy;
};

// gates, kept and y as forward left them. Out come the gradients of W_ih @ x, da_x (N, 3H), and of W_hh @ h, da_h (N, 3H), and in
// h_before (N, H) the state that entered each step. h_0, dy, dh_n, h_before and dh_0 may be null.
extern "C" __global__ void __launch_bounds__(THREADS, 1) gru_backward(
    const float* w_hh, const float* h_0, const int* offsets, int T, int B, int reverse,
    const float* gates, const float* kept, const float* y, const float* dy, const float* dh_n,
    float* da_x, float* da_h, float* h_before, float* dh_0) {
    extern __shared__ float4 shared[];
    const Path path({offsets, T, B, reverse}, blockIdx.x);
    const int lane = threadIdx.x % 16, first = threadIdx.x / 16 * 4, unit = first + lane % 4, gate = lane / 4;
    const int column = gate * H + unit, state = path.j * H + unit;
    const bool mine = unit < H;

    Matrix<4, 16, 3 * H, THREADS, HELD_BACKWARD> weights;
    weights.load(shared, [&](int row, int k) { return first + row < H && k < 3 * H ? w_hh[k * H + first + row] : 0.0f; });
    constexpr int WIDTH = weights.WIDTH;
    float* d = reinterpret_cast<float*>(shared + weights.SHARED);
    clear_ends<WIDTH, 3 * H, THREADS>(d);

    const auto fetch = [&](int k) -> Kept {
        const size_t row = path.row(k), one = row * H + unit;
        const float* three = gates + row * 3 * H + unit;
        const float before = k > 0 ? y[path.row(k - 1) * H + unit] : h_0 ? h_0[state] : 0.0f;
        return {three[0], three[H], three[2 * H], kept[one], before, dy ? dy[one] : 0.0f};
    };
    float dh = mine && dh_n ? dh_n[state] : 0.0f;
    Kept ahead = {};
    if (mine) ahead = fetch(path.length - 1);
    for (int k = path.length - 1; k >= 0; --k) {
        const size_t row = path.row(k);
        const Kept now = ahead;
        if (mine && k > 0) ahead = fetch(k - 1);
        const float dn = (1.0f - now.n * now.n) * (1.0f - now.z), ds = dn * now.r;  // (3'), (4')  per unit of dh
        const float slope = gate == 0 ? ds * now.s * (1.0f - now.r)                          // (1')
                          : gate == 1 ? (now.before - now.n) * now.z * (1.0f - now.z)        // (2')
                          : gate == 2 ? ds : dn;
        dh += now.dy;
        const float gradient = slope * dh;
        float* vector = d + k % 2 * WIDTH;
        if (mine && gate < 3) vector[column] = da_h[row * 3 * H + column] = gradient;
        if (mine && gate == 0 && h_before) h_before[row * H + unit] = now.before;
        if (mine && gate != 2) da_x[row * 3 * H + (gate == 3 ? 2 * H : gate * H) + unit] = gradient;
        __syncthreads();  // all gradients of this step are there
        dh = weights.times(vector) + dh * now.z;  // (4')
    }
    if (mine && gate == 0 && dh_0) dh_0[state] = dh;
}
