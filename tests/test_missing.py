"""Whatever PyTorch has is here, or says by which way to do without. The names were recorded by record_pytorch_names.py."""

from __future__ import annotations

import copy
import importlib.util
import json
import pickle
import re
from pathlib import Path

import pytest

import minigrad
import minigrad_nn
from minigrad import missing

ROOT = Path(__file__).resolve().parents[1]
_spec = importlib.util.spec_from_file_location("not_here", ROOT / "docs" / "not_here.py")
not_here = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(not_here)
RECORDED = json.loads(Path(__file__).with_name("pytorch_names.json").read_text(encoding="utf-8"))["names"]
HERE = {
    "minigrad": minigrad, "Tensor": minigrad.Tensor, "nn": minigrad_nn, "nn.functional": minigrad_nn.functional,
    "nn.init": minigrad_nn.init, "nn.utils": minigrad_nn.utils, "nn.utils.rnn": minigrad_nn.utils.rnn,
    "optim": minigrad_nn.optim, "autograd": minigrad.autograd,
    "linalg": minigrad.linalg, "optim.lr_scheduler": minigrad_nn.optim.lr_scheduler, "utils.data": minigrad_nn.utils.data,
}  # fmt: skip

# Names that nobody writes in a program, by place: the compiler's types and constants, files' own imports, notes.
INSIDE = {
    "minigrad": r"[A-Z]\w*",
    "nn.functional": r"[A-Z]\w*",
    "linalg": r"common_notes",
    "nn.utils.rnn": r"PackedSequence_|bind|copy_method_params",
    "optim.lr_scheduler": r"[A-Z_]+|Optimizer|Tensor|inf",
}


def public(place: str) -> list[str]:
    """PyTorch's names in one place that a program may use."""
    inside = INSIDE.get(place, r"(?!)")
    return [name for name in RECORDED.get(place, []) if not re.fullmatch(inside, name) or missing.hint(place, name)]


PLACES = list(RECORDED)


@pytest.mark.parametrize("place", PLACES)
def test_every_name_is_here_or_says_what_to_use(place: str) -> None:
    here = HERE.get(place)
    unknown = [name for name in public(place) if not hasattr(here, name) and missing.hint(place, name) is None]
    unknown = [name for name in unknown if not (place == "minigrad" and hasattr(minigrad.Tensor, name))]
    assert not unknown


@pytest.mark.parametrize("place", HERE)
def test_no_name_is_both_here_and_missing(place: str) -> None:
    listed = {entry for group in missing.GROUPS if group.place == place for entry in group.names.split() if entry[0] != "/"}
    assert not [name for name in listed if hasattr(HERE[place], name)]


@pytest.mark.parametrize("group", missing.GROUPS, ids=lambda group: f"{group.place}: {group.title}")
def test_every_entry_means_a_name_that_pytorch_has(group: missing.Group) -> None:
    known = [*RECORDED[group.place], *(RECORDED["Tensor"] if group.place == "minigrad" else [])]
    for entry in group.names.split():
        parts = not_here.alternatives(entry[1:-1]) if entry[0] == "/" else [re.escape(entry)]
        assert all(any(re.fullmatch(part, name) for name in known) for part in parts), entry


@pytest.mark.parametrize("place", HERE)
def test_what_is_here_can_be_called(place: str) -> None:
    """Nothing is a name only: functions, methods, properties, classes, modules and constants."""
    for name in RECORDED[place]:
        if hasattr(HERE[place], name):
            found = getattr(HERE[place], name)
            assert found is None or callable(found) or isinstance(found, (property, float, minigrad.dtype)) or hasattr(found, "__doc__")


def test_errors_say_the_nearest_way() -> None:
    x = minigrad.ones(2)
    for call, words in [
        (lambda: minigrad.stft, "minigrad has no 'stft': numpy.fft"),
        (lambda: minigrad.relu_, "it is a method, x.relu_"),
        (lambda: minigrad.tahn, "did you mean 'tan' or 'tanh'?"),
        (lambda: x.storage(), "x.numpy()"),
        (lambda: x.digamma_(), "scipy.special"),
        (lambda: x.sigmiod(), "did you mean 'sigmoid' or 'sigmoid_'?"),
        (lambda: minigrad.nn.RMSNorm, "x.square()"),
        (lambda: minigrad.nn.Liner, "did you mean 'Linear'?"),
        (lambda: minigrad.nn.functional.conv2d, "images"),
        (lambda: minigrad.nn.init.xavier_uniform, "underscore"),
        (lambda: minigrad.optim.Rprop, "minigrad.optim.Adam"),
        (lambda: minigrad.linalg.svd, "numpy.linalg"),
        (lambda: minigrad.nn.utils.parameters_to_vector, "minigrad.cat"),
        (lambda: minigrad.utils.data.DistributedSampler, "RandomSampler"),
        (lambda: minigrad.utils.data.DataLaoder, "did you mean 'DataLoader'?"),
        (lambda: minigrad.cuda.synchronise, "did you mean 'synchronize'?"),
        (lambda: minigrad.autograd.forward_ad, "minigrad.autograd.grad"),
    ]:
        with pytest.raises(AttributeError, match=re.escape(words)):
            call()


def test_a_missing_name_is_missing_for_hasattr_copy_and_pickle() -> None:
    x = minigrad.ones(2, requires_grad=True)
    assert not hasattr(x, "stft") and not hasattr(x, "__cuda_array_interface__") and not hasattr(minigrad, "compile")
    assert getattr(x, "storage", 3) == 3
    assert copy.copy(x).tolist() == copy.deepcopy(x).tolist() == pickle.loads(pickle.dumps(x)).tolist() == [1.0, 1.0]


def test_the_page_is_current() -> None:
    assert (ROOT / "docs" / "not-here.md").read_text(encoding="utf-8") == not_here.page(), "run: python docs/not_here.py"
