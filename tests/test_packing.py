"""Packing and padding: round trips, values and gradients against PyTorch, padding that must not matter, errors."""

import copy
import pickle

import numpy as np
import pytest
from compare import host, several

import minigrad as mg
from minigrad_nn.utils import rnn

SEED = 20240521
TRAILING = [(), (3,), (2, 1), (2, 3)]


def cases(count, seed=SEED):
    """Random batches: lengths, padded array (T, B, *) or (B, T, *), options."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        batch = int(rng.integers(1, 7))
        lengths = rng.integers(1, int(rng.integers(2, 8)), batch)
        if rng.random() < 0.2:
            lengths[:] = lengths[0]
        ordered = bool(rng.random() < 0.4)
        lengths = np.sort(lengths)[::-1].copy() if ordered else lengths
        steps = int(lengths.max() + rng.integers(0, 3))
        batch_first = bool(rng.random() < 0.5)
        shape = ((batch, steps) if batch_first else (steps, batch)) + TRAILING[rng.integers(len(TRAILING))]
        yield f"case {number} of seed {seed}", rng.standard_normal(shape), lengths, batch_first, ordered, rng


def forms_of(lengths, rng):
    """The same lengths as a list, a tuple, an array, a tensor, floats."""
    forms = [lengths.tolist(), tuple(lengths.tolist()), lengths, mg.tensor(lengths), lengths.astype(np.int32), mg.tensor(lengths).float()]
    return forms[rng.integers(len(forms))]


def test_round_trips_agree_with_pytorch_to_second_order():
    torch = pytest.importorskip("torch")
    theirs_of = torch.nn.utils.rnn
    for case, array, lengths, batch_first, ordered, rng in cases(several(1000)):
        weight = rng.standard_normal((*array.shape[: 1 - batch_first], int(lengths.sum()), *array.shape[2:])[-(array.ndim - 1) :])
        total = None if rng.random() < 0.5 else int(lengths.max() + rng.integers(0, 3))
        value, results = float(rng.integers(-2, 3)), []
        for lib, room, given in ((torch, theirs_of, torch.tensor(lengths)), (mg, rnn, forms_of(lengths, rng))):
            x = lib.tensor(array, requires_grad=True)
            w = lib.tensor(weight, requires_grad=True)
            packed = room.pack_padded_sequence(x, given, batch_first, enforce_sorted=ordered)
            padded, found = room.pad_packed_sequence(packed._replace(data=packed.data**3 * w), batch_first, value, total)
            (dx,) = lib.autograd.grad((padded**2).sum(), x, create_graph=True)
            (dx**2).sum().backward()
            results.append([host(each) for each in (packed.batch_sizes, padded, found, dx, x.grad, w.grad)])
            assert (packed.sorted_indices is None) == ordered
        for theirs, ours in zip(*results, strict=True):
            assert ours.shape == theirs.shape and ours.dtype == theirs.dtype, case
            assert np.allclose(ours, theirs, rtol=1e-10, atol=1e-10), case


def test_lists_of_sequences_agree_with_pytorch_to_second_order():
    torch = pytest.importorskip("torch")
    for case, array, lengths, batch_first, _, rng in cases(several(400), SEED + 1):
        side, value = ("left", "right")[rng.integers(2)], float(rng.integers(-2, 3))
        first = array if batch_first else array.swapaxes(0, 1)
        arrays, results = [row[:length] for row, length in zip(first, lengths, strict=True)], []
        for lib, room in ((torch, torch.nn.utils.rnn), (mg, rnn)):
            leaves = [lib.tensor(each, requires_grad=True) for each in arrays]
            padded = room.pad_sequence(leaves, batch_first, value, side)
            packed = room.pack_sequence(leaves, enforce_sorted=False)
            back = room.unpack_sequence(packed._replace(data=packed.data**2))
            clone = padded**2 if lib is mg else (padded**2).clone()  # PyTorch transposes what it is given
            cut = room.unpad_sequence(clone, lib.tensor(lengths), batch_first)
            loss = (padded**3).sum() + sum((each**2).sum() for each in back[::2]) + sum((each**2).sum() for each in cut[1:])
            gradients = lib.autograd.grad(loss, leaves, create_graph=True)
            sum((each**2).sum() for each in gradients).backward()
            results.append([host(each) for each in (padded, *back, *cut, *gradients, *[leaf.grad for leaf in leaves])])
        for theirs, ours in zip(*results, strict=True):
            assert ours.shape == theirs.shape and np.allclose(ours, theirs, rtol=1e-10, atol=1e-10), case


def test_packed_elements_stand_where_the_definition_says():
    """Without PyTorch: row by row, step by step, in plain loops."""
    for case, array, lengths, batch_first, ordered, rng in cases(300, SEED + 2):
        packed = rnn.pack_padded_sequence(mg.tensor(array), forms_of(lengths, rng), batch_first, enforce_sorted=ordered)
        rows = array if batch_first else array.swapaxes(0, 1)
        order = packed.sorted_indices.tolist() if packed.sorted_indices is not None else range(len(lengths))
        assert sorted(lengths[list(order)].tolist(), reverse=True) == lengths[list(order)].tolist(), case
        wanted = [rows[row, step] for step in range(lengths.max()) for row in order if step < lengths[row]]
        assert np.array_equal(host(packed.data), np.stack(wanted)), case
        assert packed.batch_sizes.tolist() == [int((lengths > step).sum()) for step in range(lengths.max())], case
        assert packed.batch_sizes.dtype is mg.int64
        padded, found = rnn.pad_packed_sequence(packed, batch_first, padding_value=7.0)
        assert found.tolist() == lengths.tolist() and found.dtype is mg.int64, case
        real = np.arange(lengths.max()) < lengths[:, None]
        result = host(padded) if batch_first else host(padded).swapaxes(0, 1)
        assert np.array_equal(result[real], rows[:, : lengths.max()][real]) and (result[~real] == 7).all(), case


def test_padding_of_nan_changes_nothing():
    for case, array, lengths, batch_first, _, _ in cases(100, SEED + 3):
        real = np.arange(array.shape[1 if batch_first else 0]) < lengths[:, None]
        real = real if batch_first else real.T
        results = []
        for padding in (0.0, np.nan):
            filled = array.copy()
            filled[~real] = padding
            x = mg.tensor(filled, requires_grad=True)
            packed = rnn.pack_padded_sequence(x, lengths, batch_first, enforce_sorted=False)
            (dx,) = mg.autograd.grad((packed.data**3).sum(), x, create_graph=True)
            assert not host(dx)[~real].any(), case
            cut = rnn.unpad_sequence(x, lengths, batch_first)
            ((dx * dx).sum() + sum((each**2).sum() for each in cut)).backward()
            assert not host(x.grad)[~real].any(), case
            results.append([host(packed.data), host(dx), host(x.grad)])
        for clean, dirty in zip(*results, strict=True):
            assert np.array_equal(clean, dirty), case


def test_padding_gets_a_gradient_of_exactly_zero_and_pad_of_nan_leaves_data_alone():
    packed = rnn.pack_sequence([mg.tensor([1.0, 2.0, 3.0], requires_grad=True), mg.tensor([4.0])])
    padded, _ = rnn.pad_packed_sequence(packed, padding_value=float("nan"))
    (dx,) = mg.autograd.grad(padded, packed.data, mg.tensor([[1.0, 2.0], [3.0, np.nan], [5.0, np.nan]]))
    assert dx.tolist() == [1, 2, 3, 5]


def test_one_node_each_way():
    x = mg.zeros(3, 2, 4, requires_grad=True)
    packed = rnn.pack_padded_sequence(x, [3, 2])
    padded, _ = rnn.pad_packed_sequence(packed)
    assert packed.data.node.parents[0] is x.node and padded.node.parents[0] is packed.data.node
    cut = rnn.unpad_sequence(padded, [3, 2])
    assert {id(each.grad_fn) for each in cut} == {id(cut[0].grad_fn)}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"])
def test_every_dtype_passes_through(dtype):
    x = mg.tensor(np.arange(24).reshape(4, 2, 3) % 2, dtype=mg.float64).to(getattr(mg, dtype))
    packed = rnn.pack_padded_sequence(x, [4, 2])
    padded, _ = rnn.pad_packed_sequence(packed, total_length=5)
    assert packed.data.dtype is padded.dtype is x.dtype and padded.shape == (5, 2, 3)
    assert all(each.dtype is x.dtype for each in (rnn.pad_sequence([x, x]), *rnn.unpad_sequence(x, [4, 0])))


def test_small_sizes():
    one = rnn.pack_padded_sequence(mg.ones(1, 1), [1])
    assert one.data.tolist() == [1.0] and one.batch_sizes.tolist() == [1]
    assert rnn.pad_sequence([mg.zeros(0, 2), mg.zeros(0, 2)]).shape == (0, 2, 2)
    assert rnn.pad_sequence([mg.zeros(2, 2, 3, 0), mg.zeros(1, 2, 3, 0)]).shape == (2, 2, 2, 3, 0)
    assert [each.shape for each in rnn.unpad_sequence(mg.zeros(4, 2, 0), [4, 0])] == [(4, 0), (0, 0)]
    assert rnn.unpad_sequence(mg.zeros(4, 0), mg.tensor([], dtype=mg.int64)) == []
    assert rnn.pad_sequence(mg.ones(2, 3)).shape == (3, 2)
    assert rnn.pad_sequence(iter([mg.ones(2)]), True).shape == (1, 2)


def test_unpad_sequence_leaves_its_argument_alone_and_shares_no_memory():
    padded = mg.tensor([[1.0, 2.0], [3.0, 0.0]])
    first, second = rnn.unpad_sequence(padded, [2, 1])
    first[0] = 9.0
    assert padded.tolist() == [[1, 2], [3, 0]] and padded.shape == (2, 2) and second.tolist() == [2]


ERRORS = {
    "lengths that rise": (lambda: rnn.pack_padded_sequence(mg.zeros(3, 2), [1, 3]), RuntimeError, "enforce_sorted=False"),
    "a length of 0": (lambda: rnn.pack_padded_sequence(mg.zeros(3, 2), [3, 0]), RuntimeError, "positive"),
    "a negative length": (lambda: rnn.pack_padded_sequence(mg.zeros(3, 2), [3, -1]), RuntimeError, "positive"),
    "lengths longer than T": (lambda: rnn.pack_padded_sequence(mg.zeros(3, 2), [4, 1]), RuntimeError, "3 steps"),
    "longer, batch first": (lambda: rnn.pack_padded_sequence(mg.zeros(2, 3), [4, 1], True), RuntimeError, "batch_first=True"),
    "too few lengths": (lambda: rnn.pack_padded_sequence(mg.zeros(3, 2), [3]), RuntimeError, "1 lengths for 2"),
    "too many, unsorted": (lambda: rnn.pack_padded_sequence(mg.zeros(3, 2), [3, 1, 1], enforce_sorted=False), RuntimeError, "3 lengths"),
    "no lengths": (lambda: rnn.pack_padded_sequence(mg.zeros(3, 2), []), RuntimeError, "0 lengths"),
    "an empty batch": (lambda: rnn.pack_padded_sequence(mg.zeros(3, 0), []), RuntimeError, "nothing to pack"),
    "no steps": (lambda: rnn.pack_padded_sequence(mg.zeros(0, 2), [1, 1]), RuntimeError, "nothing to pack"),
    "elements of no size": (lambda: rnn.pack_padded_sequence(mg.zeros(3, 2, 2, 3, 0), [3, 1]), RuntimeError, "nothing to pack"),
    "one length for all": (lambda: rnn.pack_padded_sequence(mg.zeros(3, 2), 3), RuntimeError, "one-dimensional"),
    "lengths in a matrix": (lambda: rnn.pack_padded_sequence(mg.zeros(3, 2), [[3, 1]], enforce_sorted=False), RuntimeError, "one-dimens"),
    "half a step": (lambda: rnn.pack_padded_sequence(mg.zeros(3, 2), [2.5, 1]), RuntimeError, "whole numbers"),
    "lengths of NaN": (lambda: rnn.pack_padded_sequence(mg.zeros(3, 2), [float("nan"), 1]), RuntimeError, "whole numbers"),
    "lengths of text": (lambda: rnn.pack_padded_sequence(mg.zeros(3, 2), "ab"), TypeError, ""),
    "lengths of None": (lambda: rnn.pack_padded_sequence(mg.zeros(3, 2), None), TypeError, ""),
    "a single sequence": (lambda: rnn.pack_padded_sequence(mg.zeros(3), [3]), IndexError, "unsqueeze"),
    "a list to pack": (lambda: rnn.pack_padded_sequence([[1.0]], [1]), TypeError, "pack_sequence"),
    "total_length too short": (lambda: rnn.pad_packed_sequence(packed(), total_length=2), ValueError, "at least 3"),
    "half a total_length": (lambda: rnn.pad_packed_sequence(packed(), total_length=3.5), TypeError, ""),
    "padding of None": (lambda: rnn.pad_packed_sequence(packed(), padding_value=None), TypeError, "number"),
    "padding too large": (lambda: rnn.pad_sequence([mg.ones(2).half()], padding_value=1e9), RuntimeError, "represented"),
    "padding below 0": (lambda: rnn.pad_sequence([mg.ones(2).to(mg.uint8)], padding_value=-1), RuntimeError, "represented"),
    "a list to unpad": (lambda: rnn.unpad_sequence([1], [1]), TypeError, "list"),
    "a tensor to unpack": (lambda: rnn.pad_packed_sequence(mg.zeros(3)), TypeError, "PackedSequence"),
    "NaN among integers": (lambda: rnn.pad_packed_sequence(packed().long(), padding_value=float("nan")), RuntimeError, "represented"),
    "batch sizes that rise": (lambda: rnn.pad_packed_sequence(packed(sizes=[1, 2, 1])), RuntimeError, "never rise"),
    "batch sizes that end in 0": (lambda: rnn.pad_packed_sequence(packed(sizes=[2, 2, 0])), RuntimeError, "positive"),
    "batch sizes of another batch": (lambda: rnn.pad_packed_sequence(packed(sizes=[2, 1])), RuntimeError, "add up"),
    "nothing to iterate over": (lambda: rnn.pad_sequence(5), RuntimeError, "int"),
    "no sequences": (lambda: rnn.pad_sequence([]), RuntimeError, "none"),
    "an unknown side": (lambda: rnn.pad_sequence([mg.ones(2)], padding_side="up"), RuntimeError, "'up'"),
    "a sequence without axes": (lambda: rnn.pad_sequence([mg.tensor(1.0)]), RuntimeError, "time axis"),
    "sequences of lists": (lambda: rnn.pad_sequence([[1.0]]), TypeError, "list"),
    "other trailing sizes": (lambda: rnn.pad_sequence([mg.ones(2, 3), mg.ones(2, 4)]), RuntimeError, "(2, 4)"),
    "pack nothing": (lambda: rnn.pack_sequence([]), RuntimeError, "none"),
    "pack an empty sequence": (lambda: rnn.pack_sequence([mg.ones(2), mg.ones(0)]), RuntimeError, "positive"),
    "pack rising sequences": (lambda: rnn.pack_sequence([mg.ones(1), mg.ones(2)]), RuntimeError, "enforce_sorted=False"),
    "unpad: too few lengths": (lambda: rnn.unpad_sequence(mg.zeros(3, 2), [3]), ValueError, "1 lengths"),
    "unpad: too long": (lambda: rnn.unpad_sequence(mg.zeros(3, 2), [4, 1]), RuntimeError, "[0, 3]"),
    "a permutation in a matrix": (lambda: rnn.invert_permutation(mg.tensor([[0, 1]])), IndexError, "(1, 2)"),
    "a number twice": (lambda: rnn.invert_permutation(mg.tensor([0, 0])), RuntimeError, "once"),
    "a number too large": (lambda: rnn.invert_permutation(mg.tensor([0, 2])), RuntimeError, "once"),
    "data alone": (lambda: rnn.PackedSequence(mg.zeros(3)), AssertionError, "pair"),
    "batch sizes in a list": (lambda: rnn.PackedSequence(mg.zeros(3), [2, 1]), TypeError, "list"),
    "page-locked memory": (lambda: packed().pin_memory(), RuntimeError, "page-locked"),
}  # fmt: skip


def packed(sizes=(2, 1, 1)):
    return rnn.PackedSequence(mg.tensor([1.0, 2.0, 3.0, 4.0]), mg.tensor(sizes, device="cpu"))


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    call, kind, words = ERRORS[case]
    with pytest.raises(kind) as raised:
        call()
    assert raised.type is kind and words in str(raised.value)


class TestPackedSequence:
    def test_is_a_named_tuple_with_pytorchs_constructor(self):
        data, sizes, order = mg.tensor([1.0, 2.0, 3.0]), mg.tensor([2, 1], device="cpu"), mg.tensor([1, 0])
        assert rnn.PackedSequence((data, sizes)) == rnn.PackedSequence(data, sizes, None, None)
        made = rnn.PackedSequence(data, sizes, order)
        assert made._fields == ("data", "batch_sizes", "sorted_indices", "unsorted_indices") and len(made) == 4
        assert made[0] is data and made.unsorted_indices.tolist() == [1, 0]
        given = rnn.PackedSequence(data, sizes, unsorted_indices=order)
        assert given.sorted_indices is None and rnn.pad_packed_sequence(given)[1].tolist() == [1, 2]

    @pytest.mark.host_only("prints no device")
    def test_prints_as_pytorch_does(self):
        torch = pytest.importorskip("torch")
        for options in ({}, {"enforce_sorted": False}):
            theirs = torch.nn.utils.rnn.pack_sequence([torch.tensor([1, 2, 3]), torch.tensor([4])], **options)
            ours = rnn.pack_sequence([mg.tensor([1, 2, 3]), mg.tensor([4])], **options)
            assert repr(ours) == repr(theirs)

    def test_changes_of_dtype_and_device(self):
        given = packed()
        assert given.to(mg.float32) is given is given.float() is given.to(given.data.device)
        assert given.cpu().data.device.type == "cpu" and (given.cpu() is given) == (given.data.device.type == "cpu")
        for name in ("half", "double", "byte", "char", "short", "int", "long"):
            changed = getattr(given, name)()
            assert changed.data.dtype is not given.data.dtype and changed.batch_sizes is given.batch_sizes
        assert given.char().data.dtype is mg.int8 and given.byte().data.dtype is mg.uint8
        assert given.is_cuda == (given.data.device.type == "cuda") and not given.cpu().is_cuda and not given.is_pinned()
        assert given.to("cpu", mg.float64).data.dtype is mg.float64

    @pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda x: pickle.loads(pickle.dumps(x))])
    def test_copies(self, copied):
        given = rnn.pack_sequence([mg.tensor([1.0]), mg.tensor([2.0, 3.0])], enforce_sorted=False)
        twin = copied(given)
        assert type(twin) is rnn.PackedSequence
        assert [each.tolist() for each in twin] == [each.tolist() for each in given]

    def test_is_where_pytorch_keeps_it(self):
        assert mg.nn.utils.rnn.PackedSequence is rnn.PackedSequence
