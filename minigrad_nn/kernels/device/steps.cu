// One step of each cell but for its product of matrices: design b, one launch of one of these per step.
//
// Read cells.py first; numbers in brackets are its equations, and a prime marks the derivative of one.
//
// A thread computes one number of the state: unit k of one row of the batch. Blocks are numbered by row in x, and by
// groups of units in y, so no index has to be divided. Matrices are stored by rows, without gaps; a step's rows begin at
// `first` in what belongs to all steps (N, …), and at 0 in what is carried from step to step (B, …), which is
// overwritten: each number is read and written by its own thread alone, so that no thread waits for another.
//
// Two lines stand in front of this file when it is compiled: `number`, the type that is stored, and `real`, in which is computed.

#define UNIT \
    const long long row = blockIdx.x, k = (long long)blockIdx.y * blockDim.x + threadIdx.x; \
    if (k >= H) return; \
    const long long carried = row * H + k, here = (first + row) * H + k

__device__ inline real sum(number a, number u, number b, number d) { return real(a) + real(u) + real(b) + real(d); }
__device__ inline real sigmoid(real a) { return real(1) / (real(1) + exp(-a)); }
__device__ inline real read(const number* rows, long long place) { return rows ? real(rows[place]) : real(0); }  // zeros, if not given

// --------------------------------------------------------------------------------------------------------------- RNN

__device__ inline real activated(long long activation, real a) {
    if (activation == 0) return tanh(a);
    if (activation == 1) return a < real(0) ? real(0) : a;  // NaN stays
    return sigmoid(a);
}

__device__ inline real slope(long long activation, real h) {  // by the value: 1 - h², [h > 0] or h (1 - h)
    if (activation == 0) return real(1) - h * h;
    if (activation == 1) return h > real(0) ? real(1) : h;
    return h * (real(1) - h);
}

// y (N, H): W_ih x, becomes h. recurrent (B, H): W_hh h. h (B, H): the state.
extern "C" __global__ void rnn_forward(long long H, long long first, long long activation, number* y, const number* recurrent,
                                       const number* b_ih, const number* b_hh, number* h) {
    UNIT;
    y[here] = h[carried] = activated(activation, sum(y[here], recurrent[carried], b_ih[k], b_hh[k]));  // (1)
}

// da (N, H): out. dh (B, H): W_hhᵀ da of the step after. dy (N, H), or 0.
extern "C" __global__ void rnn_backward(long long H, long long first, long long activation, number* da, const number* y,
                                        const number* dh, const number* dy) {
    UNIT;
    da[here] = (real(dh[carried]) + read(dy, here)) * slope(activation, y[here]);  // (1')
}

// -------------------------------------------------------------------------------------------------------------- LSTM

// gates (N, 4H): W_ih x, become i f g o. recurrent (B, 4H): W_hh h. v (N, H): f ⊙ c, out. m (N, H): o ⊙ tanh(c), out.
// c, h (B, H): the state; with a projection (7) comes after, and h is scratch.
extern "C" __global__ void lstm_forward(long long H, long long first, number* gates, const number* recurrent, const number* b_ih,
                                        const number* b_hh, number* v, number* c, number* m, number* h) {
    UNIT;
    number* a = gates + (first + row) * 4 * H + k;
    const number* u = recurrent + row * 4 * H + k;
    const real i = sigmoid(sum(a[0], u[0], b_ih[k], b_hh[k]));                           // (1)
    const real f = sigmoid(sum(a[H], u[H], b_ih[H + k], b_hh[H + k]));                   // (2)
    const real g = tanh(sum(a[2 * H], u[2 * H], b_ih[2 * H + k], b_hh[2 * H + k]));      // (3)
    const real o = sigmoid(sum(a[3 * H], u[3 * H], b_ih[3 * H + k], b_hh[3 * H + k]));   // (4)
    const real kept = f * real(c[carried]), now = kept + i * g;                          // (5)
    a[0] = i, a[H] = f, a[2 * H] = g, a[3 * H] = o;
    v[here] = kept, c[carried] = now;
    m[here] = h[carried] = o * tanh(now);                                                // (6)
}

// da (N, 4H): out. dm (B, H): of m, without dy (N, H), or 0. dc (B, H): carried on. dcells (N, H): of c at every step, or 0.
extern "C" __global__ void lstm_backward(long long H, long long first, number* da, const number* gates, const number* v,
                                         const number* dm, number* dc, const number* dy, const number* dcells) {
    UNIT;
    const number* gate = gates + (first + row) * 4 * H + k;
    number* d = da + (first + row) * 4 * H + k;
    const real i = gate[0], f = gate[H], g = gate[2 * H], o = gate[3 * H], kept = v[here];
    const real shown = tanh(kept + i * g);                                                                // (5), tanh(c)
    const real of_m = real(dm[carried]) + read(dy, here);
    const real of_c = real(dc[carried]) + of_m * o * (real(1) - shown * shown) + read(dcells, here);      // (6')
    d[0] = of_c * g * i * (real(1) - i);                                                                  // (1')
    d[H] = of_c * kept * (real(1) - f);                                                                   // (2')  kept is c_before f
    d[2 * H] = of_c * i * (real(1) - g * g);                                                              // (3')
    d[3 * H] = of_m * shown * o * (real(1) - o);                                                          // (4')
    dc[carried] = of_c * f;                                                                               // (5')
}

