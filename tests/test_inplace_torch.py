"""Random programs of views and changes in place, run here and in PyTorch: values, gradients and refusals compared.

PyTorch is the judge. Where it refuses while the program runs, so must we. Where it refuses in backward, because a kept
value was changed, so must we, or give the gradients that PyTorch gives when told to keep copies of what it needs: we keep a
copy in some places where it does not (x *= x). Where we refuse and PyTorch does not, the message must say what to do
instead, and the share is printed.
"""

from __future__ import annotations

import os
import random

import numpy as np
import pytest
from compare import host, several

import minigrad

torch = pytest.importorskip("torch")

UNJUDGED = "PyTorch refused, its copies disagree, and parts are not recorded, so that slopes say nothing"
PROGRAMS = int(os.environ.get("MINIGRAD_PROGRAMS") or several(1500))
SEED = int(os.environ.get("MINIGRAD_SEED", "0"))


def _views(rng, shape):
    """Ways to look at a tensor of this shape: (name, arguments)."""
    ways = [("reshape", (-1,)), ("detach", ()), ("clone", ()), ("unsqueeze", (0,)), ("getitem", (Ellipsis,))]
    if shape:
        ways += [("view", shape)]
        axis = rng.randrange(len(shape))
        ways += [("expand", (2, *shape)), ("getitem", (rng.randrange(shape[0]),)), ("getitem", (slice(0, max(1, shape[0] - 1)),))]
        ways += [("getitem", (slice(None, None, 2),)), ("narrow", (axis, 0, max(1, shape[axis] // 2)))]
        ways += [(name, (rng.randrange(2),)) for name in ("split", "unbind", "chunk")]
        ways += [("getitem", ([0, shape[0] - 1],)), ("flatten", ())]
    if len(shape) > 1:
        ways += [("transpose", (0, 1)), ("getitem", ((slice(None), 0),)), ("t", ())] if len(shape) == 2 else [("transpose", (0, 1))]
        ways += [("permute", tuple(rng.sample(range(len(shape)), len(shape)))), ("diagonal", ())]
    return ways


CHANGES = (
    "add_", "mul_", "sub_", "div_", "tanh_", "sigmoid_", "exp_", "zero_", "fill_", "copy_", "neg_", "setitem", "iadd", "square",
    "relu_", "setmask",
)  # fmt: skip


def program(seed):
    """A list of steps; a tensor is named by its position among those made so far."""
    rng = random.Random(seed)
    shapes = [(4,), (2, 3)]
    steps = []
    for _ in range(rng.randrange(3, 10)):
        a = rng.randrange(len(shapes))
        mode = "no_grad" if rng.random() < 0.12 else "grad"
        kind = rng.random()
        if kind < 0.45:
            steps.append(("view", mode, a, rng.choice(_views(rng, shapes[a]))))
            probe = _look(torch.zeros(shapes[a]), steps[-1][3])
            shapes.append(tuple(probe.shape))
        elif kind < 0.85:
            same = [b for b, shape in enumerate(shapes) if shape == shapes[a]]
            other = ("tensor", rng.choice(same)) if rng.random() < 0.6 else ("number", rng.choice([0.5, 2.0, -1.0]))
            steps.append(("change", mode, a, (rng.choice(CHANGES), other)))
        else:
            steps.append(("out", mode, a, (rng.choice(["mul", "tanh", "exp", "square", "add"]), rng.randrange(len(shapes)))))
            shapes.append(shapes[a])
    used = sorted({rng.randrange(len(shapes)) for _ in range(3)} | {len(shapes) - 1})
    return steps, used, rng.random() < 0.8


def _look(x, way):
    name, args = way
    if name == "getitem":
        return x[args[0]]
    if name == "split":
        return x.split(max(1, (x.shape[0] + 1) // 2))[0]
    if name == "chunk":
        return x.chunk(2)[-1]
    if name == "unbind":
        return x.unbind(0)[-1]
    return getattr(x, name)(*args)


def _change(x, name, other):
    if name == "setitem":
        x[0 if x.ndim else ...] = other if isinstance(other, float) else other[0 if other.ndim else ...]
    elif name == "setmask":
        x[x > 0] = other if isinstance(other, float) else 1.5
    elif name == "iadd":
        x += other
    elif name == "square":
        x *= x
    elif name in ("add_", "mul_", "sub_", "div_"):
        getattr(x, name)(other)
    elif name == "fill_":
        x.fill_(other if isinstance(other, float) else 0.25)
    elif name == "copy_":
        x.copy_(other) if not isinstance(other, float) else x.fill_(other)
    else:
        getattr(x, name)()


def run(lib, seed, shift=None):
    """("done", values, gradients of the leaves), or ("refused", where, why); with `shift`, added to the leaves, the loss only."""
    steps, used, wanted = program(seed)
    rng = np.random.default_rng(seed)
    numbers = [rng.uniform(0.5, 1.5, shape) for shape in ((4,), (2, 3))]
    if shift is None:
        leaves = [lib.tensor(each, requires_grad=wanted or index == 0) for index, each in enumerate(numbers)]
    else:
        leaves = [lib.tensor(each + step) for each, step in zip(numbers, shift, strict=True)]
    weights = [rng.uniform(0.5, 1.5, 200) for _ in range(20)]
    tensors = [leaf * 1.0 if rng.random() < 0.85 else leaf for leaf in leaves]
    for place, (kind, mode, a, what) in enumerate(steps):
        try:
            with lib.no_grad() if mode == "no_grad" else lib.enable_grad():
                if kind == "view":
                    tensors.append(_look(tensors[a], what))
                elif kind == "change":
                    name, (sort, other) = what
                    _change(tensors[a], name, tensors[other] if sort == "tensor" else other)
                else:
                    tensors.append(_compute(tensors[a], what[0], tensors[what[1]]))
        except RuntimeError as problem:
            return "refused", f"step {place}", str(problem)
    values = [host(each).copy() for each in tensors]
    try:
        loss = sum((tensors[each] * lib.tensor(weights[each][: values[each].size].reshape(values[each].shape))).sum() for each in used)
        if shift is not None:
            return loss.item()
        if not loss.requires_grad:
            return "done", values, [None, None]
        loss.backward()
    except RuntimeError as problem:
        return "refused", "backward", str(problem)
    return "done", values, [None if leaf.grad is None else host(leaf.grad) for leaf in leaves]


def second_opinions(seed):
    """What PyTorch gives when it copies what is changed while it is kept, and if all is recorded, the slopes of the loss."""
    with torch.autograd.graph.allow_mutation_on_saved_tensors():
        opinions = [run(torch, seed)]
    steps, _, wanted = program(seed)
    if all(mode == "grad" and what[0] != "detach" for _, mode, _, what in steps):
        opinions.append(("done", run(minigrad, seed)[1], [slopes(seed, 0, (4,)), slopes(seed, 1, (2, 3)) if wanted else None]))
    return opinions


def slopes(seed, leaf, shape):
    """The loss's derivatives by one leaf, by moving each of its elements a little to either side, with nothing on the tape."""
    found = np.zeros(shape)
    for place in np.ndindex(*shape):
        step = np.zeros(shape)
        step[place] = 1e-6
        above, below = (run(minigrad, seed, [sign * step if each == leaf else 0.0 for each in (0, 1)]) for sign in (1, -1))
        found[place] = (above - below) / 2e-6
    return found


def _compute(x, name, other):
    if name in ("mul", "add"):
        return x * other if name == "mul" and other.shape == x.shape else x + 0.5
    return x * x if name == "square" else getattr(x, name)()


def differs(ours, theirs, opinions=list):
    """What is wrong with our outcome, given PyTorch's; None if nothing."""
    if theirs[0] == "refused" and ours[0] == "done" and theirs[1] == "backward" and "inplace operation" in theirs[2]:
        verdicts = [differs(ours, opinion) for opinion in opinions()]
        if None in verdicts:
            return None
        # Told to keep copies, PyTorch still misses some changes made through views (of an exp_ changed through a piece, say).
        return UNJUDGED if len(verdicts) == 1 else f"PyTorch refused: {theirs[2]}; other opinions: {verdicts}"
    if theirs[0] == "refused" and "refer to a single memory location" in theirs[2]:
        return None  # x.mul_(x.t()): we compute before we write, and may
    if theirs[0] == "refused":
        return None if ours[0] == "refused" else f"PyTorch refused at {theirs[1]}: {theirs[2]}"
    if ours[0] == "refused":
        return None if "out-of-place" in ours[2] or "clone()" in ours[2] else f"we refused at {ours[1]} without advice: {ours[2]}"
    for mine, other in zip(ours[1] + ours[2], theirs[1] + theirs[2], strict=True):
        if mine is None and other is not None and not np.any(other):
            continue  # nobody asked for this gradient, or it is 0
        if (mine is None) != (other is None) or (mine is not None and not np.allclose(mine, other, 1e-5, 1e-6, equal_nan=True)):
            return f"{mine} is not {other}"
    return None


@pytest.mark.filterwarnings("ignore")
def test_random_programs_agree_with_pytorch(capsys):
    refused = both = unjudged = 0
    with np.errstate(all="ignore"):
        for seed in range(SEED, SEED + PROGRAMS):
            ours, theirs = run(minigrad, seed), run(torch, seed)
            # PyTorch holds that a view made under no_grad() of what wants a gradient wants one too, and ends there: refusals follow.
            untracked = any(kind == "view" and mode == "no_grad" for kind, mode, *_ in program(seed)[0])
            problem = differs(ours, theirs, lambda seed=seed: second_opinions(seed))
            problem = UNJUDGED if untracked and problem is not None and "view" in problem and ours[0] == "done" else problem
            assert problem in (None, UNJUDGED), f"seed {seed}: {program(seed)}: {problem}"
            refused += ours[0] == "refused" and theirs[0] == "done"
            both += theirs[0] == "refused"
            unjudged += problem == UNJUDGED
    with capsys.disabled():
        print(f"\n{PROGRAMS} programs from seed {SEED}: {both} refused by PyTorch, {refused} refused here only, {unjudged} unjudged")
    assert refused <= 0.01 * PROGRAMS and unjudged <= 0.005 * PROGRAMS
