"""Write docs/not-here.md from what minigrad.missing knows: python docs/not_here.py"""

from __future__ import annotations

import re
from pathlib import Path

from minigrad.missing import GROUPS

_HEAD = """# What PyTorch has and this has not

Every name here is missing on purpose, or not there yet ("planned"). The last column is the nearest way; the error
message of a missing name says the same. A star stands for any ending.

Methods in place that are missing as functions (`torch.relu_(x)`) are methods here: `x.relu_()`. This page is written by
`python docs/not_here.py`.
"""
_PLACES = {
    "minigrad": "Functions", "Tensor": "Methods of a tensor", "linalg": "linalg", "autograd": "autograd", "nn": "nn",
    "nn.functional": "nn.functional", "nn.init": "nn.init", "nn.utils": "nn.utils", "optim": "optim",
    "optim.lr_scheduler": "optim.lr_scheduler", "utils.data": "utils.data",
}  # fmt: skip


def page() -> str:
    """The text of not-here.md: every group, by place."""
    lines = [_HEAD]
    for place, title in _PLACES.items():
        lines += [f"## {title}", "", "| | PyTorch's names | here |", "|---|---|---|"]
        lines += [f"| {group.title} | {_listed(group.names)} | {_cell(group.hint)} |" for group in GROUPS if group.place == place]
        lines.append("")
    return "\n".join(lines)


def _listed(names: str) -> str:
    """The names of a group as code, patterns made readable."""
    found = []
    for entry in names.split():
        found += [_readable(part) for part in alternatives(entry[1:-1])] if entry.startswith("/") else [entry]
    return ", ".join(f"`{each}`" for each in found)


def alternatives(pattern: str) -> list[str]:
    """A pattern cut at each | outside brackets."""
    parts, depth = [""], 0
    for letter in pattern:
        depth += (letter in "([") - (letter in ")]")
        if letter == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _readable(pattern: str) -> str:
    text = re.sub(r"\\d([*?])?|\[[^]]*\]", "N", pattern).replace(".*", "*").replace("\\w+", "everything").replace("|", "/")
    return text.replace("?", "").replace("N*", "*")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("NAME", "name")


if __name__ == "__main__":
    Path(__file__).with_name("not-here.md").write_text(page(), encoding="utf-8")
