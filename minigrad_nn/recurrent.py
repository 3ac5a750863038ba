"""RNN, LSTM, GRU: parameters, layers × directions, PyTorch's call signature. What a step computes stands in cells.py.

A layer computes on one of two paths, chosen openly, with the same numbers: "fused", a kernel that runs the whole
sequence and is one node on the tape, or "stepwise", the cell of cells.py with every step on the tape.
"""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import numpy as np

import minigrad
from minigrad import Tensor
from minigrad.backend import of
from minigrad.ops import cat, stack
from minigrad.state import state as now

from . import functional as F
from .cells import gru_step, lstm_step, reset, rnn_step
from .checks import ACTIVATIONS, activation_of, require_device, require_dropout, require_flags, require_sizes
from .fused import fused
from .kernels.choose import choose, known
from .module import Module
from .parameter import Parameter
from .scan import run, sizes_of
from .utils.checkpoint import checkpoint
from .utils.rnn import PackedSequence

__all__ = ["GRU", "LSTM", "RNN", "RNNBase", "path"]

PATHS = ("fused", "stepwise")
NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
States = list[Any]  # one tensor per kind of state: h, or h and c; None for zeros
Weights = tuple[Any, Any, Any, Any, Any]  # W_ih, W_hh, b_ih, b_hh, W_hr; None where there is none


class _Chosen(threading.local):
    path: str | None = None
    kernel: str | None = None


_chosen = _Chosen()


class path:
    """All recurrent layers inside compute on this path: `with path("stepwise"):`.

    On the path "fused", `kernel` takes one of several kernels by name, which else is chosen by the layer's device and
    sizes: see `minigrad_nn.kernels.choose`.

    >>> lstm = LSTM(3, 2)
    >>> with path("stepwise"):
    ...     output, _ = lstm(minigrad.zeros(7, 1, 3))
    >>> len(output.grad_fn.parents)
    7
    """

    def __init__(self, name: str, kernel: str | None = None) -> None:
        self.name, self.kernel = _known_path(name), known(kernel)
        if kernel is not None and name != "fused":
            raise ValueError(f"a kernel computes on the path 'fused', got kernel={kernel!r} for {name!r}")
        self.before: list[tuple[str | None, str | None]] = []

    def __enter__(self) -> None:
        self.before.append((_chosen.path, _chosen.kernel))
        _chosen.path, _chosen.kernel = self.name, self.kernel

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _chosen.path, _chosen.kernel = self.before.pop()


def _known_path(name: str) -> str:
    if name not in PATHS:
        raise ValueError(f"path must be 'fused' (a kernel, one node) or 'stepwise' (every step on the tape), got {name!r}")
    return name


def _gates_of(mode: str) -> int:
    """How many blocks of H rows the weights of this kind have."""
    if mode in ("LSTM", "GRU"):
        return 4 if mode == "LSTM" else 3
    if not mode.startswith("RNN_"):
        raise ValueError(f"mode must be 'LSTM', 'GRU' or 'RNN_' with a nonlinearity, got {mode!r}")
    return 1


