"""What PyTorch gave for programs of every family, replayed without it: values, gradients, dtypes, errors, text.

`recorded/record.py` wrote the answers; the versions it ran with stand in the file.
"""

from __future__ import annotations

import builtins
import gzip
import json
import pathlib
import warnings

import numpy as np
import promotion
import pytest
from oracle import difference, run

import minigrad

RECORDED = json.loads(gzip.decompress((pathlib.Path(__file__).parent / "recorded" / "programs.json.gz").read_bytes()))
FAMILIES = sorted({program[0] for program in RECORDED["programs"]})
UNSUPPORTED = "NotImplementedError"


def unpacked(stored):
    """The array, or the plain value, that was recorded."""
    if isinstance(stored, dict):
        return stored["plain"]
    dtype, shape, elements = stored
    with np.errstate(all="ignore"):
        return np.array(elements, dtype).reshape(shape)


def restored(outcome):
    """What PyTorch gave, in the form in which `run` gives what we do."""
    if isinstance(outcome, list):
        return [unpacked(each) for each in outcome]
    if "raises" in outcome:
        return getattr(builtins, outcome["raises"], RuntimeError)(outcome["says"])
    return {what: restored(each) for what, each in outcome.items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_programs_give_what_pytorch_gave(family):
    failures = []
    for name, lines, stored, wanted, order, outcome in RECORDED["programs"]:
        if name == family:
            arrays = [unpacked(each) for each in stored]
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*encountered in (add|subtract|multiply|matmul)")
                found = difference(lines, run(minigrad, lines, arrays, wanted, order), restored(outcome), arrays)
            if found is not None:
                failures.append(f"{lines}\n   -> {found}")
    assert not failures, f"{len(failures)}\n" + "\n".join(failures[:5])


@pytest.mark.parametrize("default", promotion.DEFAULTS)
@pytest.mark.parametrize("text", [*promotion.FUNCTIONS, *promotion.SINGLE])
def test_operands_meet_where_pytorchs_met(text, default):
    cases = promotion.operands(text) if text in promotion.FUNCTIONS else promotion.singles()
    failures = []
    for given, theirs in zip(cases, RECORDED["meetings"][f"{default} {text}"], strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ours = promotion.label(promotion.found(minigrad, text, given, default))
        if (ours != theirs and theirs not in (UNSUPPORTED, "RuntimeError")) or (theirs == "RuntimeError" and "Error" not in ours):
            failures.append(f"{text} of {given}: {ours} instead of {theirs}")
    assert not failures, f"{len(failures)} of {len(cases)}\n" + "\n".join(failures[:5])


def test_text_is_what_pytorch_wrote():
    for stored, form, text in RECORDED["texts"]:
        x = minigrad.tensor(unpacked(stored))
        assert repr(x.requires_grad_() if form == "leaf" and x.is_floating_point() else x) == text
