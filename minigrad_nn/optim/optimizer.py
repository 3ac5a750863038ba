"""What all optimisers share: groups of parameters, state per parameter, saving and restoring both.

An optimiser is one rule, `update`, which changes one piece of one parameter. It works on arrays, in place and into
scratch memory, so a step allocates nothing; what it does is never recorded, only noted as a change of the parameter.
Nothing in a step copies between host and device or waits for the device: counts and corrections are Python numbers.
On a GPU all parameters of a group are changed by one launch, of a function that repeats the rule: tensors.cu.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from minigrad import backend
from minigrad.backend import Array
from minigrad.ops.create import finish, zeros_like
from minigrad.state import enable_grad
from minigrad.tape import note_change, wrap
from minigrad.tensor import Tensor

from ..kernels.device import tensors

__all__ = ["Optimizer", "axpby", "require"]

Group = dict[str, Any]  # {"params": [...], "lr": ..., ...}
State = dict[str, Any]  # of one parameter: {"step": 3, "exp_avg": Tensor, ...}

# Elements of a parameter handled at a time: the dozen passes of an update find its arrays in the processor's cache, which
# saves a third of Adam on a matrix of 6000 x 1500. A GPU has nothing to gain from it and takes parameters whole.
_PIECE = {"cpu": 2**18}


class Optimizer:
    """The base of all optimisers; a new one writes `check`, `prepare` and `update`.

    params    tensors, pairs (name, tensor), or dicts {"params": tensors, option: value}, one for each group
    defaults  the options of groups that do not give their own

    Raises    ValueError for an option out of range, no parameters, a parameter given twice or a computed tensor;
              TypeError for what is no tensor
    Source    https://docs.pytorch.org/docs/stable/optim.html#torch.optim.Optimizer
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError("an optimiser takes an iterable of tensors or dicts, got one tensor; write [tensor]")
        self.check(defaults)
        self.defaults = defaults
        self.state: defaultdict[Any, State] = defaultdict(dict)
        self.param_groups: list[Group] = []
        self._scratch: dict[Any, list[Array]] = {}
        groups = list(params)
        if not groups:
            raise ValueError("an optimiser needs parameters, got an empty list; was the generator used up before?")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    # -------------------------------------------------------------------------------------- what an optimiser says

    def check(self, options: dict[str, Any]) -> None:
        """ValueError if an option is out of range."""

    def prepare(self, parameter: Any, state: State, group: Group) -> tuple[list[Array], Any]:
        """The arrays that belong to `parameter` in this step, and numbers common to all its elements."""
        raise NotImplementedError(f"{type(self).__name__} must say in prepare() what belongs to a parameter")

    def update(self, xp: Any, p: Array, g: Array, kept: list[Array], numbers: Any, group: Group, scratch: list[Array]) -> None:
        """Change `p` and `kept` in place, by the gradient `g`, which stays; two `scratch` arrays of p's shape are free."""
        raise NotImplementedError(f"{type(self).__name__} must write its rule in update()")

    def launch(self, group: Group) -> tuple[Any, ...]:
        """The name of the function in tensors.cu that has the same rule, and its options; nothing if there is none."""
        return ()

    def of_each(self, numbers: Any, group: Group) -> tuple[float, ...]:
        """The numbers of tensors.cu's table for a parameter, from those that `prepare` gave."""
        return ()

    def __init_subclass__(cls) -> None:
        if "update" in cls.__dict__ and "launch" not in cls.__dict__:
            cls.launch = Optimizer.launch  # type: ignore[method-assign]  # a new rule has no function there

    # ------------------------------------------------------------------------------------------------- what it does

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient; returns what `closure`, which computes the loss, returned.

        Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.Optimizer.step.html
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with backend.CPU.errstate(all="ignore"):  # a gradient that overflows gives inf, as PyTorch's does, without a word
            for group in self.param_groups:
                self._change_all([each for each in group["params"] if each.grad is not None], group)
        return loss

    def _change_all(self, parameters: list[Any], group: Group) -> None:
        """Change the parameters of a group one by one, but on a GPU all at once."""
        named, at_once = self.launch(group), defaultdict[Any, list[tensors.Row]](list)
        for parameter in parameters:
            kept, numbers = self.prepare(parameter, self.state[parameter], group)
            arrays = [parameter.array, parameter.grad.array, *kept]
            if named and tensors.at_once(arrays):
                at_once[str(parameter.device), parameter.dtype].append((arrays, self.of_each(numbers, group)))
            else:
                self._change(arrays, numbers, group)
            note_change(parameter)
        for rows in at_once.values():
            tensors.launch(named[0], rows, *named[1:])

    def _change(self, arrays: list[Array], numbers: Any, group: Group) -> None:
        xp = backend.of(arrays[0])
        for p, g, *kept in _pieces(xp, arrays):
            self.update(xp, p, g, kept, numbers, group, self._scratch_like(xp, p))

    def _scratch_like(self, xp: Any, p: Array) -> list[Array]:
        """Two arrays in the shape, dtype and place of `p`: the first elements of the largest that were needed so far."""
        held = self._scratch.get((xp, p.dtype))
        if held is None or held[0].size < p.size:
            held = self._scratch[xp, p.dtype] = [xp.empty(p.size, p.dtype) for _ in range(2)]
        return [each[: p.size].reshape(p.shape) for each in held]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients, or fill them with zeros.

        Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.Optimizer.zero_grad.html
        """
        for parameter in self._parameters():
            if parameter.grad is not None:
                parameter.grad = None if set_to_none else zeros_like(parameter)

    def add_param_group(self, param_group: Group) -> None:
        """Take in one more group, {"params": tensors, option: value}; options not given are the defaults.

        Raises  TypeError, ValueError: see the class
        Source  https://docs.pytorch.org/docs/stable/generated/torch.optim.Optimizer.add_param_group.html
        """
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise TypeError(f'a parameter group is a dict like {{"params": [...], "lr": 0.1}}, got {param_group!r}')
        group = {**self.defaults, **param_group}
        group.update(_params_and_names(param_group["params"]))
        self.check(group)
        self._check_new(group)
        self.param_groups.append(group)

    def _check_new(self, group: Group) -> None:
        seen = {id(parameter) for parameter in self._parameters()}
        for number, parameter in enumerate(group["params"]):
            if not parameter.is_leaf:
                raise ValueError(
                    f"parameter {number} of the group, of shape {tuple(parameter.shape)}, is no leaf but computed by "
                    f"{parameter.grad_fn}; an optimiser can only change leaves. Give it what this was computed from"
                )
            if id(parameter) in seen:
                raise ValueError(
                    f"parameter {number} of the group, of shape {tuple(parameter.shape)}, is given twice and would be "
                    "changed twice per step; give each parameter once, in one group"
                )
            seen.add(id(parameter))
        if any(("param_names" in group) != ("param_names" in other) for other in self.param_groups):
            raise ValueError("some groups have names for their parameters and some have none; name all or none")

    def _parameters(self) -> Iterator[Any]:
        return (parameter for group in self.param_groups for parameter in group["params"])

    # ---------------------------------------------------------------------------------------- saving and restoring

    def state_dict(self) -> dict[str, Any]:
        """{"state": {number of a parameter: its state}, "param_groups": groups with numbers for parameters}.

        Parameters are numbered through all groups, from 0. Tensors in it are the optimiser's own, not copies.

        Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.Optimizer.state_dict.html
        """
        numbers = {id(parameter): number for number, parameter in enumerate(self._parameters())}
        groups = []
        for group in self.param_groups:
            packed = {name: value for name, value in group.items() if name != "params"}
            groups.append({**packed, "params": [numbers[id(parameter)] for parameter in group["params"]]})
        return {"state": {numbers.get(id(key), key): state for key, state in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state_dict, ours or PyTorch's; its values are copied to each parameter's device and dtype.

        Raises  ValueError where groups or shapes do not fit this optimiser's, or options are out of range
        Source  https://docs.pytorch.org/docs/stable/generated/torch.optim.Optimizer.load_state_dict.html
        """
        if not isinstance(state_dict, dict) or not {"state", "param_groups"} <= state_dict.keys():
            raise ValueError('an optimiser\'s state_dict has the keys "state" and "param_groups"; is this a model\'s?')
        groups = self._loaded_groups(state_dict["param_groups"])
        saved_numbers = (number for group in state_dict["param_groups"] for number in group["params"])
        parameter_of = dict(zip(saved_numbers, self._parameters(), strict=True))
        state: defaultdict[Any, State] = defaultdict(dict)
        for number, values in state_dict["state"].items():
            if number in parameter_of:
                state[parameter_of[number]] = _loaded_state(parameter_of[number], number, values)
            else:  # belongs to no parameter: kept for whoever put it there
                state[number] = values
        self.state, self.param_groups = state, groups

    def _loaded_groups(self, saved: list[Group]) -> list[Group]:
        sizes, saved_sizes = ([len(group["params"]) for group in groups] for groups in (self.param_groups, saved))
        if sizes != saved_sizes:
            raise ValueError(f"this optimiser's groups have {sizes} parameters, those of the state_dict {saved_sizes}; they must agree")
        loaded = []
        for group, saved_group in zip(self.param_groups, saved, strict=True):
            options = {name: _plain(value) for name, value in saved_group.items()}
            names = {"param_names": group["param_names"]} if "param_names" in group else {}
            loaded.append({**self.defaults, **names, **options, "params": group["params"]})
            self.check(loaded[-1])
        return loaded

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_scratch": {}}  # scratch is made again when needed

    def __repr__(self) -> str:
        lines = []
        for number, group in enumerate(self.param_groups):
            lines += ["", f"Parameter Group {number}"]
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
        return f"{type(self).__name__} (" + "\n".join(lines) + "\n)"


