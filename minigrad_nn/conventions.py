"""Weights from and to other frameworks, which store the same networks in other shapes and orders.

Here, as in PyTorch: weights (gates · out, in), two biases, gates in the order i f g o (LSTM) and r z n (GRU).
`docs/conventions.md` lists what others do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad import Tensor, from_numpy

__all__ = ["GATES", "from_keras", "from_onnx", "reorder_gates", "swap_update_gate", "to_keras", "to_onnx"]

Arrays = Any  # NumPy arrays or tensors

# The order in which each stacks its gates, in its own letters. c, j and g are one gate, so are h and n.
GATES = {
    "PyTorch": {"lstm": "ifgo", "gru": "rzn", "rnn": "h"},
    "Keras": {"lstm": "ifco", "gru": "zrh", "rnn": "h"},
    "ONNX": {"lstm": "iofc", "gru": "zrh", "rnn": "h"},
    "CS231n": {"lstm": "ifog", "rnn": "h"},
    "TensorFlow 1": {"lstm": "ijfo", "rnn": "h"},
    "Deep Learning from Scratch 2": {"lstm": "fgio", "rnn": "h"},
}
_OURS = GATES["PyTorch"]
_SAME = str.maketrans({"c": "g", "j": "g", "h": "n", "u": "z"})


def reorder_gates(weight: Arrays, source: str, target: str, dim: int = 0) -> Arrays:
    """The weight or bias with its gates, which stand along `dim` in the order `source`, in the order `target`.

    Orders are written as letters. The candidate may be called g, c or j in an LSTM, n or h in a GRU, the update gate z or u.

    Raises: ValueError for orders that do not name the same gates, or a size that they do not divide

    >>> reorder_gates(np.array([1, 1, 2, 2, 3, 3, 4, 4]), "ifgo", "iofc").tolist()
    [1, 1, 4, 4, 2, 2, 3, 3]
    """
    old, new = source.translate(_SAME), target.translate(_SAME)
    if sorted(old) != sorted(new) or len(set(old)) != len(old):
        raise ValueError(f"both orders must name the same gates, once each, got {source!r} and {target!r}")
    width, rest = divmod(weight.shape[dim], len(old)) if old else (0, 1)
    if rest:
        raise ValueError(f"size {weight.shape[dim]} of dim {dim} of shape {tuple(weight.shape)} is no multiple of {len(old)} gates")
    order = np.concatenate([np.arange(width) + old.index(gate) * width for gate in new])
    return weight.index_select(dim, from_numpy(order).to(weight.device)) if isinstance(weight, Tensor) else np.take(weight, order, dim)


def swap_update_gate(entries: Mapping[str, Any], suffix: str = "") -> dict[str, Tensor]:
    """A GRU's entries with the two roles of z exchanged: h = z h + (1 - z) n here is h = (1 - z) h + z n afterwards.

    Since 1 - sigmoid(a) = sigmoid(-a), all it takes is the other sign in the rows of z.

    >>> swap_update_gate({"bias_ih": from_numpy(np.array([1.0, 2.0, 3.0]))})["bias_ih"].tolist()
    [1.0, -2.0, 3.0]
    """
    swapped = {}
    for name in _names(suffix):
        if name in entries:
            r, z, n = np.split(_host(entries[name]), 3)
            swapped[name] = from_numpy(np.concatenate([r, -z, n]))
    return swapped


def from_keras(
    kind: str, kernel: Arrays, recurrent_kernel: Arrays, bias: Arrays | None = None, reset_after: bool = True, suffix: str = ""
) -> dict[str, Tensor]:
    """Entries for `load_state_dict`, from what `get_weights()` of a Keras SimpleRNN, LSTM or GRU returns.

    kind         'rnn', 'lstm' or 'gru'
    reset_after  the GRU's switch of that name; with False the reset gate acts before the product, and there is one bias
    suffix       '' for a cell, '_l0', '_l0_reverse', … for a layer

    Shapes: kernel (I, G·H), recurrent_kernel (H, G·H), bias (G·H,), or (2, 3H) for a GRU with reset_after
    Raises: ValueError for an unknown kind or shapes that do not fit
    Source: https://keras.io/api/layers/recurrent_layers/

    >>> entries = from_keras("lstm", np.zeros((3, 8)), np.zeros((2, 8)), np.ones(8))
    >>> {name: tuple(entry.shape) for name, entry in entries.items()}
    {'weight_ih': (8, 3), 'weight_hh': (8, 2), 'bias_ih': (8,), 'bias_hh': (8,)}
    """
    kind, order = _kind(kind, "Keras")
    W, U = _host(kernel).T, _host(recurrent_kernel).T  # (G·H, I), (G·H, H)
    _require_weights(kind, W, U, "kernel", "recurrent_kernel")
    found = [W, U]
    if bias is not None:
        b, two = _host(bias), kind == "gru" and reset_after
        wanted = (2, len(W)) if two else (len(W),)
        if b.shape != wanted:
            raise ValueError(f"the bias of a {kind} with reset_after={reset_after} must have shape {wanted}, got {b.shape}")
        found += [b[0], b[1]] if two else [b, np.zeros_like(b)]
    return _entries([reorder_gates(each, order, _OURS[kind]) for each in found], suffix)


def to_keras(kind: str, entries: Mapping[str, Any], reset_after: bool = True, suffix: str = "") -> list[np.ndarray[Any, Any]]:
    """What `set_weights` of a Keras layer takes: [kernel, recurrent_kernel, bias], or the first two without a bias.

    Where Keras has one bias, it is the sum of our two, which have no other effect than their sum.

    Raises: ValueError for an unknown kind or shapes that do not fit, KeyError for missing weights

    >>> entries = from_keras("gru", np.ones((3, 6)), np.ones((2, 6)), np.ones((2, 6)))
    >>> [each.shape for each in to_keras("gru", entries)]
    [(3, 6), (2, 6), (2, 6)]
    """
    kind, order = _kind(kind, "Keras")
    W, U, *biases = _ordered(kind, entries, suffix, order)
    if not biases:
        return [W.T, U.T]
    b_ih, b_hh = biases
    return [W.T, U.T, np.stack([b_ih, b_hh]) if kind == "gru" and reset_after else b_ih + b_hh]


def from_onnx(kind: str, W: Arrays, R: Arrays, B: Arrays | None = None, suffix: str = "") -> dict[str, Tensor]:
    """Entries for `load_state_dict`, from the inputs of ONNX's RNN, LSTM or GRU; a GRU's linear_before_reset is 1 for ours.

    Shapes: W (D, G·H, I), R (D, G·H, H), B (D, 2·G·H), where the second direction's entries end in _reverse
    Raises: ValueError for an unknown kind or shapes that do not fit
    Source: https://onnx.ai/onnx/operators/onnx__LSTM.html, https://onnx.ai/onnx/operators/onnx__GRU.html

    >>> list(from_onnx("gru", np.zeros((2, 6, 3)), np.zeros((2, 6, 2)), suffix="_l0"))
    ['weight_ih_l0', 'weight_hh_l0', 'weight_ih_l0_reverse', 'weight_hh_l0_reverse']
    """
    kind, order = _kind(kind, "ONNX")
    W, R = _host(W), _host(R)
    entries: dict[str, Tensor] = {}
    B = None if B is None else _host(B)
    if W.ndim != 3 or R.ndim != 3 or len(W) != len(R) or len(W) not in (1, 2) or (B is not None and B.shape != (len(W), 2 * W.shape[1])):
        shapes = [None if each is None else each.shape for each in (W, R, B)]
        raise ValueError(f"expected W (D, G·H, I), R (D, G·H, H) and B (D, 2·G·H) with one or two directions, got {shapes}")
    for direction, ending in zip(range(len(W)), ("", "_reverse"), strict=False):
        _require_weights(kind, W[direction], R[direction], "W", "R")
        found = [W[direction], R[direction], *([] if B is None else np.split(B[direction], 2))]
        entries |= _entries([reorder_gates(each, order, _OURS[kind]) for each in found], suffix + ending)
    return entries


def to_onnx(kind: str, entries: Mapping[str, Any], suffix: str = "") -> list[np.ndarray[Any, Any]]:
    """[W, R, B] for ONNX's operator, or [W, R] without a bias; with the reverse direction where the entries have one.

    Raises: ValueError for an unknown kind or shapes that do not fit, KeyError for missing weights

    >>> entries = from_keras("lstm", np.ones((3, 8)), np.ones((2, 8)), np.ones(8), suffix="_l0")
    >>> [each.shape for each in to_onnx("lstm", entries, "_l0")]
    [(1, 8, 3), (1, 8, 2), (1, 16)]
    """
    kind, order = _kind(kind, "ONNX")
    endings = ("", "_reverse") if f"weight_ih{suffix}_reverse" in entries else ("",)
    found = [_ordered(kind, entries, suffix + ending, order) for ending in endings]
    joined = [[W, R, np.concatenate(biases)] if biases else [W, R] for W, R, *biases in found]
    return [np.stack(each) for each in zip(*joined, strict=True)]


def _names(suffix: str) -> list[str]:
    return [f"{name}{suffix}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]


def _entries(arrays: list[Any], suffix: str) -> dict[str, Tensor]:
    """Arrays under the names of parameters, each in memory of its own."""
    return {name: from_numpy(np.array(each)) for name, each in zip(_names(suffix), arrays, strict=False)}


def _ordered(kind: str, entries: Mapping[str, Any], suffix: str, order: str) -> list[Any]:
    """The weights, and the biases if there are any, with their gates in another's order."""
    if f"weight_hr{suffix}" in entries:
        raise ValueError(f"weight_hr{suffix} is a projection of the state, for which the other side has no place")
    names = _names(suffix)
    present = [_host(entries[name]) for name in names if name in entries or name in names[:2]]
    _require_weights(kind, *present[:2], *names[:2])
    return [reorder_gates(each, _OURS[kind], order) for each in present]


def _kind(kind: str, other: str) -> tuple[str, str]:
    """The kind in small letters, and the other's order of gates."""
    if kind.lower() not in GATES[other]:
        raise ValueError(f"kind must be one of {', '.join(GATES[other])}, got {kind!r}")
    return kind.lower(), GATES[other][kind.lower()]


def _require_weights(kind: str, W: Any, U: Any, *names: str) -> None:
    """ValueError for weights, as (G·H, I) and (G·H, H), that do not fit each other."""
    gates = len(_OURS[kind])
    if W.ndim != 2 or U.ndim != 2 or len(W) != len(U) or len(U) != gates * U.shape[1]:
        raise ValueError(
            f"{names[0]} and {names[1]} of a {kind} hold {gates} gate{'s' * (gates > 1)} of H units: stored (out, in), "
            f"({gates}H, I) and ({gates}H, H); got {W.shape} and {U.shape}"
        )


def _host(values: Arrays) -> Any:
    return values.numpy(force=True) if isinstance(values, Tensor) else np.asarray(values)
