// Products on tensor cores, in TF32: see spread.cuh for who uses them.
//
// A tensor core multiplies small matrices, fragments, which a warp has between its lanes in an order that the hardware wants. For
// (16, 8) @ (8, 8), a lane, with g = lane / 4 and t = lane % 4, has the elements
//
//     of the left factor     (g, t)    (g + 8, t)       (g, t + 4)    (g + 8, t + 4)
//     of the right factor    (t, g)    (t + 4, g)
//     of the product         (g, 2t)   (g, 2t + 1)      (g + 8, 2t)   (g + 8, 2t + 1)
//
// Here 16 vectors stand on the left, and eight rows of the matrix, as columns, on the right. It does not matter which eight places
// of the vectors meet in a fragment, if both factors agree: lane t takes the four neighbours from 4t on in one go, for two products.
//
//     place of 16       0 1 2 3 | 4 5 6 7 | 8 . . . | . . . .
//     lane t            0 0 0 0   1 1 1 1   2 2 2 2   3 3 3 3
//     product           1 1 2 2   1 1 2 2   1 1 2 2   1 1 2 2
//
// TF32 is float32 of which the multiplication sees the first 11 significant bits; sums are float32.

#ifndef EMULATED
// The nearest number in TF32.
__device__ inline float to_tf32(float x) {
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return __uint_as_float(bits);
}

// product += left @ right
__device__ inline void multiply_fragments(float (&product)[4], float4 left, float2 right) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(product[0]), "+f"(product[1]), "+f"(product[2]), "+f"(product[3])
        : "r"(__float_as_uint(left.x)), "r"(__float_as_uint(left.y)), "r"(__float_as_uint(left.z)), "r"(__float_as_uint(left.w)),
          "r"(__float_as_uint(right.x)), "r"(__float_as_uint(right.y)));
}
#endif

__device__ inline float4 to_tf32(float4 x) { return make_float4(to_tf32(x.x), to_tf32(x.y), to_tf32(x.z), to_tf32(x.w)); }

// Eight rows of a matrix, in the registers of a warp.
template <int COLUMNS>
struct Fragments {
    static constexpr int CHUNKS = (COLUMNS + 15) / 16, WIDTH = 16 * CHUNKS;

    float4 held[CHUNKS];  // of row g, the places of lane t
    int lane;

    template <class Entry>
    __device__ void load(Entry entry) {
        lane = threadIdx.x % 32;
#pragma unroll
        for (int chunk = 0; chunk < CHUNKS; ++chunk) {
            const int row = lane / 4, column = 16 * chunk + lane % 4 * 4;
            const float4 four = make_float4(entry(row, column), entry(row, column + 1), entry(row, column + 2), entry(row, column + 3));
            held[chunk] = to_tf32(four);
        }
    }

    // The products with 16 vectors in shared memory, `stride` numbers apart, in the order above: (16, 8).
    __device__ void times(const float* vectors, int stride, float (&product)[4]) const {
        const float4* low = reinterpret_cast<const float4*>(vectors + lane / 4 * stride) + lane % 4;
        const float4* high = reinterpret_cast<const float4*>(vectors + (lane / 4 + 8) * stride) + lane % 4;
        float others[4] = {0.0f, 0.0f, 0.0f, 0.0f};  // a sum of their own, which need not wait for the first
        product[0] = product[1] = product[2] = product[3] = 0.0f;
#pragma unroll
        for (int chunk = 0; chunk < CHUNKS; ++chunk) {
            const float4 a = low[4 * chunk], b = high[4 * chunk], w = held[chunk];
            multiply_fragments(product, make_float4(a.x, b.x, a.y, b.y), make_float2(w.x, w.y));
            multiply_fragments(others, make_float4(a.z, b.z, a.w, b.w), make_float2(w.z, w.w));
        }
#pragma unroll
        for (int n = 0; n < 4; ++n) product[n] += others[n];
    }
};
