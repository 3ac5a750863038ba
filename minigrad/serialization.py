"""Saving tensors, and what stands around them, in one file that PyTorch can read; no pickle.

The file is a safetensors file (https://huggingface.co/docs/safetensors): `safetensors.torch.load_file` reads the tensors
in it, and `load` reads files that PyTorch wrote. A tensor's name is the path to it in what was saved, joined by dots:
a state_dict's tensors keep their keys, and the first state of an optimiser saved beside it is "optimizer.state.0.exp_avg".

The file's metadata, which is text, holds under "minigrad" what tensors cannot say, as JSON:

    {"version": 1, "structure": S}        where S is null, true, a number, a string, a list of S, or one of
    {"tensor": name}                      the tensor of that name in the file
    {"tuple": [S, …]}
    {"dict": [[key, S], …]}               in order; keys are strings, numbers (JSON's own objects have none), true or null
    {"float": "inf" | "-inf" | "nan"}     which JSON cannot write

Tied tensors, one object or one memory at several places, are stored once, under the first name; `structure` points to
that name from all places, and they come back as one object. For readers that know safetensors only, there is also an
entry {other name: stored name} in the metadata, as `safetensors.torch.save_model` writes it. Where a file has no
"minigrad" entry, these are what `load` ties by.

What comes back are values: a dict for any kind of dict, a tuple for any kind of tuple, and tensors that require no grad.
"""

from __future__ import annotations

import json
import math
import os
from typing import IO, Any

import numpy as np
from safetensors import SafetensorError, deserialize, safe_open
from safetensors.numpy import save as to_bytes
from safetensors.numpy import save_file

from . import backend, types
from .ops.create import finish
from .tensor import Tensor

__all__ = ["load", "save"]

_ENTRY = "minigrad"
_VERSION = 1
_DTYPES = {  # safetensors' names for what a tensor can hold
    "F16": "float16", "F32": "float32", "F64": "float64", "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64", "U8": "uint8",
    "BOOL": "bool",
}  # fmt: skip
File = str | os.PathLike[str] | IO[bytes]


def save(obj: Any, f: File) -> None:
    """Write tensors, numbers, strings, None, and lists, tuples and dicts of them, to a file; whole or not at all.

    f   a path, whose file is replaced when the new one is complete and on the disk, not before; or what is open for
        writing bytes, as io.BytesIO(): it gets all of them in one write

    Raises  TypeError naming the place of what cannot be saved, before anything is written;
            FileNotFoundError for a folder that is not there
    Source  in place of https://docs.pytorch.org/docs/stable/generated/torch.save.html

    >>> import minigrad, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "run.safetensors")
    >>> save({"model": {"weight": minigrad.ones(2)}, "epoch": 3}, path)
    >>> load(path)
    {'model': {'weight': tensor([1., 1.])}, 'epoch': 3}
    """
    writer = _Writer()
    structure = writer.encode(obj, (), ())
    text = json.dumps({"version": _VERSION, "structure": structure}, allow_nan=False)
    metadata = {**writer.aliases, _ENTRY: text}
    if hasattr(f, "write"):
        f.write(to_bytes(writer.arrays, metadata))
    else:
        _write_whole(writer.arrays, metadata, os.path.realpath(os.fspath(f)))


