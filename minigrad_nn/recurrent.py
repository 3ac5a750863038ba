"""LSTM: parameters, layers × directions, PyTorch's call signature. What a step computes stands in cells.py."""

from __future__ import annotations

import numbers
import warnings
from typing import Any

import minigrad
from minigrad import Tensor

from .cells import lstm_step, require_flags, require_sizes, reset
from .functional import dropout
from .module import Module
from .parameter import Parameter

__all__ = ["LSTM"]

States = tuple[Tensor, Tensor]


class LSTM(Module):
    """Layers of LSTM cells over whole sequences, every step on the tape.

    Shapes: input (T, B, I), or (B, T, I) with batch_first, or (T, I) without a batch; h_0 (L·D, B, P or H), c_0 (L·D, B, H), zeros by
        default → output (T, B, D·(P or H)), (h_n, c_n) in the shapes of (h_0, c_0). D is 2 if bidirectional, else 1; row k·D + d of a state
        belongs to layer k and direction d.
    Raises: TypeError, ValueError, RuntimeError before anything is computed, as PyTorch does
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html

    >>> output, (h_n, c_n) = LSTM(3, 2, num_layers=2)(minigrad.zeros(7, 5, 3))
    >>> output.shape, h_n.shape
    (minigrad.Size([7, 5, 2]), minigrad.Size([2, 5, 2]))
    """

    mode = "LSTM"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        _check(input_size, hidden_size, num_layers, bias, batch_first, dropout, proj_size)
        super().__init__()
        self.input_size, self.hidden_size, self.num_layers, self.proj_size = input_size, hidden_size, num_layers, proj_size
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, float(dropout), bool(bidirectional)
        shown, directions = proj_size or hidden_size, ("", "_reverse") if bidirectional else ("",)
        for layer in range(num_layers):
            inputs = input_size if layer == 0 else shown * len(directions)
            for suffix in directions:
                shapes: dict[str, tuple[int, ...]] = {"weight_ih": (4 * hidden_size, inputs), "weight_hh": (4 * hidden_size, shown)}
                shapes |= {"bias_ih": (4 * hidden_size,), "bias_hh": (4 * hidden_size,)} if bias else {}
                shapes |= {"weight_hr": (proj_size, hidden_size)} if proj_size else {}
                for name, shape in shapes.items():
                    setattr(self, f"{name}_l{layer}{suffix}", Parameter(minigrad.empty(shape, device=device, dtype=dtype)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every parameter uniform in ±1/√hidden_size."""
        reset(self, self.hidden_size)

    def flatten_parameters(self) -> None:
        """Nothing to do: the parameters are stored once, and used as they are."""

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        return [[each for each in self._weights(layer, suffix) if each is not None] for layer, suffix in self._places()]

    def _places(self) -> list[tuple[int, str]]:
        return [(layer, suffix) for layer in range(self.num_layers) for suffix in (("", "_reverse") if self.bidirectional else ("",))]

    def _weights(self, layer: int, suffix: str) -> list[Any]:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        return [getattr(self, f"{name}_l{layer}{suffix}", None) for name in names]

    # ------------------------------------------------------------------------------------------------------- computing

    def forward(self, input: Tensor, hx: States | None = None) -> tuple[Tensor, States]:
        """(T, B, I) and states → (T, B, D·R) and states"""
        x, (h_0, c_0) = self._checked(input, hx)  # (T, B, I), (L·D, B, R), (L·D, B, H)
        inputs = list(x.unbind(0))  # T of (B, I)
        h_n: list[Tensor] = []
        c_n: list[Tensor] = []
        for layer in range(self.num_layers):
            outputs: list[list[Tensor]] = []
            for direction, suffix in zip(("forward", "reverse")[: 1 + self.bidirectional], ("", "_reverse"), strict=False):
                row = len(h_n)
                steps, h, c = self._run(inputs, h_0[row], c_0[row], layer, direction, self._weights(layer, suffix))
                outputs.append(steps)
                h_n.append(h)
                c_n.append(c)
            inputs = [minigrad.cat(both, dim=1) for both in zip(*outputs, strict=True)] if self.bidirectional else outputs[0]
            if self.dropout and self.training and layer < self.num_layers - 1:
                inputs = list(dropout(minigrad.stack(inputs), self.dropout).unbind(0))
        return self._shaped(input, minigrad.stack(inputs), minigrad.stack(h_n), minigrad.stack(c_n))

    def _run(
        self, inputs: list[Tensor], h: Tensor, c: Tensor, layer: int, direction: str, weights: list[Any]
    ) -> tuple[list[Tensor], Tensor, Tensor]:
        """One layer in one direction: the output at every step, and the last state."""
        W_ih, W_hh, b_ih, b_hh, W_hr = weights
        outputs: list[Any] = [None] * len(inputs)
        steps = range(len(inputs))
        for t in steps if direction == "forward" else reversed(steps):
            with minigrad.step(t, layer, direction):
                h, c = lstm_step(inputs[t], h, c, W_ih, W_hh, b_ih, b_hh, W_hr)
            outputs[t] = h
        return outputs, h, c

    # -------------------------------------------------------------------------------------------------- shapes and checks

    def _checked(self, input: Tensor, hx: Any) -> tuple[Tensor, States]:
        """Input as (T, B, I) and both states, after every check."""
        shape, weight = input.array.shape, self.weight_ih_l0
        if len(shape) not in (2, 3):
            raise ValueError(f"LSTM takes an input (T, B, I), (B, T, I) with batch_first, or (T, I), got shape {tuple(shape)}")
        batched = len(shape) == 3
        if hx is not None:
            if not isinstance(hx, (tuple, list)) or len(hx) != 2:
                raise RuntimeError(f"LSTM takes its states as a pair (h_0, c_0), got {type(hx).__name__}")
            for name, state in zip(("h_0", "c_0"), hx, strict=True):
                if state.array.ndim != len(shape):
                    raise RuntimeError(
                        f"{name} must have {len(shape)} axes beside an input of shape {tuple(shape)}, got shape {tuple(state.shape)}"
                    )
        if input.dtype != weight.dtype:
            raise ValueError(f"input and weights must have one dtype, got {input.dtype} and {weight.dtype}; use x.to({weight.dtype})")
        if shape[-1] != self.input_size:
            raise RuntimeError(f"this LSTM has input_size={self.input_size}, got an input of shape {tuple(shape)}")
        x = input if batched else input.unsqueeze(1)
        x = x.transpose(0, 1) if batched and self.batch_first else x
        rows, batch = len(self._places()), x.array.shape[1]
        sizes = ((rows, batch, self.proj_size or self.hidden_size), (rows, batch, self.hidden_size))
        if hx is None:
            states: Any = [minigrad.zeros_like(input, shape=size) for size in sizes]
        else:
            states = [state if batched else state.unsqueeze(1) for state in hx]
            for name, state, size in zip(("h_0", "c_0"), states, sizes, strict=True):
                if state.array.shape != size:
                    raise RuntimeError(
                        f"{name} must be (layers · directions, batch, size) = {size} beside an input of shape {tuple(shape)}, "
                        f"got {tuple(state.shape)}" + ("" if batched else " with a batch of one put in")
                    )
        if x.array.shape[0] == 0:
            raise RuntimeError(f"LSTM needs at least one time step, got an input of shape {tuple(shape)}")
        devices = {str(each.device) for each in (input, weight, *states)}
        if len(devices) > 1:
            raise RuntimeError(f"input, states and weights must be on one device, got {', '.join(sorted(devices))}; use x.to(…)")
        return x, tuple(states)

    def _shaped(self, input: Tensor, output: Tensor, h_n: Tensor, c_n: Tensor) -> tuple[Tensor, States]:
        """Results in the form in which the input came."""
        if input.array.ndim == 2:
            return output.squeeze(1), (h_n.squeeze(1), c_n.squeeze(1))
        return (output.transpose(0, 1) if self.batch_first else output), (h_n, c_n)

    def extra_repr(self) -> str:
        usual = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False, "proj_size": 0}
        changed = [f"{name}={getattr(self, name)}" for name, value in usual.items() if getattr(self, name) != value]
        return ", ".join([f"{self.input_size}, {self.hidden_size}", *changed])


def _check(input_size: Any, hidden_size: Any, num_layers: Any, bias: Any, batch_first: Any, dropout: Any, proj_size: Any) -> None:
    """The constructor's arguments, held against what they may be."""
    if dropout is None:
        raise TypeError("dropout must be a number in [0, 1], got None")
    if isinstance(dropout, bool) or not isinstance(dropout, numbers.Number) or not 0 <= float(dropout) <= 1:  # type: ignore[arg-type]
        raise ValueError(f"dropout must be a number in [0, 1], the probability of an element being zeroed, got {dropout!r}")
    require_flags(bias=bias, batch_first=batch_first)
    require_sizes(input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
    if not 0 <= proj_size < hidden_size:
        raise ValueError(f"proj_size must lie in [0, hidden_size), got {proj_size} beside hidden_size={hidden_size}")
    if dropout and num_layers == 1:
        warnings.warn(f"dropout={dropout} acts between layers, and there is only one: it does nothing", UserWarning, stacklevel=3)
