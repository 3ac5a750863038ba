// The activations of an RNN, ACTIVATION 0 tanh, 1 relu, 2 sigmoid, and their slopes as functions of the value.

__device__ inline float activation(float a) {
    return ACTIVATION == 1 ? fmaxf(a, 0.0f) : tanh_or_sigmoid(a, ACTIVATION == 0);
}

__device__ inline float slope(float h) {
    return ACTIVATION == 0 ? 1.0f - h * h : ACTIVATION == 1 ? float(h > 0.0f) : h * (1.0f - h);
}
