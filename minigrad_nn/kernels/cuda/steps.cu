// The table of offsets that steps.cuh reads, written on the device from what a launch brings along.
//
// The sizes of steps are known to the host. A copy from its memory would wait for the device, or make the device wait; the
// arguments of a launch travel with it. They hold 4 KB, so a long table is written by several launches.

struct Numbers {
    int value[NUMBERS];
};

extern "C" __global__ void write_table(int* table, int first, int count, Numbers numbers) {
    for (int place = threadIdx.x; place < count; place += blockDim.x) table[first + place] = numbers.value[place];
}