class _Writer:
    """Walks through what is to be saved, gathers its tensors and puts what remains into JSON's terms.

    arrays   {name: the array on the host, its elements in order}
    aliases  {name of another place of a tensor: the name it is stored under}
    """

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray[Any, Any]] = {}
        self.aliases: dict[str, str] = {}
        self._stored: dict[Any, str] = {}

    def encode(self, obj: Any, path: tuple[Any, ...], around: tuple[int, ...]) -> Any:
        """`obj`, which stands at `path` inside the containers with the ids `around`, in JSON's terms."""
        if isinstance(obj, Tensor):
            return {"tensor": self._store(obj, ".".join(map(str, path)) or "tensor")}
        if not isinstance(obj, (dict, list, tuple)):
            return _scalar(obj, path)
        if id(obj) in around:
            raise TypeError(f"{_place(path)} contains itself, which a file cannot; save a copy without the circle")
        around = (*around, id(obj))
        if isinstance(obj, dict):
            return {"dict": [[_key(key, path), self.encode(each, (*path, key), around)] for key, each in obj.items()]}
        items = [self.encode(each, (*path, index), around) for index, each in enumerate(obj)]
        return {"tuple": items} if isinstance(obj, tuple) else items

    def _store(self, tensor: Any, name: str) -> str:
        memory = _memory(tensor)
        if memory in self._stored:
            if name not in self.arrays and name != _ENTRY:
                self.aliases[name] = self._stored[memory]
            return self._stored[memory]
        name = self._free(name)
        # Not ascontiguousarray, which would give a tensor without axes one.
        self.arrays[name] = np.asarray(backend.of(tensor.array).to_host(tensor.array), order="C")
        self._stored[memory] = name
        return name

    def _free(self, name: str) -> str:
        """`name`, with a number if it is taken: {"a.b": …, "a": {"b": …}} makes the same name twice."""
        taken, free = 1, name
        while free in self.arrays or free in self.aliases or free == "__metadata__":  # the last is the format's own
            taken += 1
            free = f"{name}#{taken}"
        return free


def _memory(tensor: Any) -> Any:
    """Equal for tensors that show the same elements of the same memory."""
    if tensor.array.size == 0:  # has no memory, so an address tells nothing
        return id(tensor)
    return tensor.data_ptr(), tensor.array.shape, tensor.array.strides, tensor.array.dtype.str, tensor.device


def _scalar(obj: Any, path: tuple[Any, ...]) -> Any:
    if obj is None or isinstance(obj, (bool, str)):
        return obj
    if isinstance(obj, int):
        return int(obj)
    if isinstance(obj, float):
        return float(obj) if math.isfinite(obj) else {"float": str(float(obj))}
    raise TypeError(
        f"{_place(path)} is a {type(obj).__name__}, which cannot be saved; a file holds tensors, numbers, strings, bools, None, "
        f"and dicts, lists and tuples of them.{_hint(obj)}"
    )


def _hint(obj: Any) -> str:
    if isinstance(obj, np.ndarray):
        return " Save minigrad.from_numpy(array)"
    if isinstance(obj, np.generic):
        return " Save its .item()"
    return " Save its state_dict()" if hasattr(obj, "state_dict") else ""


def _key(key: Any, path: tuple[Any, ...]) -> Any:
    if key is None or isinstance(key, (bool, str, int, float)):
        return _scalar(key, path)
    raise TypeError(f"{_place(path)} has the key {key!r}, a {type(key).__name__}; keys that can be saved are strings, numbers, bools, None")


def _place(path: tuple[Any, ...]) -> str:
    return "obj" + "".join(f"[{part!r}]" for part in path)


