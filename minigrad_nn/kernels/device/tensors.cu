// What is done to many tensors at once, one launch for all: a step of an optimiser, and clipping.
//
// A launch names up to MANY tensors in a table that is an argument itself, so nothing is copied to the GPU before it.
// Blocks are numbered by tensor in y, and share a tensor's elements in x. The equations are those of the classes in
// optim/ and of utils/clip_grad.py.
//
// In front of this file stand `number`, the type that is stored, and `real`, in which is computed.

#define MANY 56  // so many that the table fits the 4 KB which arguments may have

struct Table {
    number* tensors[5][MANY];  // by column: the tensor, its gradient, and what an optimiser keeps of it; 0 where there is none
    long long sizes[MANY];
    double numbers[2][MANY];   // what differs from tensor to tensor in a step
};

#define EACH_ELEMENT \
    const int t = blockIdx.y; \
    const long long one = (long long)blockIdx.x * blockDim.x + threadIdx.x, all = (long long)gridDim.x * blockDim.x; \
    for (long long i = one; i < table.sizes[t]; i += all)

__device__ inline real decayed(real g, real p, real weight_decay) { return weight_decay == real(0) ? g : weight_decay * p + g; }

// numbers: how much of d goes into b. sign: -1 to maximize.
extern "C" __global__ void sgd(const Table table, double lr, double momentum, double weight_decay, double sign, long long nesterov) {
    EACH_ELEMENT {
        number *p = table.tensors[0][t] + i, *b = table.tensors[2][t];
        real d = decayed(real(sign) * real(table.tensors[1][t][i]), real(*p), real(weight_decay));  // (1)
        if (b) {
            const real sum = real(momentum) * real(b[i]) + real(table.numbers[0][t]) * d;           // (2)
            b[i] = sum;
            d = nesterov ? d + real(momentum) * sum : sum;                                          // (3)
        }
        *p = real(*p) - real(lr) * d;                                                               // (4)
    }
}

// numbers: the size of a step, lr √(1 − β₂ᵗ) / (1 − β₁ᵗ), and ε √(1 − β₂ᵗ). shrink: 1 − η λ where decay is decoupled, else 1.
extern "C" __global__ void adam(const Table table, double beta1, double beta2, double weight_decay, double shrink, double sign) {
    EACH_ELEMENT {
        number *p = table.tensors[0][t] + i, *m = table.tensors[2][t] + i, *v = table.tensors[3][t] + i, *most = table.tensors[4][t];
        const real was = real(*p) * real(shrink);
        const real d = decayed(real(sign) * real(table.tensors[1][t][i]), was, real(weight_decay));  // (1)
        const real mean = real(beta1) * real(*m) + real(1 - beta1) * d;                              // (2)
        const real square = real(beta2) * real(*v) + real(1 - beta2) * (d * d);                      // (3)
        real v_hat = square;
        if (most) {
            v_hat = real(most[i]) >= square || isnan(real(most[i])) ? real(most[i]) : square;        // (4)  NaN stays
            most[i] = v_hat;
        }
        const real s = sqrt(v_hat) + real(table.numbers[1][t]);                                      // (5)
        *m = mean, *v = square;
        *p = was - real(table.numbers[0][t]) * (mean / s);                                           // (6)
    }
}

extern "C" __global__ void rmsprop(const Table table, double lr, double alpha, double eps, double weight_decay, double momentum,
                                   double sign, long long centered) {
    EACH_ELEMENT {
        number *p = table.tensors[0][t] + i, *v = table.tensors[2][t] + i;
        number *m = centered ? table.tensors[3][t] : 0, *b = table.tensors[centered ? 4 : 3][t];
        const real d = decayed(real(sign) * real(table.tensors[1][t][i]), real(*p), real(weight_decay));  // (1)
        const real square = real(alpha) * real(*v) + real(1 - alpha) * (d * d);                           // (2)
        real variance = square;
        if (m) {
            const real mean = real(alpha) * real(m[i]) + real(1 - alpha) * d;                             // (3)
            m[i] = mean;
            variance = square - mean * mean;
        }
        real r = d / (sqrt(variance) + real(eps));                                                        // (4)
        if (b) {
            r = real(momentum) * real(b[i]) + r;                                                          // (5)
            b[i] = r;
        }
        *v = square;
        *p = real(*p) - real(lr) * r;                                                                     // (6)
    }
}

// numbers: the rate of this step, η / (1 + (t − 1) κ).
extern "C" __global__ void adagrad(const Table table, double eps, double weight_decay, double sign) {
    EACH_ELEMENT {
        number *p = table.tensors[0][t] + i, *v = table.tensors[2][t] + i;
        const real d = decayed(real(sign) * real(table.tensors[1][t][i]), real(*p), real(weight_decay));  // (1)
        const real sum = real(*v) + d * d;                                                                // (2)
        *v = sum;
        *p = real(*p) - real(table.numbers[0][t]) * (d / (sqrt(sum) + real(eps)));                        // (3)
    }
}

extern "C" __global__ void adadelta(const Table table, double lr, double rho, double eps, double weight_decay, double sign) {
    EACH_ELEMENT {
        number *p = table.tensors[0][t] + i, *v = table.tensors[2][t] + i, *u = table.tensors[3][t] + i;
        const real d = decayed(real(sign) * real(table.tensors[1][t][i]), real(*p), real(weight_decay));  // (1)
        const real square = real(rho) * real(*v) + real(1 - rho) * (d * d);                               // (2)
        const real r = d / sqrt(square + real(eps)) * sqrt(real(*u) + real(eps));                         // (3)
        *v = square;
        *u = real(rho) * real(*u) + real(1 - rho) * (r * r);                                              // (4)
        *p = real(*p) - real(lr) * r;                                                                     // (5)
    }
}

// ---------------------------------------------------------------------------------------------------------- clipping

// sums: for each tensor one number per thread, Σ g² of the elements the thread saw; `first` is the place of this table's first.
extern "C" __global__ void squares(const Table table, number* sums, long long first) {
    real sum = 0;
    EACH_ELEMENT {
        const real g = table.tensors[0][t][i];
        sum += g * g;
    }
    sums[(first + t) * all + one] = sum;
}

extern "C" __global__ void scale(const Table table, const number* factor) {
    EACH_ELEMENT table.tensors[0][t][i] = real(table.tensors[0][t][i]) * real(*factor);
}

extern "C" __global__ void cut(const Table table, double limit) {
    EACH_ELEMENT {
        const real g = table.tensors[0][t][i], most = limit;
        table.tensors[0][t][i] = g < -most ? -most : g > most ? most : g;  // NaN stays
    }
}
