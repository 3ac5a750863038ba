"""The training step of one layer in JAX, HIPS autograd and DeZero: PyTorch's equations, checked against ours before timing.

They run in an environment of their own. Each library's `training` returns a function that gives y and the gradients of
x, W_ih, W_hh, b_ih and b_hh, as NumPy's arrays or as what can be made into them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import race
from cells import Job

Compute = Callable[[], tuple[Any, ...]]


def equations(kind: str, np: Any, sigmoid: Callable[[Any], Any]) -> Callable[..., Any]:
    """step(x W_ih^T + b_ih, state, W_hh, b_hh) -> (state, h); arrays (B, ...), written with the library's `np`."""

    def split(a: Any, blocks: int) -> list[Any]:
        H = a.shape[-1] // blocks
        return [a[:, k * H : k * H + H] for k in range(blocks)]

    def rnn(projected: Any, h: Any, w_hh: Any, b_hh: Any) -> Any:
        h = np.tanh(projected + h @ w_hh.T + b_hh)
        return h, h

    def lstm(projected: Any, state: Any, w_hh: Any, b_hh: Any) -> Any:
        h, c = state
        i, f, g, o = split(projected + h @ w_hh.T + b_hh, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        return (h, c), h

    def gru(projected: Any, h: Any, w_hh: Any, b_hh: Any) -> Any:
        (r, z, n), (hr, hz, hn) = split(projected, 3), split(h @ w_hh.T + b_hh, 3)
        r, z = sigmoid(r + hr), sigmoid(z + hz)
        n = np.tanh(n + r * hn)
        h = (1 - z) * n + z * h
        return h, h

    return {"RNN": rnn, "LSTM": lstm, "GRU": gru}[kind]


def drawn(shape: tuple[int, ...], kind: str) -> tuple[Any, ...]:
    """x (T, B, I), W_ih, W_hh, b_ih, b_hh, dy (T, B, H)."""
    (T, B, I, H), rng = shape, np.random.default_rng(0)
    G = {"RNN": 1, "LSTM": 4, "GRU": 3}[kind]
    sizes = [((T, B, I), 1.0), ((G * H, I), H**-0.5), ((G * H, H), H**-0.5), ((G * H,), H**-0.5), ((G * H,), H**-0.5), ((T, B, H), 1.0)]
    return tuple(rng.uniform(-scale, scale, size).astype(np.float32) for size, scale in sizes)


def zeros(kind: str, B: int, H: int) -> Any:
    """The initial state."""
    h = np.zeros((B, H), np.float32)
    return (h, h.copy()) if kind == "LSTM" else h


def jax_training(kind: str, given: tuple[Any, ...]) -> Compute:
    """jit, scan, and the input's product for all steps at once."""
    jax = importlib.import_module("jax")
    jnp = jax.numpy
    step = equations(kind, jnp, jax.nn.sigmoid)
    *inputs, dy = [jnp.asarray(each) for each in given]
    start = jax.tree_util.tree_map(jnp.asarray, zeros(kind, dy.shape[1], dy.shape[2]))

    def layer(x: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
        return jax.lax.scan(lambda state, projected: step(projected, state, w_hh, b_hh), start, x @ w_ih.T + b_ih)[1]

    def both(*inputs: Any) -> Any:
        y, pull = jax.vjp(layer, *inputs)
        return (y, *pull(dy))

    compiled = jax.jit(both)
    return lambda: jax.block_until_ready(compiled(*inputs))


def autograd_training(kind: str, given: tuple[Any, ...]) -> Compute:
    """A loop over the steps, the input's product for all steps at once."""
    numpy, core = importlib.import_module("autograd.numpy"), importlib.import_module("autograd")
    step = equations(kind, numpy, lambda a: 0.5 * numpy.tanh(0.5 * a) + 0.5)
    *inputs, dy = given
    (T, B, I), H = inputs[0].shape, dy.shape[2]

    def layer(inputs: Any) -> Any:
        x, w_ih, w_hh, b_ih, b_hh = inputs
        projected, state, outputs = numpy.dot(x.reshape(T * B, I), w_ih.T) + b_ih, zeros(kind, B, H), []
        for t in range(T):
            state, h = step(projected[t * B : t * B + B], state, w_hh, b_hh)
            outputs.append(h)
        return numpy.stack(outputs)

    def compute() -> tuple[Any, ...]:
        pull, y = core.make_vjp(layer)(tuple(inputs))
        return (y, *pull(dy))

    return compute


def dezero_training(kind: str, given: tuple[Any, ...]) -> Compute:
    """A loop over the steps; DeZero joins no arrays, so the loss is the sum of every step's h times its dy."""
    np.int = int  # type: ignore[attr-defined]  # DeZero 0.0.13 asks for it while it is imported; NumPy has dropped the name
    dezero, F = importlib.import_module("dezero"), importlib.import_module("dezero.functions")
    x, *weights, dy = given
    dezero.Variable.__matmul__ = lambda self, other: F.matmul(self, other)  # which DeZero has as a function only
    step = equations(kind, F, F.sigmoid)

    def compute() -> tuple[Any, ...]:
        w_ih, w_hh, b_ih, b_hh = (dezero.Variable(each) for each in weights)
        xs = [dezero.Variable(each) for each in x]
        state: Any = zeros(kind, x.shape[1], dy.shape[2])
        state = tuple(dezero.Variable(each) for each in state) if kind == "LSTM" else dezero.Variable(state)
        outputs, loss = [], 0
        for t, each in enumerate(xs):
            state, h = step(F.matmul(each, w_ih.T) + b_ih, state, w_hh, b_hh)
            outputs.append(h.data)
            loss = loss + F.sum(h * dy[t])
        loss.backward()
        return np.stack(outputs), np.stack([each.grad.data for each in xs]), *(each.grad.data for each in (w_ih, w_hh, b_ih, b_hh))

    return compute


TRAINING = {"jax": jax_training, "autograd": autograd_training, "dezero": dezero_training}


def ours(kind: str, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same by minigrad."""
    minigrad, nn = importlib.import_module("minigrad"), importlib.import_module("minigrad_nn")
    x, *weights, dy = given
    layer = getattr(nn, kind)(x.shape[2], dy.shape[2])
    with minigrad.no_grad():
        for parameter, value in zip(layer.parameters(), weights, strict=True):
            parameter.copy_(minigrad.from_numpy(value))
    leaf = minigrad.from_numpy(x.copy()).requires_grad_(True)
    y = layer(leaf)[0]
    y.backward(minigrad.from_numpy(dy))
    return tuple(each.numpy() for each in (y.detach(), leaf.grad, *(parameter.grad for parameter in layer.parameters())))


def job(library: str, name: str) -> Job:
    """A training step of the race; ValueError where its numbers are not ours."""
    _, kind, shape = race.read(name)
    given = drawn(shape, kind)
    compute = TRAINING[library](kind, given)
    for what, found, expected in zip(("y", "dx", "dw_ih", "dw_hh", "db_ih", "db_hh"), compute(), ours(kind, given), strict=True):
        if not np.allclose(found, expected, rtol=1e-2, atol=1e-3 * max(1.0, float(np.abs(expected).max()))):
            raise ValueError(f"{library}, {name}: {what} differs from ours by up to {np.abs(np.asarray(found) - expected).max():.3g}")
    return Job(lambda _: compute(), 1)
