"""Random numbers: drawn on the host whatever the device, so that one seed gives one model everywhere.

Only dropout, which draws in every step, draws on the device itself, from a stream that the host's seeds.

The streams are NumPy's, not PyTorch's: the same seed gives other numbers there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import backend, types
from .ops.create import finish
from .ops.shape import ints
from .tape import Variable, wrap

if TYPE_CHECKING:
    from .tensor import Tensor

__all__ = [
    "Generator", "bernoulli", "default_generator", "get_rng_state", "initial_seed", "manual_seed", "multinomial", "normal",
    "rand", "rand_like", "randint", "randint_like", "randn", "randn_like", "randperm", "seed", "set_rng_state",
]  # fmt: skip
DRAWING = ("bernoulli", "multinomial", "normal", "rand", "rand_like", "randint", "randint_like", "randn", "randn_like", "randperm")


class Generator:
    """A stream of random numbers that can be seeded, saved and restored.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.Generator.html

    >>> one, other = Generator().manual_seed(1), Generator().manual_seed(1)
    >>> rand(2, generator=one).tolist() == rand(2, generator=other).tolist()
    True
    """

    def __init__(self, device: Any = "cpu") -> None:
        self.device = types.device(device)
        self.manual_seed(67280421310721)  # PyTorch's default seed, so that a program without a seed repeats itself too

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream that belongs to `seed`."""
        if not -(2**63) <= seed < 2**64:
            raise RuntimeError(f"a seed must fit 64 bits, got {seed}")
        self._seed = int(seed)
        self._stream: np.random.Generator | None = None
        self._on_devices: dict[Any, Any] = {}
        return self

    @property
    def stream(self) -> np.random.Generator:
        """NumPy's generator, made at its first use: numpy.random takes longer to import than all of this package."""
        if self._stream is None:
            self._stream = np.random.Generator(np.random.PCG64(self._seed % 2**64))
        return self._stream

    def stream_on(self, where: types.device) -> Any:
        """A stream that a device draws from itself: on the CPU the stream, elsewhere one that a number from it seeds."""
        if where.type == "cpu":
            return self.stream
        if where not in self._on_devices:
            seed = int(self.stream.integers(2**63))
            self._on_devices[where] = backend.on(where).random_stream(seed, where.index)
        return self._on_devices[where]

    def seed_on(self, where: types.device, seed: int) -> None:
        """Start what a device other than the CPU draws itself from a seed of its own."""
        self._on_devices[where] = backend.on(where).random_stream(seed, where.index)

    def seed(self) -> int:
        """Start a stream that nobody can foresee; returns its seed."""
        self.manual_seed(int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> 1))
        return self._seed

    def initial_seed(self) -> int:
        """The seed this stream was started from."""
        return self._seed

    def get_state(self) -> Tensor:
        """Where the stream stands, as a tensor of bytes; streams of devices, which do not tell, start anew from there."""
        self._on_devices = {}
        state = self.stream.bit_generator.state
        numbers = (state["state"]["state"], state["state"]["inc"], state["has_uint32"], state["uinteger"], self._seed % 2**64)
        return wrap(np.frombuffer(b"".join(number.to_bytes(16, "little") for number in numbers), np.uint8).copy())

    def set_state(self, new_state: Any) -> Generator:
        """Continue from where a stream stood."""
        raw = new_state.cpu().numpy().tobytes()
        if len(raw) != 80:
            raise RuntimeError(f"a generator's state has 80 bytes, got {len(raw)}")
        state, inc, has, held, seed = (int.from_bytes(raw[start : start + 16], "little") for start in range(0, 80, 16))
        self._seed, self._on_devices = seed, {}
        self.stream.bit_generator.state = {
            "bit_generator": "PCG64", "state": {"state": state, "inc": inc}, "has_uint32": has, "uinteger": held,
        }  # fmt: skip
        return self


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Start the default stream that belongs to `seed`."""
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Start the default stream anew, from a seed nobody can foresee."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed the default stream was started from."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """Where the default stream stands."""
    return default_generator.get_state()


def set_rng_state(new_state: Any) -> None:
    """Continue the default stream from where it stood."""
    default_generator.set_state(new_state)


def stream(generator: Generator | None = None) -> np.random.Generator:
    """NumPy's generator behind `generator`, or behind the default one."""
    return (generator or default_generator).stream


def stream_on(where: types.device, generator: Generator | None = None) -> Any:
    """What draws on a device, behind `generator` or behind the default one."""
    return (generator or default_generator).stream_on(where)