def _write_whole(arrays: dict[str, Any], metadata: dict[str, str], path: str) -> None:
    """Write a file beside `path`, wait until it is on the disk, and put it in place of `path` in one move."""
    folder, name = os.path.split(path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"there is no folder {folder!r} to save {name!r} in; make it first")
    if os.path.isdir(path):
        raise IsADirectoryError(f"{path!r} is a folder; name a file to save to")
    unfinished = os.path.join(folder, f".{name}.{os.urandom(6).hex()}.unfinished")
    try:
        save_file(arrays, unfinished, metadata)
        with open(unfinished, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(unfinished, 0o666 & ~_umask())
        os.replace(unfinished, path)
    finally:
        if os.path.exists(unfinished):
            os.remove(unfinished)


def _umask() -> int:
    """The permissions this process withholds from new files; they can only be read by setting them."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def load(f: File, map_location: Any = None, *, weights_only: bool = True) -> Any:
    """What `save` wrote to a file; for a safetensors file of other origin, a dict {name: tensor}.

    f              a path, or what is open for reading bytes, from where it stands to its end
    map_location   the device to put the tensors on; the default device if None
    weights_only   changes nothing: a file holds values only, and reading it runs no code

    Raises  FileNotFoundError if there is no file, EOFError if there is nothing in it;
            RuntimeError if it is damaged, or holds a dtype that tensors cannot
    Source  in place of https://docs.pytorch.org/docs/stable/generated/torch.load.html

    >>> import io, minigrad
    >>> file = io.BytesIO()
    >>> save([minigrad.ones(2), 3], file)
    >>> position = file.seek(0)
    >>> load(file)
    [tensor([1., 1.]), 3]
    """
    where = backend.current_device() if map_location is None else types.device(map_location)
    backend.on(where)  # a device that is not there is refused before the file is read
    name = _OPEN if hasattr(f, "read") else repr(os.fspath(f))
    arrays, metadata = _read_open(f) if hasattr(f, "read") else _read(os.fspath(f))
    tensors = {key: finish(array, None, where, False) for key, array in arrays.items()}
    if _ENTRY not in metadata:
        tied = {key: tensors[stored] for key, stored in metadata.items() if stored in tensors and key not in tensors}
        return {**tensors, **tied}
    try:
        entry = json.loads(metadata[_ENTRY])
        version, structure = entry["version"], entry["structure"]
        if version == _VERSION:
            return _decode(structure, tensors)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RuntimeError(f"{name} is damaged: its metadata do not describe the tensors in it. Load another copy") from None
    raise RuntimeError(f"{name} was written in version {version} of the format; this minigrad reads version {_VERSION}. Upgrade it")


_OPEN = "the open file"  # what messages call it


def _read(path: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The arrays in a file, and its metadata."""
    if not os.path.isfile(path):
        raise FileNotFoundError(f"there is no file {path!r} to load")
    try:
        with safe_open(path, "np") as file:
            for key in file.keys():  # noqa: SIM118  # a file is no dict and cannot be iterated over
                _require_known(file.get_slice(key).get_dtype(), key, repr(path))
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as problem:
        with open(path, "rb") as beginning:
            raise _not_ours(repr(path), beginning.read(2), problem) from None


def _read_open(file: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """The arrays in what is left of an open file, and its metadata."""
    raw = file.read()
    if not isinstance(raw, bytes):
        raise TypeError(f"a file to load from is open for reading bytes, open(path, 'rb'), and this one gave {type(raw).__name__}")
    if not raw:
        raise EOFError("there is nothing in the open file from where it stands; file.seek(0) goes back to its beginning")
    try:
        parts = deserialize(raw)
    except SafetensorError as problem:
        raise _not_ours(_OPEN, raw[:2], problem) from None
    for key, part in parts:
        _require_known(part["dtype"], key, _OPEN)
    arrays = {key: np.frombuffer(part["data"], _DTYPES[part["dtype"]]).reshape(part["shape"]) for key, part in parts}
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])  # the format: the header's size, the header, the elements
    return arrays, header.get("__metadata__", {})


def _require_known(kind: str, key: str, name: str) -> None:
    if kind not in _DTYPES:
        raise RuntimeError(f"tensor {key!r} in {name} is of {kind}, which minigrad has not; save it as float32 or int64")


def _not_ours(name: str, beginning: bytes, problem: Exception) -> RuntimeError:
    if beginning in (b"PK", b"\x80\x02"):  # a zip file, or a pickle
        what = "looks like a file of torch.save, which can hold any code; there, use safetensors.torch.save_file(model.state_dict(), path)"
    else:
        what = f"is no safetensors file, or a damaged one ({problem}). Load another copy"
    return RuntimeError(f"{name} {what}")


def _decode(structure: Any, tensors: dict[str, Tensor]) -> Any:
    """What `_Writer.encode` put into JSON's terms."""
    if isinstance(structure, list):
        return [_decode(each, tensors) for each in structure]
    if not isinstance(structure, dict):
        return structure
    ((kind, content),) = structure.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "tuple":
        return tuple(_decode(each, tensors) for each in content)
    if kind == "dict":
        return {_decode(key, tensors): _decode(each, tensors) for key, each in content}
    if kind == "float":
        return float(content)
    raise ValueError(kind)
