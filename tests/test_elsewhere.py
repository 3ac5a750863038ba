"""Modules under PyTorch's names: `import minigrad.nn.functional as F` gives minigrad_nn's, and each module exists once."""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import minigrad_nn
from minigrad.elsewhere import Elsewhere

pytestmark = pytest.mark.host_only("about imports")
ROOT = Path(__file__).resolve().parents[1]
NAMES = {"minigrad.nn": "minigrad_nn", "minigrad.optim": "minigrad_nn.optim", "minigrad.utils": "minigrad_nn.utils"}
INSIDE = [each.name.removeprefix("minigrad_nn.") for each in pkgutil.walk_packages(minigrad_nn.__path__, "minigrad_nn.")]
STUBS = sorted((ROOT / "minigrad").rglob("*.pyi"))


@pytest.mark.parametrize("name", [each for each in INSIDE if not each.startswith("kernels")])
def test_a_module_is_the_same_under_both_names(name):
    assert importlib.import_module(f"minigrad.nn.{name}") is importlib.import_module(f"minigrad_nn.{name}")


def test_importing_a_module_leaves_the_function_of_its_name_alone():
    program = """
import importlib, pkgutil, sys
import minigrad, minigrad_nn
names = [each.name for each in pkgutil.walk_packages(minigrad_nn.__path__, "minigrad_nn.") if "kernels" not in each.name]
packages = minigrad_nn, minigrad_nn.optim, minigrad_nn.utils
before = [dict(vars(each)) for each in packages]
for name in names:
    importlib.import_module(name.replace("minigrad_nn", "minigrad.nn", 1))
assert callable(minigrad.nn.scan) and callable(minigrad.nn.summary)
assert all(vars(each)[name] is value for each, own in zip(packages, before) for name, value in own.items() if name[0] != "_")
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_import_statements_as_pytorchs_programs_have_them():
    program = """
import minigrad as torch
import minigrad.nn as nn
import minigrad.nn.functional as F
import minigrad.optim as optim
from minigrad import Tensor, autograd, optim as same, viz
from minigrad.nn import LSTM, Parameter
from minigrad.nn.parameter import Parameter as P
from minigrad.nn.utils import clip_grad_norm_
from minigrad.nn.utils.rnn import pack_padded_sequence
from minigrad.optim.lr_scheduler import StepLR
from minigrad.utils.checkpoint import checkpoint
from minigrad.utils.data import DataLoader, Dataset
import minigrad_nn.utils.data
assert torch.nn is nn and optim is same and P is Parameter and DataLoader is minigrad_nn.utils.data.DataLoader
assert nn.__name__ == nn.__spec__.name == "minigrad_nn" and F is nn.functional and LSTM is nn.LSTM
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["minigrad.nn.nothing", "minigrad.nothing", "minigrad.utils.data.nothing", "minigrad.nnn"])
def test_a_module_that_is_not_there_is_missed_under_the_name_that_was_asked_for(name):
    with pytest.raises(ModuleNotFoundError, match=f"No module named '{name}'"):
        importlib.import_module(name)


def test_names_that_begin_alike_are_others():
    finder = Elsewhere({"minigrad.nn": "minigrad_nn"})
    assert finder.own_name("minigrad.nn.init") == "minigrad_nn.init" and finder.own_name("minigrad.nn") == "minigrad_nn"
    assert finder.own_name("minigrad.nnn") is None and finder.own_name("minigrad") is None and finder.find_spec("minigrad.nn.x") is None


def test_importing_minigrad_again_installs_one_finder():
    for _ in range(2):
        Elsewhere(NAMES).install()
    assert [type(each).__qualname__ for each in sys.meta_path].count("Elsewhere") == 1


@pytest.mark.parametrize("stub", STUBS, ids=lambda stub: stub.relative_to(ROOT).as_posix())
def test_type_checkers_are_told_where_each_module_stands(stub):
    parts = stub.relative_to(ROOT).with_suffix("").parts
    alias = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    own = next(own + alias[len(name) :] for name, own in NAMES.items() if alias == name or alias.startswith(name + "."))
    assert stub.read_text(encoding="utf-8") == f"from {own} import *\n" and importlib.import_module(own).__all__


def test_type_checkers_know_all_modules_that_pytorch_has():
    assert len(STUBS) == 12