# ---------------------------------------------------------------------------------------------- for writing `update`


def axpby(xp: Any, a: float, x: Array, b: float, y: Array, scratch: Array) -> None:
    """y ← a·x + b·y, in place; `scratch` is overwritten and may be x itself"""
    if b != 1:
        xp.multiply(y, b, out=y)
    if a != 1:
        x = xp.multiply(x, a, out=scratch)
    xp.add(y, x, out=y)


def require(holds: Any, message: str) -> None:
    """ValueError with `message` unless the condition holds."""
    if not holds:
        raise ValueError(message)


# ------------------------------------------------------------------------------------------------------ small parts


def _pieces(xp: Any, arrays: list[Array]) -> Iterator[list[Array]]:
    """The arrays, all of one shape, in pieces that fit the cache together; views, so that changes arrive."""
    size = arrays[0].size
    length = _PIECE.get(xp.device_type, size)
    if size <= length or not all(array.flags.c_contiguous for array in arrays):
        yield arrays
        return
    flat = [array.reshape(-1) for array in arrays]
    for start in range(0, size, length):
        yield [array[start : start + length] for array in flat]


def _params_and_names(given: Any) -> Group:
    if isinstance(given, (set, frozenset)):
        raise TypeError("parameters need an order that is the same in every run, which a set has not; use a list")
    entries = [given] if isinstance(given, Tensor) else list(given)
    named = [isinstance(entry, tuple) for entry in entries]
    if any(named) and not all(named):
        raise ValueError("some parameters of the group have names and some have none; name all or none")
    params = [entry[1] for entry in entries] if any(named) else entries
    for number, parameter in enumerate(params):
        if not isinstance(parameter, Tensor):
            raise TypeError(f"parameter {number} of the group is a {type(parameter).__name__}; an optimiser changes tensors")
    return {"params": params, "param_names": [entry[0] for entry in entries]} if any(named) else {"params": params}


