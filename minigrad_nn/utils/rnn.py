"""Batches of sequences of different lengths: padded to one length, or packed without padding.

Three sequences a b c, d e and f, with padding shown as a dot:

    padded (T, B)      packed: the real elements, step after step
        a d f          data         a d f  b e  c
        b e .          batch_sizes  3      2    1
        c . .

Packing and padding are one indexing each, and each is the other's gradient: `data = padded[steps, rows]` one way,
`padded[steps, rows] = data` the other. Padding is never read, so what stands there, NaN included, reaches neither a
value nor a gradient, and its own gradient is 0.

Source: https://docs.pytorch.org/docs/stable/nn.html#utilities
"""

from __future__ import annotations

import numbers
import operator
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad import Tensor, backend, ops
from minigrad.tape import record, record_several, wrap

__all__ = [
    "PackedSequence", "invert_permutation", "pack_padded_sequence", "pack_sequence", "pad_packed_sequence", "pad_sequence",
    "unpack_sequence", "unpad_sequence",
]  # fmt: skip


class _Fields(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Fields):
    """Sequences without padding: at each step, the elements of those that have not ended, the longest first.

    data              (ΣT, *), the elements of step 0, then of step 1, …
    batch_sizes       (T,) of int64 on the CPU: how many sequences reach each step; it never rises
    sorted_indices    (B,): the caller's number of each sequence in order of length; None where the caller's order is it
    unsorted_indices  (B,): the inverse, which is worked out where it is not given

    The functions below make these. As in PyTorch, `PackedSequence((data, batch_sizes))` works too.

    Raises: ValueError for batch_sizes on a GPU, AssertionError where they are missing
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.PackedSequence.html

    >>> import minigrad
    >>> pack_sequence([minigrad.tensor([1, 2, 3]), minigrad.tensor([4, 5])])
    PackedSequence(data=tensor([1, 4, 2, 5, 3]), batch_sizes=tensor([2, 2, 1]), sorted_indices=None, unsorted_indices=None)
    """

    def __new__(cls, data: Any, batch_sizes: Any = None, sorted_indices: Any = None, unsorted_indices: Any = None) -> PackedSequence:
        if batch_sizes is None:
            if not isinstance(data, (list, tuple)) or len(data) != 2:
                raise AssertionError(f"a PackedSequence needs data and batch_sizes, or a pair of them, got {type(data).__name__} alone")
            data, batch_sizes = data
        if not isinstance(batch_sizes, Tensor):
            raise TypeError(f"batch_sizes must be a tensor of int64 on the CPU, got {type(batch_sizes).__name__}")
        if batch_sizes.device.type != "cpu":
            raise ValueError(f"batch_sizes must stay on the CPU, whatever the data's device, got {str(batch_sizes.device)!r}; use .cpu()")
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The same sequences with data on another device or in another dtype; self where nothing changes."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        moved = [None if indices is None else indices.to(data.device) for indices in (self.sorted_indices, self.unsorted_indices)]
        return type(self)(data, self.batch_sizes, *moved)

    def cpu(self) -> PackedSequence:
        """The same sequences with data on the CPU."""
        return self.to("cpu")

    def cuda(self, device: Any = None) -> PackedSequence:
        """The same sequences with data on a GPU."""
        return self.to(self.data.cuda(device).device)

    def half(self) -> PackedSequence:
        """The same sequences with data in float16."""
        return self.to(dtype="float16")

    def float(self) -> PackedSequence:
        """The same sequences with data in float32."""
        return self.to(dtype="float32")

    def double(self) -> PackedSequence:
        """The same sequences with data in float64."""
        return self.to(dtype="float64")

    def byte(self) -> PackedSequence:
        """The same sequences with data in uint8."""
        return self.to(dtype="uint8")

    def char(self) -> PackedSequence:
        """The same sequences with data in int8."""
        return self.to(dtype="int8")

    def short(self) -> PackedSequence:
        """The same sequences with data in int16."""
        return self.to(dtype="int16")

    def int(self) -> PackedSequence:
        """The same sequences with data in int32."""
        return self.to(dtype="int32")

    def long(self) -> PackedSequence:
        """The same sequences with data in int64."""
        return self.to(dtype="int64")

    @property
    def is_cuda(self) -> bool:
        """Whether the data lives on a GPU."""
        return self.data.is_cuda

    def is_pinned(self) -> bool:
        """Whether the data lives in page-locked memory; no tensor here does."""
        return False

    def pin_memory(self) -> PackedSequence:
        """RuntimeError: there is no page-locked memory here, as in PyTorch where there is no GPU."""
        raise RuntimeError("there is no page-locked memory here; leave the call out, and .to('cuda') copies as it is")


# --------------------------------------------------------------------------------------------------- padded and packed


