"""What is measured: each cell is written once, against PyTorch's names, and runs on both libraries.

A cell takes a `Library` and returns a `Job`. Its `prepare` is not timed and makes what `work` receives; `work` is timed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

LOOP = (35, 20, 200, 200)  # T, B, I, H of the loops over LSTMCell
LONG_LOOP = 1000  # T of the loop whose memory is measured
CHAIN = 2000  # operations in a chain
CHAR = {"T": 100, "B": 32, "V": 95, "embedding": 64, "hidden": 256}  # the character model's sizes


class Library:
    """PyTorch's namespaces, from PyTorch or from minigrad."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.torch = importlib.import_module(name)
        if name == "torch":
            self.torch.set_num_threads(2)

    def __getattr__(self, part: str) -> Any:
        """`nn`, and `functional`, `utils`, `optim` where the library keeps them."""
        places = {
            "minigrad": {"nn": "minigrad_nn", "optim": "minigrad_nn.optim"},
            "torch": {"nn": "torch.nn", "optim": "torch.optim"},
        }[self.name]  # fmt: skip
        return importlib.import_module(places.get(part) or f"{places['nn']}.{part}")


@dataclass
class Job:
    """Something to time: `work(prepare())`, `count` units of `unit` at once."""

    work: Callable[[Any], Any]
    count: float
    prepare: Callable[[], Any] = lambda: None


def _array(library: Library, *shape: int, scale: float = 1.0, requires_grad: bool = False) -> Any:
    drawn = np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32) * np.float32(scale)
    return library.torch.from_numpy(drawn).requires_grad_(requires_grad)


# --------------------------------------------------------------------------------------------------------- chains