def _plain(value: Any) -> Any:
    """An option as a plain value: PyTorch may hold a learning rate as a tensor."""
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(each) for each in value)
    return value.item() if hasattr(value, "item") else value


def _loaded_state(parameter: Any, number: Any, values: State) -> State:
    """A parameter's state with copies of all values; ValueError where a shape is not the parameter's."""
    loaded: State = {}
    for name, value in values.items():
        if name == "step":  # PyTorch counts in a tensor
            loaded[name] = int(value)
        elif hasattr(value, "__array__") or isinstance(value, Tensor):
            loaded[name] = _loaded_tensor(parameter, f"{name!r} of parameter {number}", value)
        else:
            loaded[name] = value
    return loaded


def _loaded_tensor(parameter: Any, what: str, value: Any) -> Any:
    if tuple(value.shape) != parameter.array.shape:
        raise ValueError(
            f"{what} has shape {tuple(value.shape)} in the state_dict, the parameter has {parameter.array.shape}; "
            "were the parameters given in another order?"
        )
    if isinstance(value, Tensor):
        moved = value.detach().to(parameter.device, parameter.dtype).array
        return wrap(moved.copy() if moved is value.array else moved)
    return finish(backend.CPU.asarray(value).copy(order="C"), parameter.dtype, parameter.device, False)
