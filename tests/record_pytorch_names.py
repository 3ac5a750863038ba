"""Write tests/pytorch_names.json: the public names of PyTorch, by the place they stand in. Run where torch is installed.

A name is public if it does not begin with an underscore and what it names comes from PyTorch: modules and objects of the
standard library, of typing and the like, which its files happen to import, are left out.
"""

from __future__ import annotations

import inspect
import json
import types
import warnings
from pathlib import Path

import torch
import torch.autograd
import torch.nn.utils.rnn
import torch.optim.lr_scheduler
import torch.utils.data

PLACES = {
    "minigrad": torch, "Tensor": torch.Tensor, "nn": torch.nn, "nn.functional": torch.nn.functional, "nn.init": torch.nn.init,
    "nn.utils": torch.nn.utils, "nn.utils.rnn": torch.nn.utils.rnn, "optim": torch.optim, "optim.lr_scheduler": torch.optim.lr_scheduler,
    "autograd": torch.autograd, "utils.data": torch.utils.data, "linalg": torch.linalg,
}  # fmt: skip


def names_of(place: object) -> list[str]:
    """The public names in one place, in order."""
    found = []
    for name in dir(place):
        if not name.startswith("_") and is_pytorchs(place, name):
            found.append(name)
    return sorted(found)


def is_pytorchs(place: object, name: str) -> bool:
    """Whether what a name stands for comes from PyTorch."""
    if isinstance(place, type):
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = getattr(place, name, None)
    if isinstance(value, types.ModuleType):
        return value.__name__.startswith("torch.")
    source = getattr(inspect.unwrap(value) if callable(value) else value, "__module__", None) or "torch"
    return source.split(".")[0] in ("torch", "builtins")


if __name__ == "__main__":
    recorded = {"version": torch.__version__, "names": {where: names_of(place) for where, place in PLACES.items()}}
    Path(__file__).with_name("pytorch_names.json").write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")
