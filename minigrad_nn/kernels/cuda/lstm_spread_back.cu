// The way back of lstm_spread.cu. dh_0 and dc_0 (B, H) carry gradients from step to step, and must be there; so must da.
//
// Sizes: H, THREADS, TILE, BLOCKS of a crew, TEAMS of a block for each gate, TF32.

#include "spread_back.cuh"

extern "C" __global__ void __launch_bounds__(THREADS, 1) lstm_spread_backward(
    const float* w_hh, const float* h_0, const int* offsets, int T, int B, int reverse,
    const float* gates, const float* kept, const float* y, const float* dy, const float* dh_n, const float* dc_n, const float* dcells,
    float* da, float* h_before, float* dh_0, float* dc_0, unsigned* counters) {
    extern __shared__ float4 shared[];
    float* tile = reinterpret_cast<float*>(shared);
    const Steps steps = {offsets, T, B, reverse};
    Back<4> back;
    back.load(w_hh);
    unsigned wanted = 0;
    for (int k = T - 1; k >= 0; --k) {
        const Step before = steps.at(k - 1), now = steps.at(k), after = steps.at(k + 1);
        const int count = steps.count(now);
        for (int from = 0; from < count; from += TILE) {
            back.each_unit(min(TILE, count - from), [&](int row, int unit) {
                const int j = steps.place(from + row), state = j * H + unit;
                const size_t one = now.row(j) * H + unit, four = now.row(j) * 4 * H + unit;
                const bool last = !after.has(j);
                const float i = gates[four], f = gates[four + H], g = gates[four + 2 * H], o = gates[four + 3 * H], v = kept[one];
                const float h = h_before ? state_before(before, j, unit, y, h_0) : 0.0f;
                const float u = i * g, tanh_c = tanhf(v + u), m = o * tanh_c;
                float dh = !last ? dh_0[state] : dh_n ? dh_n[state] : 0.0f, dc = !last ? dc_0[state] : dc_n ? dc_n[state] : 0.0f;
                dh += dy ? dy[one] : 0.0f;
                dc += (dcells ? dcells[one] : 0.0f) + dh * (o - m * tanh_c);  // (6')
                da[four] = dc * u * (1.0f - i);              // (1')
                da[four + H] = dc * v * (1.0f - f);          // (2')
                da[four + 2 * H] = dc * (i - u * g);         // (3')
                da[four + 3 * H] = dh * m * (1.0f - o);      // (4')
                dc_0[state] = dc * f;                        // (5')
                dh_0[state] = 0.0f;
                if (h_before) h_before[one] = h;
            });
        }
        if (count > 0) crew_barrier(counters, wanted);  // the gradients of all units are there
        for (int from = 0; from < count; from += TILE) back.add(tile, steps, now, from, min(TILE, count - from), da, dh_0);
    }
}