// --------------------------------------------------------------------------------------------------------------- GRU

// gates (N, 3H): W_ih x, become r z n. recurrent (B, 3H): W_hh h. s (N, H): W_hn h + b_hn, out. d (N, H): h - n, out.
// h (B, H): the state. y (N, H): the state too, out.
extern "C" __global__ void gru_forward(long long H, long long first, number* gates, const number* recurrent, const number* b_ih,
                                       const number* b_hh, number* s, number* d, number* h, number* y) {
    UNIT;
    number* a = gates + (first + row) * 3 * H + k;
    const number* u = recurrent + row * 3 * H + k;
    const real r = sigmoid(sum(a[0], u[0], b_ih[k], b_hh[k]));                           // (1)
    const real z = sigmoid(sum(a[H], u[H], b_ih[H + k], b_hh[H + k]));                   // (2)
    const real inside = real(u[2 * H]) + real(b_hh[2 * H + k]);
    const real n = tanh(real(a[2 * H]) + real(b_ih[2 * H + k]) + r * inside);            // (3)
    const real apart = real(h[carried]) - n;
    a[0] = r, a[H] = z, a[2 * H] = n;
    s[here] = inside, d[here] = apart;
    y[here] = h[carried] = n + z * apart;                                                // (4)
}

// Of_input and of_state (N, 3H): out, the gradients of what x and what h are multiplied into; they differ in n, by r.
// dh (B, H): W_hhᵀ of_state of the step after; direct (B, H): what of dh did not pass through a product, carried on.
extern "C" __global__ void gru_backward(long long H, long long first, number* of_input, number* of_state, const number* gates,
                                        const number* s, const number* d, const number* dh, number* direct, const number* dy) {
    UNIT;
    const long long at = (first + row) * 3 * H + k;
    const real r = gates[at], z = gates[at + H], n = gates[at + 2 * H];
    const real of_h = real(dh[carried]) + real(direct[carried]) + read(dy, here);
    const real dn = of_h * (real(1) - z) * (real(1) - n * n);                            // (3'), (4')
    const real dz = of_h * real(d[here]) * z * (real(1) - z);                            // (2'), (4')
    const real dr = dn * real(s[here]) * r * (real(1) - r);                              // (1'), (3')
    of_input[at] = of_state[at] = dr, of_input[at + H] = of_state[at + H] = dz;
    of_input[at + 2 * H] = dn, of_state[at + 2 * H] = dn * r;
    direct[carried] = of_h * z;                                                          // (4')
}

// ------------------------------------------------------------------------- GRU whose reset gate acts before the product

// Its step has two products: of h for r and z (B, 2H), then of s = r ⊙ h (N, H) for n (B, H). So these come in pairs.
extern "C" __global__ void gru_before_forward_1(long long H, long long first, number* gates, const number* recurrent, const number* b_ih,
                                                const number* b_hh, number* s, const number* h) {
    UNIT;
    number* a = gates + (first + row) * 3 * H + k;
    const number* u = recurrent + row * 2 * H + k;
    const real r = sigmoid(sum(a[0], u[0], b_ih[k], b_hh[k]));                           // (1)
    const real z = sigmoid(sum(a[H], u[H], b_ih[H + k], b_hh[H + k]));                   // (2)
    a[0] = r, a[H] = z;
    s[here] = r * real(h[carried]);
}

extern "C" __global__ void gru_before_forward_2(long long H, long long first, number* gates, const number* last, const number* b_ih,
                                                const number* b_hh, number* d, number* h, number* y) {
    UNIT;
    number* a = gates + (first + row) * 3 * H + k;
    const real z = a[H], n = tanh(sum(a[2 * H], last[carried], b_ih[2 * H + k], b_hh[2 * H + k]));   // (3b)
    const real apart = real(h[carried]) - n;
    a[2 * H] = n, d[here] = apart;
    y[here] = h[carried] = n + z * apart;                                                // (4)
}

// da (N, 3H): out, z and n. pair (B, 2H): the same z, for the product. dn (B, H): n again, for the other product.
extern "C" __global__ void gru_before_backward_1(long long H, long long first, number* da, number* pair, number* of_n, const number* gates,
                                                 const number* d, const number* dh, number* direct, const number* dy) {
    UNIT;
    const long long at = (first + row) * 3 * H + k;
    const real z = gates[at + H], n = gates[at + 2 * H];
    const real of_h = real(dh[carried]) + real(direct[carried]) + read(dy, here);
    da[at + H] = pair[row * 2 * H + H + k] = of_h * real(d[here]) * z * (real(1) - z);   // (2'), (4')
    da[at + 2 * H] = of_n[carried] = of_h * (real(1) - z) * (real(1) - n * n);           // (3b'), (4')
    direct[carried] = of_h * z;                                                          // (4')
}

// ds (B, H): W_hnᵀ dn, the gradient of s.
extern "C" __global__ void gru_before_backward_2(long long H, long long first, number* da, number* pair, const number* gates,
                                                 const number* s, const number* ds, number* direct) {
    UNIT;
    const long long at = (first + row) * 3 * H + k;
    const real r = gates[at], of_s = ds[carried];
    da[at] = pair[row * 2 * H + k] = of_s * real(s[here]) * (real(1) - r);               // (1')  s is r h
    direct[carried] = real(direct[carried]) + of_s * r;                                  // (3b')
}
