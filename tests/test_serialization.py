"""Files: everything comes back, PyTorch reads what we write and we what it writes, and a file is whole or not there."""

import collections
import io
import json
import math
import os

import numpy as np
import pytest
from compare import host

import minigrad
from minigrad import serialization
from minigrad.serialization import load, save
from minigrad_nn import optim

DTYPES = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.safetensors"


def same(a, b):
    if isinstance(a, minigrad.Tensor):
        return a.dtype is b.dtype and a.array.shape == b.array.shape and np.array_equal(host(a), host(b))
    if isinstance(a, dict):
        return type(b) is dict and list(a) == list(b) and all(type(x) is type(y) and same(a[x], b[y]) for x, y in zip(a, b))
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or (a != a and b != b))


# ---------------------------------------------------------------------------------------------------- there and back


@pytest.mark.parametrize(
    "obj",
    [
        {name: minigrad.tensor([[0, 1], [2, 3]], dtype=name) for name in DTYPES},
        {"z.weight": minigrad.ones(2), "a.bias": minigrad.zeros(()), "none": minigrad.zeros(0, 3)},
        {},
        [],
        (),
        minigrad.ones(2),
        None,
        3.5,
        'text with " and ü, \ud800 and \n',
        {0: minigrad.ones(1), "0": minigrad.zeros(2), 1.5: "x", None: 1, True: 2},
        {"a.b": minigrad.ones(1), "a": {"b": minigrad.zeros(1)}, "a.b#2": minigrad.zeros(3)},
        {"__metadata__": minigrad.ones(1), "minigrad": minigrad.ones(2), "format": "pt", "": minigrad.ones(3)},
        [1, (2, [minigrad.ones(1), (minigrad.zeros(1),)]), {"list": [True, None, 10**30, -0.0]}],
        [math.inf, -math.inf, math.nan, 5e-324, 0.1],
        {"dict": [["not", "ours"]], "tensor": "name", "float": "nan"},
    ],
    ids=ascii,
)
def test_everything_comes_back(path, obj):
    save(obj, path)
    assert same(obj, load(path))


def test_model_optimiser_and_epoch_in_one_file(path):
    weight = minigrad.ones(2, requires_grad=True)
    optimizer = optim.Adam([{"params": [weight], "lr": 0.1}])
    (weight * weight).sum().backward()
    optimizer.step()
    save({"model": {"weight": weight.detach()}, "optimizer": optimizer.state_dict(), "epoch": 7}, path)
    found = load(path)
    assert found["epoch"] == 7 and same(optimizer.state_dict(), found["optimizer"])
    assert found["optimizer"]["param_groups"][0]["betas"] == (0.9, 0.999)
    other = optim.Adam([minigrad.zeros(2, requires_grad=True)])
    other.load_state_dict(found["optimizer"])
    assert other.param_groups[0]["lr"] == 0.1


def test_what_comes_back_is_private_and_can_be_changed(path):
    save({"a": minigrad.ones(2)}, path)
    tensor = load(path)["a"]
    tensor.fill_(5)
    assert load(path)["a"].tolist() == [1.0, 1.0] and not tensor.requires_grad


def test_elements_out_of_order_in_memory(path):
    array = np.arange(24.0).reshape(2, 3, 4)
    obj = {
        "transposed": minigrad.from_numpy(array.transpose(2, 0, 1)),
        "every second": minigrad.from_numpy(array[..., ::2]),
        "reversed": minigrad.from_numpy(array[::-1]),
        "big end first": minigrad.from_numpy(array.astype(">f8")),
    }
    save(obj, path)
    for name, tensor in load(path).items():
        np.testing.assert_array_equal(tensor.cpu().numpy(), obj[name].cpu().numpy())


def test_subclasses_of_dict_and_tuple_come_back_plain(path):
    save([collections.OrderedDict(a=1), minigrad.ones(2, 3).shape], path)
    assert same(load(path), [{"a": 1}, (2, 3)])


# -------------------------------------------------------------------------------------------------------- tied tensors


def test_tied_tensors_are_stored_once_and_come_back_tied(path):
    weight = minigrad.ones(3, 2)
    obj = {"encoder.weight": weight, "decoder.weight": weight.detach(), "again": weight, "other": minigrad.ones(3, 2)}
    save(obj, path)
    found = load(path)
    assert found["encoder.weight"] is found["decoder.weight"] is found["again"]
    assert found["other"] is not found["encoder.weight"] and same(obj, found)
    arrays, metadata = serialization._read(str(path))
    assert sorted(arrays) == ["encoder.weight", "other"]
    assert metadata["decoder.weight"] == metadata["again"] == "encoder.weight"
    assert json.loads(metadata["minigrad"])["structure"]["dict"][1] == ["decoder.weight", {"tensor": "encoder.weight"}]