def pack_padded_sequence(input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True) -> PackedSequence:
    """The real elements of a padded batch, as a PackedSequence.

    lengths         one per sequence: numbers, an array, a tensor on any device
    enforce_sorted  the longest sequence must come first; False sorts them, and remembers the caller's order

    Shapes: input (T, B, *), or (B, T, *) with batch_first, where T may exceed the longest length → data (ΣT, *)
    Raises: RuntimeError for lengths that are not sorted, not positive, longer than T (PyTorch packs rubbish), not one per sequence,
        and where there is nothing to pack; IndexError for an input without time and batch axes
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pack_padded_sequence.html

    >>> import minigrad
    >>> padded = minigrad.tensor([[1, 2, 0], [3, 4, 5]])
    >>> packed = pack_padded_sequence(padded, [2, 3], batch_first=True, enforce_sorted=False)
    >>> packed.data.tolist(), packed.batch_sizes.tolist(), packed.sorted_indices.tolist()
    ([3, 1, 4, 2, 5], [2, 2, 1], [1, 0])
    """
    sizes = _lengths_to_pack(input, lengths, batch_first)
    order = None
    if not enforce_sorted:
        order = np.argsort(-sizes, kind="stable")
        sizes = sizes[order]
    elif (sizes[1:] > sizes[:-1]).any():
        raise RuntimeError(
            f"lengths must fall with enforce_sorted=True, got {sizes.tolist()}; pass enforce_sorted=False to have the sequences sorted"
        )
    running = np.arange(sizes[0])[:, None] < sizes  # (T, B)
    steps, rows = running.nonzero()  # (ΣT,) each, step after step
    columns = rows if order is None else order[rows]
    data = taken("pack_padded_sequence", input, _on_device((columns, steps) if batch_first else (steps, columns), input))
    orders = (None, None) if order is None else map(wrap, _on_device((order, np.argsort(order)), input))
    return PackedSequence(data, wrap(running.sum(axis=1)), *orders)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """The padded batch of a PackedSequence, in the order in which it was packed, and its lengths on the CPU.

    total_length  T of the result, at least the longest length, which is the default

    Shapes: data (ΣT, *) → (T, B, *), or (B, T, *) with batch_first; lengths (B,)
    Raises: TypeError for anything but a PackedSequence, ValueError for a total_length that is too short, RuntimeError for a padding value
        that data's dtype cannot hold or for batch_sizes that do not fit data
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pad_packed_sequence.html

    >>> import minigrad
    >>> padded, lengths = pad_packed_sequence(pack_sequence([minigrad.tensor([1, 2, 3]), minigrad.tensor([4])]), batch_first=True)
    >>> padded.tolist(), lengths.tolist()
    ([[1, 2, 3], [4, 0, 0]], [3, 1])
    """
    if not isinstance(sequence, PackedSequence):
        raise TypeError(f"expected a PackedSequence, got {type(sequence).__name__}; pack_padded_sequence and pack_sequence make them")
    data, running = sequence.data, _running(sequence)
    longest, batch = running.shape
    total = longest if total_length is None else operator.index(total_length)
    if total < longest:
        raise ValueError(f"total_length must be at least {longest}, the length of the longest sequence, got {total_length}")
    steps, rows = running.nonzero()
    lengths = running.sum(axis=0)
    if sequence.unsorted_indices is not None:
        unsorted = _host(sequence.unsorted_indices)
        lengths, rows = lengths[unsorted], np.argsort(unsorted)[rows]
    shape = (batch, total) if batch_first else (total, batch)
    place = _on_device((rows, steps) if batch_first else (steps, rows), data)
    value = _filled((*shape, *data.array.shape[1:]), padding_value, data)
    value[place] = data.array
    return record("pad_packed_sequence", value, (data,), (lambda xp, dy: dy[place],)), wrap(lengths)


def taken(op: str, x: Tensor, place: tuple[Any, ...]) -> Tensor:
    """y = x[place], which names no element twice        dx = 0 with dy put there"""
    shape = x.array.shape
    return record(op, x.array[place], (x,), (lambda xp, dy: xp.placed(dy, shape, place, False),))


def _running(sequence: PackedSequence) -> Any:
    """(T, B), whether each sequence, in packed order, reaches each step; RuntimeError for batch sizes that describe no batch."""
    sizes, data = sequence.batch_sizes.array, sequence.data.array
    fits = sizes.ndim == 1 and sizes.size and sizes[-1] > 0 and not (sizes[1:] > sizes[:-1]).any()
    if not fits or not data.ndim or sizes.sum() != data.shape[0]:
        raise RuntimeError(
            f"batch_sizes must be positive, never rise and add up to the rows of data, got {sizes.tolist()} and data of {tuple(data.shape)}"
        )
    return np.arange(sizes[0]) < sizes[:, None]