def _chain(x: Any, a: Any, length: int) -> Any:
    y = x
    for _ in range(length // 2):
        y = y * a
        y = y + a
    return y


def _near_one(library: Library, requires_grad: bool) -> Any:
    """Four numbers a little below one: long products of them neither overflow nor reach the slow subnormal numbers."""
    return library.torch.tensor([0.9991, 0.9992, 0.9993, 0.9994], requires_grad=requires_grad)


def _chain_job(library: Library, a: Any) -> Job:
    x = _near_one(library, requires_grad=True)

    def work(_: Any) -> None:
        _chain(x, a, CHAIN).sum().backward()

    return Job(work, CHAIN)


def chain_constant(library: Library) -> Job:
    """Multiplications by and additions of a constant tensor."""
    return _chain_job(library, _near_one(library, requires_grad=False))


def chain_number(library: Library) -> Job:
    """Multiplications by and additions of a Python number."""
    return _chain_job(library, 0.9992)


def chain_leaf(library: Library) -> Job:
    """Multiplications by and additions of a tensor that wants a gradient itself."""
    return _chain_job(library, _near_one(library, requires_grad=True))


def _backward_job(library: Library, length: int) -> Job:
    x, a = _near_one(library, requires_grad=True), _near_one(library, requires_grad=False)
    return Job(lambda y: y.backward(), length, lambda: _chain(x, a, length).sum())


def backward_1000(library: Library) -> Job:
    """Backward through 1 000 nodes."""
    return _backward_job(library, 1000)


def backward_100000(library: Library) -> Job:
    """Backward through 100 000 nodes."""
    return _backward_job(library, 100_000)


# -------------------------------------------------------------------------------------------------- recurrent cells


def _loop_job(library: Library, steps: int) -> Job:
    _, batch, features, hidden = LOOP
    cell = library.nn.LSTMCell(features, hidden)
    x = _array(library, steps, batch, features, requires_grad=True)
    zeros = library.torch.zeros(batch, hidden)

    def work(_: Any) -> None:
        x.grad = None
        cell.zero_grad()
        state, hs = (zeros, zeros), []
        for t in range(steps):
            state = cell(x[t], state)
            hs.append(state[0])
        library.torch.stack(hs).sum().backward()

    return Job(work, 1)


def lstm_loop(library: Library) -> Job:
    """A Python loop over LSTMCell, gradients of the input and of every weight."""
    return _loop_job(library, LOOP[0])


def lstm_memory(library: Library) -> Job:
    """The same loop, long enough for its memory to be seen."""
    return _loop_job(library, LONG_LOOP)


# ------------------------------------------------------------------------------------------------- character model


def char_lm(library: Library) -> Job:
    """One training step of the character model: the state carried over, clipped gradients, Adam."""
    nn, torch = library.nn, library.torch
    cross_entropy, clip = library.functional.cross_entropy, library.utils.clip_grad_norm_
    steps, batch, vocabulary, hidden = CHAR["T"], CHAR["B"], CHAR["V"], CHAR["hidden"]
    embedding = nn.Embedding(vocabulary, CHAR["embedding"])
    lstm = nn.LSTM(CHAR["embedding"], hidden)
    linear = nn.Linear(hidden, vocabulary)
    parameters = [each for module in (embedding, lstm, linear) for each in module.parameters()]
    optimizer = library.optim.Adam(parameters, lr=3e-3)
    text = torch.from_numpy(np.random.default_rng(0).integers(0, vocabulary, (steps + 1, batch)))
    carried = [(torch.zeros(1, batch, hidden), torch.zeros(1, batch, hidden))]

    def work(_: Any) -> None:
        hs, (h, c) = lstm(embedding(text[:-1]), carried[0])
        carried[0] = (h.detach(), c.detach())
        loss = cross_entropy(linear(hs).reshape(-1, vocabulary), text[1:].reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        clip(parameters, 1.0)
        optimizer.step()

    return Job(work, steps * batch)


# ------------------------------------------------------------------------------------- the character model, part by part


def _part(library: Library, forward: Callable[[], Any], wanted: list[Any]) -> Job:
    """A part alone: forward, and back from the same gradient every time."""
    like = forward().detach()
    dy = library.torch.ones_like(like)

    def work(_: Any) -> None:
        for each in wanted:
            each.grad = None
        forward().backward(dy)

    return Job(work, 1)


def part_embedding(library: Library) -> Job:
    """Looking characters up, and adding their gradients up."""
    embedding = library.nn.Embedding(CHAR["V"], CHAR["embedding"])
    text = _text(library)
    return _part(library, lambda: embedding(text), [embedding.weight])


def part_layer(library: Library) -> Job:
    """The recurrent layer."""
    lstm = library.nn.LSTM(CHAR["embedding"], CHAR["hidden"])
    x = _array(library, CHAR["T"], CHAR["B"], CHAR["embedding"], requires_grad=True)
    return _part(library, lambda: lstm(x)[0], [x, *lstm.parameters()])


def part_linear(library: Library) -> Job:
    """The linear layer behind it."""
    linear = library.nn.Linear(CHAR["hidden"], CHAR["V"])
    x = _array(library, CHAR["T"], CHAR["B"], CHAR["hidden"], requires_grad=True)
    return _part(library, lambda: linear(x), [x, *linear.parameters()])


def part_cross_entropy(library: Library) -> Job:
    """Softmax and cross-entropy."""
    logits = _array(library, CHAR["T"] * CHAR["B"], CHAR["V"], requires_grad=True)
    text = _text(library).reshape(-1)
    return _part(library, lambda: library.functional.cross_entropy(logits, text), [logits])


def part_clipping(library: Library) -> Job:
    """Clipping the norm of all gradients."""
    parameters = _with_gradients(library)
    clip = library.utils.clip_grad_norm_
    return Job(lambda _: clip(parameters, 1e9), 1)


def part_optimizer(library: Library) -> Job:
    """A step of Adam."""
    optimizer = library.optim.Adam(_with_gradients(library), lr=1e-6)
    return Job(lambda _: optimizer.step(), 1)


def _text(library: Library) -> Any:
    return library.torch.from_numpy(np.random.default_rng(0).integers(0, CHAR["V"], (CHAR["T"], CHAR["B"])))


def _with_gradients(library: Library) -> list[Any]:
    """The model's parameters, with gradients."""
    nn = library.nn
    modules = (
        nn.Embedding(CHAR["V"], CHAR["embedding"]), nn.LSTM(CHAR["embedding"], CHAR["hidden"]), nn.Linear(CHAR["hidden"], CHAR["V"])
    )  # fmt: skip
    parameters = [each for module in modules for each in module.parameters()]
    for each in parameters:
        each.grad = library.torch.ones_like(each.detach()) * 1e-3
    return parameters


PARTS = ("embedding", "layer", "linear", "cross_entropy", "clipping", "optimizer")
CELLS: dict[str, Callable[[Library], Job]] = {
    each.__name__: each
    for each in (
        chain_constant, chain_number, chain_leaf, backward_1000, backward_100000, lstm_loop, lstm_memory, char_lm,
        part_embedding, part_layer, part_linear, part_cross_entropy, part_clipping, part_optimizer,
    )
}  # fmt: skip