def test_views_of_one_memory_that_differ_are_stored_apart(path):
    whole = minigrad.tensor([[1.0, 2.0], [3.0, 4.0]])
    obj = {"whole": whole, "turned": whole.T, "part": whole[0], "empty": whole[:0], "empty too": whole[:0]}
    save(obj, path)
    found = load(path)
    assert same(obj, found) and len({id(tensor) for tensor in found.values()}) == 5


# ----------------------------------------------------------------------------------------------------- what is open


@pytest.mark.parametrize("everything", [{"a.b": 1, "a": [minigrad.ones(2, 3), minigrad.zeros(0, 3)]}, minigrad.tensor(True), {}, None])
def test_files_that_are_open_hold_the_same_bytes(path, everything):
    file = io.BytesIO()
    save(everything, file)
    save(everything, path)
    assert file.getvalue() == path.read_bytes()
    file.seek(0)
    assert same(everything, load(file))
    with open(path, "rb") as given:
        assert same(everything, load(given, weights_only=True))


def test_an_open_file_is_read_from_where_it_stands():
    file = io.BytesIO()
    file.write(b"before")
    tied = minigrad.ones(2)
    save([minigrad.arange(3), tied, tied], file)
    with pytest.raises(EOFError, match="seek"):
        load(file)
    file.seek(6)
    found = load(file)
    found[1] += 1
    assert found[1] is found[2] and found[0].tolist() == [0, 1, 2] and found[2].tolist() == [2, 2]


def test_open_files_that_cannot_be_read_or_written():
    for given, error in ((io.StringIO("text"), TypeError), (io.BytesIO(b"abc"), RuntimeError), (io.BytesIO(b"PK and more"), RuntimeError)):
        with pytest.raises(error):
            load(given)
    with pytest.raises(RuntimeError, match=r"of torch\.save"):
        load(io.BytesIO(b"PK and more"))
    with pytest.raises(TypeError):
        save(minigrad.ones(1), io.StringIO())
    with pytest.raises(TypeError):
        load(3)
    file = io.BytesIO()
    with pytest.raises(TypeError):
        save(object(), file)
    assert file.getvalue() == b""


def test_pytorchs_own_files_are_named(path, torch_files):
    import torch

    for old in (True, False):
        torch.save({"a": torch.ones(2)}, path, _use_new_zipfile_serialization=not old)
        with pytest.raises(RuntimeError, match="use safetensors"):
            load(path)
    file = io.BytesIO(torch_files.save({"a": torch.ones(2, dtype=torch.bfloat16)}))
    with pytest.raises(RuntimeError, match="BF16"):
        load(file)
    tensors = {"b": torch.arange(6).reshape(2, 3), "a": torch.tensor(1.5)}
    found = load(io.BytesIO(torch_files.save(tensors, {"note": "b is a name"})))
    assert {name: tensor.tolist() for name, tensor in found.items()} == {name: tensor.tolist() for name, tensor in tensors.items()}


# ------------------------------------------------------------------------------------------------------------- PyTorch


@pytest.fixture
def torch_files():
    pytest.importorskip("torch")
    return pytest.importorskip("safetensors.torch")


def test_pytorch_reads_what_we_write(path, torch_files):
    obj = {f"layer.{name}": minigrad.tensor([[0, 1], [2, 3]], dtype=name) for name in DTYPES}
    save({**obj, "scalar": minigrad.tensor(2.0)}, path)
    found = torch_files.load_file(path)
    assert sorted(found) == sorted([*obj, "scalar"]) and found["scalar"].shape == ()
    for name, tensor in obj.items():
        assert str(found[name].dtype) == f"torch.{tensor.dtype.name}"
        np.testing.assert_array_equal(found[name].cpu().numpy(), tensor.cpu().numpy())


def test_we_read_what_pytorch_writes(path, torch_files):
    import torch

    given = {"b": torch.arange(6).reshape(2, 3), "a": torch.tensor(1.5), "c": torch.tensor([True, False])}
    for metadata in (None, {"format": "pt", "note": "b is a name in the file"}):
        torch_files.save_file(given, path, metadata)
        found = load(path)
        assert sorted(found) == ["a", "b", "c"]
        for name, tensor in given.items():
            np.testing.assert_array_equal(found[name].cpu().numpy(), tensor.cpu().numpy())