class RNNBase(Module):
    """What RNN, LSTM and GRU share: parameters, checks, and the walk over layers and directions.

    Shapes: input (T, B, I), or (B, T, I) with batch_first, or (T, I) without a batch, or a PackedSequence; states (L·D, B, R) and,
        for the LSTM's cells, (L·D, B, H), zeros by default → output (T, B, D·R) in the input's form, states in the shapes of the
        initial ones. D is 2 if bidirectional, else 1; R is proj_size or hidden_size; row k·D + d of a state belongs to layer k and
        direction d.
    Raises: TypeError, ValueError, RuntimeError before anything is computed, as PyTorch does
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.RNNBase.html

    Beyond PyTorch, by keyword only: `path` is "fused" (one node per layer and direction) or "stepwise" (every step on
    the tape); `checkpoint` keeps only the states between windows of steps for the walk back, and computes each window
    again when the walk comes to it (True for windows of 4·√T steps, or their length).
    """

    state_names: tuple[str, ...] = ("h_0",)

    def __init__(
        self,
        mode: str,
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
        *,
        path: str = "fused",
        checkpoint: bool | int = False,
    ) -> None:
        require_dropout(dropout, num_layers)
        require_flags(bias=bias, batch_first=batch_first)
        num_layers = int(num_layers) if isinstance(num_layers, np.integer) else num_layers  # as in PyTorch; sizes must be ints
        require_sizes(input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        if type(proj_size) is not int:
            raise TypeError(f"proj_size must be an int, got {type(proj_size).__name__} {proj_size!r}")
        if not 0 <= proj_size < hidden_size:
            raise ValueError(f"proj_size must lie in [0, hidden_size), got {proj_size} beside hidden_size={hidden_size}")
        if proj_size and mode != "LSTM":
            raise ValueError(f"projections are the LSTM's; {mode} has no proj_size")
        if not isinstance(checkpoint, int) or checkpoint < 0:
            raise ValueError(f"checkpoint must be True, False or a number of steps, got {checkpoint!r}")
        super().__init__()
        self.mode, self.gates = mode, _gates_of(mode)
        self.path, self.checkpoint = _known_path(path), checkpoint
        self.input_size, self.hidden_size, self.num_layers, self.proj_size = input_size, hidden_size, num_layers, proj_size
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, float(dropout), bool(bidirectional)
        for layer in range(num_layers):
            for suffix in self._suffixes:
                for name, shape in self._shapes(layer).items():
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
        places = [(layer, suffix) for layer in range(self.num_layers) for suffix in self._suffixes]
        return [[each for each in self._weights(*where) if each is not None] for where in places]

    @property
    def _suffixes(self) -> tuple[str, ...]:
        return ("", "_reverse") if self.bidirectional else ("",)

    @property
    def _shown(self) -> int:
        """R, the size of what one direction shows."""
        return self.proj_size or self.hidden_size

    def _shapes(self, layer: int) -> dict[str, tuple[int, ...]]:
        """The parameters of one direction of a layer."""
        rows, inputs = self.gates * self.hidden_size, self._shown * len(self._suffixes) if layer else self.input_size
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, inputs), "weight_hh": (rows, self._shown)}
        shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)} if self.bias else {}
        return shapes | ({"weight_hr": (self.proj_size, self.hidden_size)} if self.proj_size else {})

    def _weights(self, layer: int, suffix: str) -> Weights:
        W_ih, W_hh, *others = [getattr(self, f"{name}_l{layer}{suffix}", None) for name in NAMES]
        return W_ih, W_hh, others[0], others[1], others[2]

    # ------------------------------------------------------------------------------------------------------- computing

    def _step(self, x: Tensor, states: States, weights: Weights, note: dict[str, Tensor] | None) -> tuple[Tensor, ...]:
        """The states one step later; each kind of layer has its own."""
        raise NotImplementedError(f"{type(self).__name__} has no step of its own; use RNN, LSTM or GRU")

    def _kernel(self) -> tuple[str, dict[str, Any]]:
        """The cell whose kernels compute all steps at once, and their options; each kind of layer has its own."""
        raise NotImplementedError(f"{type(self).__name__} has no kernel of its own; use RNN, LSTM or GRU")

    def forward(self, input: Any, hx: Any = None, *, return_steps: bool = False) -> tuple[Any, ...]:
        """(T, B, I) and states → (T, B, D·R) and states; with `return_steps` also what happened at every step

        That is a list with a dict for every layer and direction: the gates by name, without gradients, `c` for the cell
        states and `h` for what the cell showed, each (T, B, H) in the output's form.
        """
        x, sizes, states = self._checked(input, hx)
        stepwise = _known_path(_chosen.path or self.path) == "stepwise"
        inputs: list[Tensor] = _steps_of(x, sizes) if stepwise else [x]
        carried = stepwise or bool(self.checkpoint)  # states (B, R), which go from step to step, not (1, B, R)
        last: list[States] = []
        seen: list[dict[str, Any]] = []
        for layer in range(self.num_layers):
            shown = []
            for suffix in self._suffixes:
                k = len(last)
                row = [None if each is None else each[k] if carried else each[k : k + 1] for each in states]
                outputs, ends, steps = self._direction(inputs, sizes, row, layer, suffix, stepwise, return_steps)
                shown.append(outputs)
                last.append(ends)
                seen.append(steps)
            inputs = [cat(both, -1) for both in zip(*shown)] if self.bidirectional else shown[0]
            if self.dropout and self.training and layer < self.num_layers - 1:
                inputs = self._dropped(inputs)
        output = _joined(inputs, x) if stepwise else inputs[0]
        ends = [stack(each) if carried else each[0] if len(each) == 1 else cat(each) for each in zip(*last)]
        results = (self._shaped(input, output, sizes), self._shaped_states(input, ends))
        return (*results, self._shaped_steps(input, seen, sizes)) if return_steps else results

    def _direction(
        self, inputs: list[Tensor], sizes: list[int], states: States, layer: int, suffix: str, stepwise: bool, look: bool
    ) -> tuple[list[Tensor], States, dict[str, Any]]:
        """One layer in one direction: outputs (T of (b, R), or one of (N, R) on the fused path), last states, what was seen."""
        compute = functools.partial(self._on_tape if stepwise else self._in_kernel, layer=layer, suffix=suffix, look=look)
        if not self.checkpoint:
            return compute(inputs, sizes, states)
        if look:
            raise ValueError("return_steps asks for what checkpoint throws away; use checkpoint=False to look inside")
        return (*self._in_windows(compute, inputs, sizes, states, bool(suffix)), {})

    def _on_tape(
        self, inputs: list[Tensor], sizes: list[int], states: States, *, layer: int, suffix: str, look: bool = False, weights: Any = None
    ) -> tuple[list[Tensor], States, dict[str, Any]]:
        """Stepwise: the cell of cells.py at every step."""
        weights = weights or self._weights(layer, suffix)
        states = [self._zeros(inputs[0], sizes[0], size) if each is None else each for each, size in zip(states, self._state_sizes)]
        ragged, below = sizes[0] != sizes[-1], now.place.layer or 0  # a layer of a Stacked counts on from there
        notes: list[Any] = [{} if look else None for _ in sizes]

        def step(t: int, x: Tensor, states: States) -> tuple[Tensor, States]:
            with minigrad.step(t, below + layer, "reverse" if suffix else "forward", sizes[t] if ragged else None):
                after = self._step(x, states, weights, notes[t])
            return after[0], list(after)

        outputs, last = run(step, inputs, sizes, states, reverse=bool(suffix))
        seen = {name: [note[name] for note in notes] for name in notes[0]} if look else {}
        joined = {name: cat(each) if name == "c" else cat(each).detach() for name, each in seen.items()}
        return outputs, last, {**joined, "h": cat(outputs)} if look else {}

    def _in_kernel(
        self, inputs: list[Tensor], sizes: list[int], states: States, *, layer: int, suffix: str, look: bool = False
    ) -> tuple[list[Tensor], States, dict[str, Any]]:
        """Fused: all steps at once. What it does for gradients of gradients is `_on_tape`."""

        def again(data: Tensor, states: States, weights: Any) -> tuple[Tensor, States, Any]:
            full: Any = (*weights, *(None,) * (len(NAMES) - len(weights)))
            entering = [None if each is None else each.reshape(each.shape[-2:]) for each in states]
            steps = _steps_of(data, sizes)
            outputs, last, seen = self._on_tape(steps, sizes, entering, layer=layer, suffix=suffix, look=look, weights=full)
            return _joined(outputs, data), [each.unsqueeze(0) for each in last], seen.get("c")

        (cell, options), x = self._kernel(), inputs[0].array
        layer_options = {"B": sizes[0], "projection": self.proj_size > 0, **options}
        kernel = choose(cell, self.hidden_size, x.dtype, of(x), _chosen.kernel, **layer_options)
        weights = self._weights(layer, suffix)[: len(kernel.NAMES) - 1 - len(states)]
        paired = self.bidirectional and not self.checkpoint
        result = fused(kernel, options, inputs[0], sizes, bool(suffix), states, weights, again, look, paired)
        seen = {} if not look else result.gates() | ({} if result.cells is None else {"c": result.cells}) | {"h": result.output}
        return [result.output], result.last, seen

    def _in_windows(
        self, compute: Callable[..., Any], inputs: list[Tensor], sizes: list[int], states: States, reverse: bool
    ) -> tuple[list[Tensor], States]:
        """`compute` in windows of steps that are thrown away and computed again in the walk back."""
        # √T steps would keep least; four times as many cost little memory, and a quarter of the time that beginning a window takes
        length = 4 * math.isqrt(len(sizes)) if self.checkpoint is True else self.checkpoint
        starts = range(0, len(sizes), length)
        windows = [sizes[start : start + length] for start in starts]
        if len(inputs) == len(sizes) and len(sizes) > 1:
            parts = [inputs[start : start + length] for start in starts]
        else:
            rows = len if inputs[0].array.ndim == 3 else sum
            parts = [[part] for part in inputs[0].split([rows(window) for window in windows])]

        def step(w: int, part: list[Tensor], states: Any) -> tuple[list[Tensor], States]:
            def window(*states: Any) -> tuple[Tensor, ...]:
                outputs, last, _ = compute(part, windows[w], list(states))
                return (*outputs, *[each[0] if each.array.ndim == 3 else each for each in last])

            results = checkpoint(window, *states, preserve_rng_state=False)  # nothing in it is random: dropout stands outside
            return list(results[: -len(states)]), list(results[-len(states) :])

        given = [self._zeros(inputs[0], sizes[0], size) if each is None else each for each, size in zip(states, self._state_sizes)]
        outputs, last = run(step, parts, [window[0] for window in windows], given, reverse)
        flat = [each for part in outputs for each in part]
        return (flat if len(inputs) > 1 else [cat(flat)]), last

    def _dropped(self, inputs: list[Tensor]) -> list[Tensor]:
        """A layer's outputs after dropout: every step has a mask of its own, and all are drawn at once, alike on both paths."""
        rows = [each.array.shape[0] for each in inputs]
        like = inputs[0]
        mask = F.dropout(minigrad.ones_like(like, shape=(sum(rows), *like.array.shape[1:])), self.dropout)
        return [x * part for x, part in zip(inputs, mask.split(rows))]

    # -------------------------------------------------------------------------------------------------- shapes and checks

    @property
    def _state_sizes(self) -> tuple[int, ...]:
        return (self._shown, self.hidden_size)[: len(self.state_names)]

    def _zeros(self, like: Tensor, batch: int, size: int) -> Tensor:
        return minigrad.zeros_like(like, shape=(batch, size))

    def _checked(self, input: Any, hx: Any) -> tuple[Tensor, list[int], States]:
        """The input as (T, B, I) or packed (N, I), the rows live at each step, and the states, after every check."""
        name, packed = type(self).__name__, isinstance(input, PackedSequence)
        x = input.data if packed else input
        if not isinstance(x, Tensor):
            raise TypeError(f"{name} takes a tensor or a PackedSequence, got {type(input).__name__}")
        shape = x.array.shape
        if not packed and len(shape) not in (2, 3):
            raise ValueError(f"{name} takes an input (T, B, I), (B, T, I) with batch_first, or (T, I), got shape {tuple(shape)}")
        states = self._listed(hx)
        batched = packed or len(shape) == 3
        for label, state in zip(self.state_names, states):
            if state is not None and state.array.ndim != 2 + batched:
                what = "a packed sequence" if packed else f"an input of shape {tuple(shape)}"
                raise RuntimeError(f"{label} must have {2 + batched} axes beside {what}, got shape {tuple(state.shape)}")
        weight = self.weight_ih_l0
        if x.dtype != weight.dtype:
            raise ValueError(f"input and weights must have one dtype, got {x.dtype} and {weight.dtype}; use x.to({weight.dtype})")
        if packed and len(shape) != 2:
            raise RuntimeError(f"{name} takes packed data (N, I), got shape {tuple(shape)}")
        if shape[-1] != self.input_size:
            raise RuntimeError(f"this {name} has input_size={self.input_size}, got an input of shape {tuple(shape)}")
        x, sizes = _with_batch(x, input, self.batch_first)
        states = [state if state is None or batched else state.unsqueeze(1) for state in states]
        self._check_states(states, sizes[0] if sizes else x.array.shape[1], shape, batched)
        if not sizes:
            raise RuntimeError(f"{name} needs at least one time step, got an input of shape {tuple(shape)}")
        devices = {str(each.device) for each in (x, weight, *states) if each is not None}
        if len(devices) > 1:
            raise RuntimeError(f"input, states and weights must be on one device, got {', '.join(sorted(devices))}; use x.to(…)")
        if packed and input.sorted_indices is not None:
            states = [None if state is None else state[:, input.sorted_indices] for state in states]
        return x, sizes, states

    def _listed(self, hx: Any) -> States:
        """The states given, or None for each."""
        names = self.state_names
        states = [None] * len(names) if hx is None else [hx] if len(names) == 1 else list(hx) if isinstance(hx, (tuple, list)) else []
        if len(states) != len(names):
            what = f"{len(hx)} of them" if isinstance(hx, (tuple, list)) else type(hx).__name__
            raise RuntimeError(f"{type(self).__name__} takes its states as a pair ({', '.join(names)}), got {what}")
        for state in states:
            if state is not None and not isinstance(state, Tensor):
                raise TypeError(f"{type(self).__name__} takes tensors as states, got {type(state).__name__}")
        return states

    def _check_states(self, states: States, batch: int, shape: Sequence[int], batched: bool) -> None:
        rows = self.num_layers * len(self._suffixes)
        for name, state, size in zip(self.state_names, states, self._state_sizes):
            wanted = (rows, batch, size)
            if state is not None and state.array.shape != wanted:
                raise RuntimeError(
                    f"{name} must be (layers · directions, batch, size) = {wanted} beside an input of shape {tuple(shape)}, "
                    f"got {tuple(state.shape)}{'' if batched else ' with a batch of one put in'}; a StateBridge carries other sizes over"
                )
            if state is not None and state.dtype != self.weight_ih_l0.dtype:
                raise RuntimeError(f"{name} must be of the weights' dtype {self.weight_ih_l0.dtype}, got {state.dtype}")

    def _shaped(self, input: Any, x: Tensor, sizes: list[int]) -> Any:
        """What belongs to every step, (T, B, R) or (N, R), in the form in which the input came."""
        if isinstance(input, PackedSequence):
            return PackedSequence(x, *input[1:])
        x = x if x.array.ndim == 3 else x.reshape(len(sizes), sizes[0], x.array.shape[1])
        if input.array.ndim == 2:
            return x.squeeze(1)
        return x.transpose(0, 1) if self.batch_first else x

    def _shaped_states(self, input: Any, states: list[Tensor]) -> Any:
        """The last states in the caller's order, a tensor or a pair."""
        if isinstance(input, PackedSequence):
            if input.unsorted_indices is not None:
                states = [state[:, input.unsorted_indices] for state in states]
        elif input.array.ndim == 2:
            states = [state.squeeze(1) for state in states]
        return states[0] if len(states) == 1 else tuple(states)

    def _shaped_steps(self, input: Any, seen: list[dict[str, Any]], sizes: list[int]) -> list[dict[str, Any]]:
        return [{name: self._shaped(input, each, sizes) for name, each in steps.items()} for steps in seen]

    def extra_repr(self) -> str:
        usual = {
            "proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False,
            "path": "fused", "checkpoint": False,
        }  # fmt: skip
        changed = [f"{name}={getattr(self, name)!r}" for name, value in usual.items() if getattr(self, name) != value]
        return ", ".join([f"{self.input_size}, {self.hidden_size}", *changed])