# ---------------------------------------------------------------------------------------------------- padded and listed


def pad_sequence(sequences: Iterable[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right") -> Tensor:
    """Sequences side by side, each padded to the longest one's length; in the dtype of the first.

    Shapes: B times (T_b, *) → (T, B, *), or (B, T, *) with batch_first
    Raises: RuntimeError for what is not iterable, for no sequences, for sequences without a time axis or that differ in their other
        sizes, for an unknown side; TypeError for elements that are not tensors
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pad_sequence.html

    >>> import minigrad
    >>> pad_sequence([minigrad.tensor([1, 2, 3]), minigrad.tensor([4])], batch_first=True, padding_side="left").tolist()
    [[1, 2, 3], [0, 0, 4]]
    """
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"padding_side must be 'left' or 'right', got {padding_side!r}")
    listed = _sequences(sequences)
    lengths = [each.array.shape[0] for each in listed]
    longest, rest = max(lengths), listed[0].array.shape[1:]
    places: list[Any] = []
    for row, length in enumerate(lengths):
        steps = slice(0, length) if padding_side == "right" else slice(longest - length, longest)
        places.append((row, steps) if batch_first else (steps, row))
    shape = (len(listed), longest) if batch_first else (longest, len(listed))
    value = _filled((*shape, *rest), padding_value, listed[0])
    for each, place in zip(listed, places, strict=True):
        value[place] = each.array
    return record("pad_sequence", value, listed, lambda xp, dy: [dy[place] for place in places])


def unpad_sequence(padded_sequences: Tensor, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """The sequences of a padded batch as a list, each in memory of its own; the batch stays as it is (PyTorch transposes it).

    Shapes: (T, B, *), or (B, T, *) with batch_first → B times (T_b, *)
    Raises: ValueError for lengths that are not one per sequence, RuntimeError for lengths outside [0, T]
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.unpad_sequence.html

    >>> import minigrad
    >>> [each.tolist() for each in unpad_sequence(minigrad.tensor([[1, 2], [3, 0]]), [2, 1])]
    [[1, 3], [2]]
    """
    time, batch = _axes(padded_sequences, batch_first)
    sizes, shape = host_lengths(lengths), padded_sequences.array.shape
    if sizes.size != shape[batch]:
        raise ValueError(f"there are {sizes.size} lengths for the {shape[batch]} sequences in shape {tuple(shape)}")
    if ((sizes < 0) | (sizes > shape[time])).any():
        raise RuntimeError(f"lengths must lie in [0, {shape[time]}], the steps in shape {tuple(shape)}, got {sizes.tolist()}")
    rows, steps = (np.arange(shape[time]) < sizes[:, None]).nonzero()
    place = _on_device((rows, steps) if batch_first else (steps, rows), padded_sequences)
    each_row = [(row, slice(size)) if batch_first else (slice(size), row) for row, size in enumerate(sizes.tolist())]
    values = [padded_sequences.array[here].copy() for here in each_row]

    def rule(xp: Any, dys: Any) -> Any:
        like = next(dy for dy in dys if dy is not None)
        filled = [xp.zeros_like(like, shape=value.shape) if dy is None else dy for dy, value in zip(dys, values, strict=True)]
        return [xp.placed(xp.concatenate(filled, 0), shape, place, False)]

    return record_several("unpad_sequence", values, (padded_sequences,), rule)


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences packed without padding: `pad_sequence`, then `pack_padded_sequence`.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pack_sequence.html

    >>> import minigrad
    >>> pack_sequence([minigrad.tensor([1, 2, 3]), minigrad.tensor([4, 5]), minigrad.tensor([6])]).data.tolist()
    [1, 4, 6, 2, 5, 3]
    """
    listed = _sequences(sequences)
    return pack_padded_sequence(pad_sequence(listed), [each.array.shape[0] for each in listed], enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of a PackedSequence as a list, in the order in which they were packed.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.unpack_sequence.html

    >>> import minigrad
    >>> [each.tolist() for each in unpack_sequence(pack_sequence([minigrad.tensor([1, 2]), minigrad.tensor([3])]))]
    [[1, 2], [3]]
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes another: y[x[i]] = i; None of None.

    Raises: IndexError for more than one axis, RuntimeError for what is no permutation of 0 … n - 1 in int64
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.invert_permutation.html

    >>> import minigrad
    >>> invert_permutation(minigrad.tensor([2, 0, 1]))
    tensor([1, 2, 0])
    """
    if permutation is None:
        return None
    if not isinstance(permutation, Tensor):
        raise TypeError(f"expected a tensor, got {type(permutation).__name__}")
    if permutation.array.ndim > 1:
        raise IndexError(f"a permutation has one axis, got shape {tuple(permutation.shape)}")
    host = _host(permutation).reshape(-1)
    if host.dtype != np.int64 or (np.sort(host) != np.arange(host.size)).any():
        raise RuntimeError(f"expected each of 0 to {host.size - 1} once, in int64, got {host.tolist()} in {permutation.dtype}")
    return wrap(_on_device((np.argsort(host).reshape(permutation.array.shape),), permutation)[0])


# ------------------------------------------------------------------------------------------------- lengths, axes, places


def host_lengths(lengths: Any) -> Any:
    """Lengths in any form as a vector of int64 on the CPU; RuntimeError where they are none.

    >>> host_lengths([3, 1])
    array([3, 1])
    """
    given = _host(lengths if isinstance(lengths, Tensor) else ops.create.tensor(lengths, device="cpu"))
    if given.ndim != 1:
        raise RuntimeError(f"lengths must be one-dimensional, one number per sequence, got shape {given.shape}")
    with np.errstate(invalid="ignore"):
        sizes = given.astype(np.int64)
    if (sizes != given).any():
        raise RuntimeError(f"lengths must be whole numbers, got {given.tolist()}")
    return sizes


def _lengths_to_pack(input: Tensor, lengths: Any, batch_first: bool) -> Any:
    """The lengths on the host, after every check of `pack_padded_sequence`."""
    time, batch = _axes(input, batch_first)
    sizes, shape = host_lengths(lengths), input.array.shape
    if not input.array.size:
        raise RuntimeError(f"there is nothing to pack in shape {tuple(shape)}")
    if sizes.size != shape[batch]:
        raise RuntimeError(f"there are {sizes.size} lengths for {shape[batch]} sequences (shape {tuple(shape)}, batch_first={batch_first})")
    if (sizes <= 0).any():
        raise RuntimeError(f"every length must be positive, got {sizes.tolist()}; leave empty sequences out of the batch")
    if (sizes > shape[time]).any():
        longer = f"got {sizes.tolist()} for shape {tuple(shape)} with batch_first={batch_first}"
        raise RuntimeError(f"no length may exceed the {shape[time]} steps there are, {longer}")
    return sizes


def _axes(x: Tensor, batch_first: bool) -> tuple[int, int]:
    """(time axis, batch axis); TypeError for anything but a tensor, IndexError for one that lacks them."""
    if not isinstance(x, Tensor):
        raise TypeError(f"expected a padded tensor, got {type(x).__name__}; a list of sequences is for pack_sequence")
    if x.array.ndim < 2:
        wanted = "(B, T, *)" if batch_first else "(T, B, *)"
        raise IndexError(f"a padded batch has shape {wanted}, got {tuple(x.shape)}; give a single sequence a batch axis by unsqueeze")
    return (1, 0) if batch_first else (0, 1)


def _sequences(sequences: Any) -> list[Tensor]:
    """Sequences as a list of tensors that fit side by side."""
    if not isinstance(sequences, Iterable):
        raise RuntimeError(f"expected a list of sequences, got {type(sequences).__name__}")
    listed = list(sequences)
    if not listed:
        raise RuntimeError("expected at least one sequence, got none")
    for each in listed:
        if not isinstance(each, Tensor):
            raise TypeError(f"expected tensors as sequences, got {type(each).__name__}")
    shapes = [tuple(each.array.shape) for each in listed]
    if () in shapes or len({shape[1:] for shape in shapes}) > 1:
        raise RuntimeError(f"sequences must have a time axis first and equal sizes behind it, got shapes {shapes}")
    if len({str(each.device) for each in listed}) > 1:
        raise RuntimeError(f"sequences must be on one device, got {sorted({str(each.device) for each in listed})}")
    return listed


def _filled(shape: tuple[int, ...], padding_value: Any, like: Tensor) -> Any:
    """An array of padding, in the dtype and place of `like`."""
    number = padding_value.item() if isinstance(padding_value, Tensor) else padding_value
    if not isinstance(number, numbers.Real | np.generic):
        raise TypeError(f"a padding value must be a number, got {type(number).__name__}")
    try:
        with np.errstate(over="raise"):
            return backend.of(like.array).full_like(like.array, like.array.dtype.type(number), shape=shape)
    except (OverflowError, ValueError, FloatingPointError):
        raise RuntimeError(f"a padding value of {number!r} cannot be represented in {like.dtype}") from None


def _host(tensor: Any) -> Any:
    return backend.of(tensor.array).to_host(tensor.array)


def _on_device(arrays: tuple[Any, ...], like: Tensor) -> tuple[Any, ...]:
    """NumPy arrays where `like` is."""
    there, number = backend.of(like.array), like.device.index
    return tuple([there.from_host(each, number) for each in arrays])
