// The way back of gru_spread.cu. dh_0 (B, H) carries gradients from step to step.
//
// Sizes: H, THREADS, TILE, BLOCKS of a crew, TEAMS of a block for each gate, TF32.

#include "spread_back.cuh"

extern "C" __global__ void __launch_bounds__(THREADS, 1) gru_spread_backward(
    const float* w_hh, const float* h_0, const int* offsets, int T, int B, int reverse,
    const float* gates, const float* kept, const float* y, const float* dy, const float* dh_n,
    float* da_x, float* da_h, float* h_before, float* dh_0, unsigned* counters) {
    extern __shared__ float4 shared[];
    float* tile = reinterpret_cast<float*>(shared);
    const Steps steps = {offsets, T, B, reverse};
    Back<3> back;
    back.load(w_hh);
    unsigned wanted = 0;
    for (int k = T - 1; k >= 0; --k) {
        const Step before = steps.at(k - 1), now = steps.at(k), after = steps.at(k + 1);
        const int count = steps.count(now);
        for (int from = 0; from < count; from += TILE) {
            back.each_unit(min(TILE, count - from), [&](int row, int unit) {
                const int j = steps.place(from + row), state = j * H + unit;
                const size_t one = now.row(j) * H + unit, three = now.row(j) * 3 * H + unit;
                const float r = gates[three], z = gates[three + H], n = gates[three + 2 * H];
                const float h = state_before(before, j, unit, y, h_0);
                float dh = after.has(j) ? dh_0[state] : dh_n ? dh_n[state] : 0.0f;
                dh += dy ? dy[one] : 0.0f;
                const float dn = dh * (1.0f - n * n) * (1.0f - z), ds = dn * r;              // (3'), (4')
                da_h[three] = da_x[three] = ds * kept[one] * (1.0f - r);                     // (1')
                da_h[three + H] = da_x[three + H] = dh * (h - n) * z * (1.0f - z);           // (2')
                da_h[three + 2 * H] = ds;
                da_x[three + 2 * H] = dn;
                dh_0[state] = dh * z;                                                        // (4')
                if (h_before) h_before[one] = h;
            });
        }
        if (count > 0) crew_barrier(counters, wanted);  // the gradients of all units are there
        for (int from = 0; from < count; from += TILE) back.add(tile, steps, now, from, min(TILE, count - from), da_h, dh_0);
    }
}