def test_tied_weights_pass_both_ways(path, torch_files):
    import torch

    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.outer = torch.nn.Linear(2, 2, bias=False), torch.nn.Linear(2, 2, bias=False)
            self.outer.weight = self.inner.weight

    theirs = Tied()
    torch_files.save_model(theirs, path)
    found = load(path)
    assert sorted(found) == ["inner.weight", "outer.weight"] and found["inner.weight"] is found["outer.weight"]
    found["inner.weight"].fill_(3.0)
    save(found, path)
    torch_files.load_model(theirs, path)
    assert (theirs.outer.weight == 3).all()


def test_a_dtype_we_do_not_have_is_named(path, torch_files):
    import torch

    torch_files.save_file({"w": torch.zeros(2, dtype=torch.bfloat16)}, path)
    with pytest.raises(RuntimeError, match=r"'w'.*BF16.*float32"):
        load(path)


# ---------------------------------------------------------------------------------------------- whole or not at all


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        ({"a": [1, {"b": object()}]}, r"obj\['a'\]\[1\]\['b'\] is a object"),
        ({"a": np.ones(2)}, "from_numpy"),
        ((np.float32(1),), r"obj\[0\].*item"),
        ({"a": {(1, 2): 3}}, r"obj\['a'\] has the key \(1, 2\)"),
        ({"a": {1, 2}}, "set"),
        ({"a": 1j}, "complex"),
        (b"bytes", "bytes"),
    ],
)
def test_what_cannot_be_saved_is_named_before_any_file_is_touched(path, obj, words):
    save("before", path)
    with pytest.raises(TypeError, match=words):
        save(obj, path)
    assert load(path) == "before" and os.listdir(path.parent) == [path.name]


def test_what_contains_itself_is_refused(path):
    circle = {"a": []}
    circle["a"].append(circle)
    with pytest.raises(TypeError, match="contains itself"):
        save(circle, path)
    twice = [1]
    save([twice, twice], path)
    assert load(path) == [[1], [1]]


@pytest.mark.parametrize("stage", ["save_file", "fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_no_rubbish(path, monkeypatch, stage):
    save("before", path)

    def fail(*args):
        raise OSError("the disk is full")

    monkeypatch.setattr(*((serialization, stage) if stage == "save_file" else (os, stage)), fail)
    with pytest.raises(OSError, match="disk is full"):
        save({"a": minigrad.ones(3)}, path)
    monkeypatch.undo()
    assert load(path) == "before" and os.listdir(path.parent) == [path.name]


def test_a_link_keeps_pointing_to_the_file(path, tmp_path):
    save(1, path)
    link = tmp_path / "latest"
    link.symlink_to(path)
    save(2, link)
    assert link.is_symlink() and load(path) == load(link) == 2


def test_places_that_cannot_be_written(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        save(1, tmp_path / "missing" / "file")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        save(1, tmp_path)
    assert os.listdir(tmp_path) == []


# -------------------------------------------------------------------------------------------------------- bad files


def test_missing_file_and_device(path):
    with pytest.raises(FileNotFoundError, match="no file"):
        load(path)
    with pytest.raises(FileNotFoundError, match="no file"):
        load(path.parent)
    save({"a": minigrad.ones(1)}, path)
    with pytest.raises(RuntimeError, match="no device"):
        load(path, map_location="quantum")
    assert load(path, map_location="cpu")["a"].device == minigrad.device("cpu")


def test_every_truncation_of_a_file_is_noticed(path):
    save({"a": minigrad.ones(3), "b": (1, "x")}, path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(RuntimeError, match="damaged"):
            load(path)


@pytest.mark.parametrize(
    "entry",
    ["", "[]", "{}", "1", '{"version": 1}', '{"version": 1, "structure": {"tensor": "gone"}}', '{"version": 1, "structure": {"odd": 1}}',
     '{"version": 1, "structure": {"dict": [1]}}', '{"version": 1, "structure": {}}', '{"version": 1, "structure": {"tensor": []}}'],
)  # fmt: skip
def test_metadata_that_make_no_sense_are_noticed(path, entry):
    serialization.save_file({"a": np.ones(1)}, path, {"minigrad": entry})
    with pytest.raises(RuntimeError, match="damaged"):
        load(path)


def test_a_later_version_is_named(path):
    serialization.save_file({"a": np.ones(1)}, path, {"minigrad": '{"version": 2, "structure": null}'})
    with pytest.raises(RuntimeError, match="version 2"):
        load(path)
