// Which rows of a sequence belong to one block.
//
// A sequence comes as N rows, those of step 0 first (see steps.py): step t begins at row offsets[t], or at t * B where all
// steps have B rows and there is no table. Block j follows row j of every step that has one, until its sequence ends.

struct Sequence {
    const int* offsets;  // (T + 1), or null
    int T, B, reverse;
};

struct Path {
    Sequence sequence;
    int j, length;

    __device__ Path(Sequence sequence, int j) : sequence(sequence), j(j), length(sequence.T) {
        if (!sequence.offsets) return;
        int low = 0;  // steps 0 … low - 1 have a row j, steps `length` … T - 1 have none
        while (low < length) {
            int middle = (low + length) / 2;
            bool has = sequence.offsets[middle + 1] - sequence.offsets[middle] > j;
            low = has ? middle + 1 : low;
            length = has ? length : middle;
        }
    }

    // The row of the k-th step in the order of computing.
    __device__ size_t row(int k) const {
        const int t = sequence.reverse ? length - 1 - k : k;
        return static_cast<size_t>((sequence.offsets ? sequence.offsets[t] : t * sequence.B) + j);
    }
};