def _steps_of(x: Tensor, sizes: list[int]) -> list[Tensor]:
    """(T, B, I) or packed (N, I) as T tensors (b, I)."""
    return list(x.unbind(0) if x.array.ndim == 3 else x.split(sizes))


def _joined(steps: list[Tensor], x: Tensor) -> Tensor:
    """What belongs to steps as one tensor, in the form of x: (T, B, R) or packed (N, R)."""
    return stack(steps) if x.array.ndim == 3 else cat(steps)


def _with_batch(x: Tensor, input: Any, batch_first: bool) -> tuple[Tensor, list[int]]:
    """(T, B, I) with the rows live at each step, or packed data with them."""
    if isinstance(input, PackedSequence):
        return x, sizes_of(input)
    if x.array.ndim == 2:
        x = x.unsqueeze(1)
    elif batch_first:
        x = x.transpose(0, 1)
    return x, [x.array.shape[1]] * x.array.shape[0]


class RNN(RNNBase):
    """Layers of simple recurrent cells over whole sequences, equation (1) of `rnn_step`.

    `nonlinearity` is "tanh", "relu" or, beyond PyTorch, "sigmoid" or any function of a tensor; a function of your own
    needs path="stepwise". Everything else: `RNNBase`.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.RNN.html

    >>> output, h_n = RNN(3, 2, num_layers=2)(minigrad.zeros(7, 5, 3))
    >>> output.shape, h_n.shape
    (minigrad.Size([7, 5, 2]), minigrad.Size([2, 5, 2]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: Any = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        **extras: Any,
    ) -> None:
        _refuse_projection("RNN", extras, device)
        activation_of(nonlinearity)  # refuses unknown names
        mode = f"RNN_{nonlinearity.upper() if isinstance(nonlinearity, str) else getattr(nonlinearity, '__name__', 'FUNCTION').upper()}"
        super().__init__(mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype, **extras)
        self.nonlinearity = nonlinearity

    def _step(self, x: Tensor, states: States, weights: Weights, note: dict[str, Tensor] | None) -> tuple[Tensor, ...]:
        return (rnn_step(x, states[0], *weights[:4], activation_of(self.nonlinearity)),)

    def _kernel(self) -> tuple[str, dict[str, Any]]:
        if self.nonlinearity not in ACTIVATIONS:
            raise ValueError(
                f"the kernels know the nonlinearities {', '.join(ACTIVATIONS)}; for {self.nonlinearity!r} choose path='stepwise'"
            )
        return "rnn", {"activation": self.nonlinearity}

    def extra_repr(self) -> str:
        beyond = self.nonlinearity not in ("tanh", "relu")  # PyTorch shows neither
        return super().extra_repr() + (f", nonlinearity={self.nonlinearity!r}" if beyond else "")


class LSTM(RNNBase):
    """Layers of LSTM cells over whole sequences, equations (1) to (7) of `lstm_step`. Everything else: `RNNBase`.

    Shapes: states are a pair (h_0, c_0) of (L·D, B, R) and (L·D, B, H)
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html

    >>> output, (h_n, c_n) = LSTM(3, 2, num_layers=2)(minigrad.zeros(7, 5, 3))
    >>> output.shape, h_n.shape
    (minigrad.Size([7, 5, 2]), minigrad.Size([2, 5, 2]))
    """

    state_names = ("h_0", "c_0")

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
        **extras: Any,
    ) -> None:
        super().__init__(
            "LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device, dtype, **extras
        )

    def _step(self, x: Tensor, states: States, weights: Weights, note: dict[str, Tensor] | None) -> tuple[Tensor, ...]:
        h, c = states
        return lstm_step(x, h, c, *weights, note=note)

    def _kernel(self) -> tuple[str, dict[str, Any]]:
        return "lstm", {}


class GRU(RNNBase):
    """Layers of GRU cells over whole sequences, equations (1) to (4) of `gru_step`. Everything else: `RNNBase`.

    `reset_after=False`, by keyword, makes it the papers' GRU, whose reset gate acts before the product.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html

    >>> output, h_n = GRU(3, 2, num_layers=2)(minigrad.zeros(7, 5, 3))
    >>> output.shape, h_n.shape
    (minigrad.Size([7, 5, 2]), minigrad.Size([2, 5, 2]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        reset_after: bool = True,
        **extras: Any,
    ) -> None:
        _refuse_projection("GRU", extras, device)
        require_flags(reset_after=reset_after)
        super().__init__("GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype, **extras)
        self.reset_after = reset_after

    def _step(self, x: Tensor, states: States, weights: Weights, note: dict[str, Tensor] | None) -> tuple[Tensor, ...]:
        return (gru_step(x, states[0], *weights[:4], self.reset_after, note),)

    def _kernel(self) -> tuple[str, dict[str, Any]]:
        return "gru", {"reset_after": self.reset_after}

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.reset_after else ", reset_after=False")


def _refuse_projection(name: str, extras: dict[str, Any], device: Any) -> None:
    """ValueError for a projection, by keyword or in the position where PyTorch would take one unnoticed."""
    if extras.pop("proj_size", 0):
        raise ValueError(f"{name} has no proj_size; projections are the LSTM's")
    require_device(name, device)
