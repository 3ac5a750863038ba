"""A program that uses this library is checked by `mypy --strict`: functions, operators and methods give Tensors."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = """
import minigrad as torch
import minigrad_nn as nn
import minigrad_nn.functional as F
from minigrad import Tensor

x = torch.zeros(2)
reveal_type(x + 1)  # Tensor
reveal_type(1 - x)  # Tensor
reveal_type(2**x)  # Tensor
reveal_type(-x)  # Tensor
reveal_type(x @ x)  # Tensor
reveal_type(x == x)  # Tensor
reveal_type(x < 1)  # Tensor
reveal_type(x[0])  # Tensor
reveal_type(x.sum())  # Tensor
reveal_type(x.sum(dim=0, keepdim=True))  # Tensor
reveal_type(x.topk(1).values)  # Tensor
reveal_type(x.add_(1))  # Tensor
reveal_type(x.unsqueeze_(0))  # Tensor
reveal_type(x.to(torch.float64))  # Tensor
reveal_type(torch.tanh(x))  # Tensor
reveal_type(torch.cat([x, x], dim=0))  # Tensor
reveal_type(torch.randn(2, 3))  # Tensor
reveal_type(torch.LongTensor([1]))  # Tensor
reveal_type(torch.linalg.norm(x))  # Tensor
reveal_type(F.relu(x))  # Tensor
reveal_type(F.cross_entropy(x, x))  # Tensor
reveal_type(nn.Linear(2, 2).weight)  # Parameter
reveal_type(torch.nn.Linear(2, 2))  # Linear
reveal_type(torch.optim.SGD([x], lr=0.1))  # SGD
reveal_type(x.shape)  # Size
reveal_type(x.grad)  # Tensor | None
reveal_type(torch.float32)  # dtype
for row in x:
    reveal_type(row)  # Tensor
x += 1
x[0] = 3.0


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 3)
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(self.layer(x) * self.scale, dim=-1)


@torch.no_grad()
def evaluate(net: Net, x: Tensor) -> float:
    return float(net(x).mean().item())


x.sigmiod()  # error
torch.tahn(x)  # error
"""


LONGER = Path(__file__).with_name("typed_program.py")


def test_a_program_is_typed(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM, encoding="utf-8")
    options = ["--strict", "--config-file=", f"--cache-dir={tmp_path}", "--no-error-summary"]
    command = [sys.executable, "-m", "mypy", *options, str(path), str(LONGER)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    said: dict[int, str] = {}
    for line in done.stdout.splitlines():
        found = re.match(r".*program\.py:(\d+): (?:note: Revealed type is \"(.*)\"|(error): .*)", line)
        if found:
            said[int(found[1])] = re.sub(r"\w+\.", "", found[2] or found[3])
    expected = {at: line.split("# ")[1] for at, line in enumerate(PROGRAM.splitlines(), 1) if "  # " in line}
    assert said == expected, done.stdout + done.stderr
    assert LONGER.name not in done.stdout, done.stdout


def test_the_longer_program_runs() -> None:
    done = subprocess.run([sys.executable, str(LONGER)], cwd=ROOT, capture_output=True, text=True, check=False, env=_beside(ROOT))
    assert done.returncode == 0 and done.stderr == "" and "minigrad.float32 4" in done.stdout, done.stderr


def _beside(folder: Path) -> dict[str, str]:
    """The environment, with packages found in this folder first."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))}