def rand(*size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Numbers uniform in [0, 1)"""
    return finish(_uniform(ints(size), generator, _floating("rand", dtype)), None, device, requires_grad)


def _floating(name: str, dtype: Any) -> np.dtype[Any]:
    """The dtype asked for, or the default one; NotImplementedError where random numbers with a fraction would lose it."""
    kind = types.default_dtype().numpy if dtype is None else types.numpy_dtype(dtype)
    if kind.kind != "f":
        raise NotImplementedError(f"{name} draws floating point, not {types.of_numpy(kind)}; for integers there is randint")
    return kind


def _uniform(shape: tuple[int, ...], generator: Generator | None, kind: np.dtype[Any]) -> Any:
    # Drawn in double precision whatever the dtype, so that a seed means the same model in all of them.
    numbers = stream(generator).random(shape)
    below_one = 1 - np.finfo(kind).epsneg
    return np.minimum(numbers, below_one).astype(kind)


def randn(*size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Numbers from the normal distribution with mean 0 and deviation 1"""
    kind = _floating("randn", dtype)
    return finish(stream(generator).standard_normal(ints(size)), kind, device, requires_grad)


def normal(
    mean: Any, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None, dtype: Any = None, device: Any = None
) -> Tensor:
    """Numbers from the normal distribution with the given means and deviations (numbers or tensors)"""
    tensors = [each for each in (mean, std) if isinstance(each, Variable)]
    for each in tensors:
        _floating("normal", each.array.dtype)
    if size is None:
        size = np.broadcast_shapes(*[each.array.shape for each in tensors])
    if device is None and tensors:
        device = tensors[0].device  # type: ignore[attr-defined]
    return randn(*size, generator=generator, dtype=dtype, device=device) * std + mean


def randint(
    low: Any = 0,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Integers uniform in [low, high): randint(10, (2, 3)) or randint(0, 10, (2, 3))"""
    if size is None:
        low, high, size = 0, low, high
    if low >= high:
        raise RuntimeError(f"randint draws from [low, high), which is empty for low={low}, high={high}")
    return finish(stream(generator).integers(low, high, ints((size,))), dtype or np.int64, device, requires_grad)


def randperm(n: int, *, generator: Generator | None = None, dtype: Any = None, device: Any = None) -> Tensor:
    """0 … n-1 in random order"""
    return finish(stream(generator).permutation(n), dtype or np.int64, device, False)


def bernoulli(input: Any, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that stands in `input` (or `p`), else 0, in the shape and dtype of `input`"""
    chance = input.detach().cpu().numpy() if p is None else p
    if np.any(np.less(chance, 0) | np.greater(chance, 1)):
        raise RuntimeError("probabilities must lie in [0, 1]")
    return finish(stream(generator).random(input.array.shape) < chance, input.dtype, input.device, False)


def multinomial(input: Any, num_samples: int, replacement: bool = False, *, generator: Generator | None = None) -> Tensor:
    """Positions drawn with probabilities proportional to each row of `input`: (N,) → (samples,), (M, N) → (M, samples)"""
    weights = input.detach().cpu().double().numpy()
    if weights.ndim not in (1, 2) or num_samples <= 0:
        raise RuntimeError(f"multinomial needs 1 or 2 axes and at least one sample, got shape {weights.shape} and {num_samples}")
    rows = np.atleast_2d(weights)
    if not np.isfinite(rows).all() or (rows < 0).any() or (rows.sum(1) <= 0).any():
        raise RuntimeError("multinomial needs finite weights that are not negative, with a positive sum in every row")
    if not replacement and num_samples > (rows > 0).sum(1).min():
        raise RuntimeError(f"cannot draw {num_samples} different positions from fewer that have a weight; use replacement=True")
    draws = stream(generator)
    if replacement:
        steps = np.cumsum(rows, 1)
        thrown = draws.random((len(rows), num_samples)) * steps[:, -1:]
        drawn = np.stack([np.searchsorted(step, throw, side="right") for step, throw in zip(steps, thrown, strict=True)])
    else:  # the largest of u^(1/w), Efraimidis and Spirakis 2006, draws without replacement
        with np.errstate(divide="ignore"):
            keys = np.log(draws.random(rows.shape)) / rows
        drawn = np.argsort(-keys, axis=1, kind="stable")[:, :num_samples]
    drawn = np.minimum(drawn, rows.shape[1] - 1)
    return finish(drawn if weights.ndim == 2 else drawn[0], np.int64, input.device, False)


def rand_like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """`rand` in the shape, dtype and place of another tensor"""
    return rand(*input.array.shape, dtype=dtype or input.dtype, device=device or input.device, requires_grad=requires_grad)


def randn_like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """`randn` in the shape, dtype and place of another tensor"""
    return randn(*input.array.shape, dtype=dtype or input.dtype, device=device or input.device, requires_grad=requires_grad)


def randint_like(input: Any, low: int, high: int | None = None, *, dtype: Any = None, device: Any = None) -> Tensor:
    """`randint` in the shape, dtype and place of another tensor"""
    low, high = (0, low) if high is None else (low, high)
    return randint(low, high, input.array.shape, dtype=dtype or input.dtype, device=device or input.device)
