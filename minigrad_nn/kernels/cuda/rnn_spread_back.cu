// The way back of rnn_spread.cu. dh_0 (B, H) carries gradients from step to step.
//
// Sizes: H, THREADS, TILE, BLOCKS of a crew, TEAMS of a block for each gate, TF32, ACTIVATION.

#include "spread_back.cuh"
#include "activation.cuh"

extern "C" __global__ void __launch_bounds__(THREADS, 1) rnn_spread_backward(
    const float* w_hh, const float* h_0, const int* offsets, int T, int B, int reverse,
    const float* y, const float* dy, const float* dh_n, float* da, float* h_before, float* dh_0, unsigned* counters) {
    extern __shared__ float4 shared[];
    float* tile = reinterpret_cast<float*>(shared);
    const Steps steps = {offsets, T, B, reverse};
    Back<1> back;
    back.load(w_hh);
    unsigned wanted = 0;
    for (int k = T - 1; k >= 0; --k) {
        const Step before = steps.at(k - 1), now = steps.at(k), after = steps.at(k + 1);
        const int count = steps.count(now);
        for (int from = 0; from < count; from += TILE) {
            back.each_unit(min(TILE, count - from), [&](int row, int unit) {
                const int j = steps.place(from + row), state = j * H + unit;
                const size_t here = now.row(j) * H + unit;
                const float dh = after.has(j) ? dh_0[state] : dh_n ? dh_n[state] : 0.0f;
                const float h = h_before ? state_before(before, j, unit, y, h_0) : 0.0f;
                da[here] = slope(y[here]) * (dh + (dy ? dy[here] : 0.0f));  // (1')
                dh_0[state] = 0.0f;
                if (h_before) h_before[here] = h;
            });
        }
        if (count > 0) crew_barrier(counters, wanted);  // the gradients of all units are there
        for (int from = 0; from < count; from += TILE) back.add(tile, steps, now, from, min(TILE, count - from), da, dh_0);
    }
}
