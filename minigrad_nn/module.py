"""`Module`: what has parameters, contains other Modules, and computes when called."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

import minigrad
from minigrad import Tensor
from minigrad.ops import create
from minigrad.state import state
from minigrad.tape import RemovableHandle, note_change

from .backward_hooks import Watch
from .parameter import Parameter

__all__ = ["Module"]

M = TypeVar("M", bound="Module")


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` returns: the names it missed, and those it did not expect."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not any(self):
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


class Module:
    """The base of everything with parameters: set them as attributes, write `forward`, call the Module.

    Whatever is computed inside a call stands on the tape under the Module's name.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html

    >>> class Scale(Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = Parameter(minigrad.tensor(2.0))
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> Scale()(minigrad.ones(2)), [name for name, _ in Scale().named_parameters()]
    (tensor([2., 2.], grad_fn=<MulBackward0>), ['factor'])
    """

    training: bool
    _scope: str
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _not_saved: set[str]
    _forward_hooks: dict[int, Callable[..., Any]]
    _forward_pre_hooks: dict[int, Callable[..., Any]]
    _backward_hooks: dict[int, Callable[..., Any]]

    if TYPE_CHECKING:  # attributes that are registered under computed names

        def __getattr__(self, name: str) -> Any: ...

    def __init__(self) -> None:
        own = self.__dict__
        own["training"] = True
        own["_scope"] = type(self).__name__
        # Every registered object is an ordinary attribute too, so that reading one costs nothing special.
        own["_parameters"], own["_buffers"], own["_modules"] = {}, {}, {}
        own["_not_saved"] = set()
        own["_forward_hooks"], own["_forward_pre_hooks"], own["_backward_hooks"] = {}, {}, {}

    # ------------------------------------------------------------------------------------------------- computing

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the Module computes; every Module writes its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(); write what it computes there")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        before = state.place
        state.place = before.enter(self._scope)
        try:
            if not (self._forward_hooks or self._forward_pre_hooks or self._backward_hooks):
                return self.forward(*args, **kwargs)
            return self._call_with_hooks(args, kwargs)
        finally:
            state.place = before

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for hook in list(self._forward_pre_hooks.values()):
            changed = hook(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        watch = Watch(self, list(self._backward_hooks.values())) if self._backward_hooks else None
        args = watch.inputs(args) if watch else args
        result = self.forward(*args, **kwargs)
        for hook in list(self._forward_hooks.values()):
            changed = hook(self, args, result)
            result = result if changed is None else changed
        return watch.results(result) if watch else result

    def register_forward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, args, result)` after every call; what it returns takes the result's place."""
        return RemovableHandle(self._forward_hooks, hook)

    def register_full_backward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)`, two tuples, whenever gradients have passed the Module on their way back.

        They belong to its positional arguments and its results, None for what is no tensor or wants no gradient. What the
        hook returns, unless None, takes grad_input's place.

        Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.register_full_backward_hook

        >>> double = Parameter(minigrad.tensor(2.0))
        >>> class Scale(Module):
        ...     def forward(self, x):
        ...         return x * double
        >>> scale = Scale()
        >>> handle = scale.register_full_backward_hook(lambda module, grad_input, grad_output: print(grad_input, grad_output))
        >>> scale(minigrad.ones(1, requires_grad=True)).backward()
        (tensor([2.]),) (tensor([1.]),)
        """
        return RemovableHandle(self._backward_hooks, hook)

    def register_forward_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, args)` before every call; what it returns takes the arguments' place."""
        return RemovableHandle(self._forward_pre_hooks, hook)

    # ----------------------------------------------------------------------------------------------- registering

    def __setattr__(self, name: str, value: Any) -> None:
        own = self.__dict__
        if "_parameters" not in own:
            if isinstance(value, (Parameter, Module)):
                raise AttributeError(f"cannot assign {name!r} before Module.__init__() was called; begin with super().__init__()")
            own[name] = value
            return
        for registry in (own["_parameters"], own["_buffers"], own["_modules"]):
            if name in registry and not _fits(registry, own, value):
                raise TypeError(f"cannot assign {type(value).__name__} to {name!r}, which is registered as another kind; delete it first")
        if isinstance(value, Parameter):
            self._forget(name, own["_parameters"])
            own["_parameters"][name] = value
        elif isinstance(value, Module):
            self._forget(name, own["_modules"])
            own["_modules"][name] = value
            value._enter_as(name)
        else:
            for registry in (own["_parameters"], own["_buffers"], own["_modules"]):
                if name in registry:
                    registry[name] = value
        own[name] = value

    def _forget(self, name: str, but: dict[str, Any]) -> None:
        """Take a name out of all registries but one, in which it keeps its place."""
        for registry in (self._parameters, self._buffers, self._modules):
            if registry is not but:
                registry.pop(name, None)

    def __delattr__(self, name: str) -> None:
        for registry in (self._parameters, self._buffers, self._modules):
            registry.pop(name, None)
        object.__delattr__(self, name)

    def _enter_as(self, name: str) -> None:
        """Take `name` as the name of this Module's place on the tape."""
        self.__dict__["_scope"] = name

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Register a parameter, or None for one that is left out."""
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"cannot register {type(param).__name__} as parameter {name!r}; it must be a Parameter or None")
        self._new_name(name)
        self._parameters[name] = self.__dict__[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Register a tensor that is saved and moved with the Module but not trained."""
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"cannot register {type(tensor).__name__} as buffer {name!r}; it must be a tensor or None")
        self._new_name(name)
        self._buffers[name] = self.__dict__[name] = tensor
        (self._not_saved.discard if persistent else self._not_saved.add)(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """Register a Module inside this one; `add_module` is another name for it."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"cannot register {type(module).__name__} as module {name!r}; it must be a Module or None")
        self._new_name(name)
        self._modules[name] = self.__dict__[name] = module
        if module is not None:
            module._enter_as(name)

    add_module = register_module

    def _new_name(self, name: str) -> None:
        if not isinstance(name, str) or not name or "." in name:
            raise KeyError(f"a registered name is a string that is not empty and has no dot, got {name!r}")
        registered = name in self._parameters or name in self._buffers or name in self._modules
        if hasattr(self, name) and not registered:
            raise KeyError(f"{type(self).__name__} has an attribute {name!r} already")

    # --------------------------------------------------------------------------------------------- looking inside

    def named_modules(self, memo: set[int] | None = None, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """(dotted name, Module) of this Module and all inside, outermost first, each once."""
        memo = set() if memo is None else memo
        waiting: list[tuple[str, Module]] = [(prefix, self)]
        while waiting:
            name, module = waiting.pop()
            if id(module) in memo:
                continue
            if remove_duplicate:
                memo.add(id(module))
            yield name, module
            inside = [(f"{name}.{key}" if name else key, each) for key, each in module._modules.items() if each is not None]
            waiting.extend(reversed(inside))

    def modules(self) -> Iterator[Module]:
        """This Module and all inside, each once."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, Module) of those directly inside."""
        seen: set[int] = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """The Modules directly inside."""
        return (module for _, module in self.named_children())

    def named_parameters(self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True) -> Iterator[tuple[str, Parameter]]:
        """(dotted name, Parameter) of all parameters; one that is shared comes once, under its first name."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True) -> Iterator[tuple[str, Tensor]]:
        """(dotted name, tensor) of all buffers."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _named(self, registry: str, prefix: str, recurse: bool, once: bool) -> Iterator[tuple[str, Any]]:
        modules = self.named_modules(prefix=prefix, remove_duplicate=once) if recurse else [(prefix, self)]
        seen: set[int] = set()
        for path, module in modules:
            for name, value in getattr(module, registry).items():
                if value is not None and not (once and id(value) in seen):
                    seen.add(id(value))
                    yield f"{path}.{name}" if path else name, value

    def get_submodule(self, target: str) -> Module:
        """The Module under a dotted name; AttributeError where there is none."""
        module = self
        for name in target.split(".") if target else []:
            inside = module._modules.get(name)
            if inside is None:
                raise AttributeError(f"{type(module).__name__} has no module {name!r}; it has: {', '.join(module._modules) or 'none'}")
            module = inside
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter under a dotted name; AttributeError where there is none."""
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        parameter = module._parameters.get(name)
        if parameter is None:
            raise AttributeError(f"{type(module).__name__} has no parameter {name!r}; it has: {', '.join(module._parameters) or 'none'}")
        return parameter

    def get_buffer(self, target: str) -> Tensor:
        """The buffer under a dotted name; AttributeError where there is none."""
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        buffer = module._buffers.get(name)
        if buffer is None:
            raise AttributeError(f"{type(module).__name__} has no buffer {name!r}; it has: {', '.join(module._buffers) or 'none'}")
        return buffer

    # --------------------------------------------------------------------------------------------- changing all inside

    def apply(self: M, fn: Callable[[Module], None]) -> M:
        """Call `fn` on every Module inside, then on this one; returns it."""
        for module in reversed(list(self.modules())):
            fn(module)
        return self

    def train(self: M, mode: bool = True) -> M:
        """Switch to training behaviour (dropout drops); returns the Module."""
        if not isinstance(mode, bool):
            raise ValueError(f"training mode is True or False, got {mode!r}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: M) -> M:
        """Switch to evaluation behaviour (dropout does nothing); returns the Module."""
        return self.train(False)

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Make all parameters want gradients, or stop wanting them; returns the Module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            if set_to_none or parameter.grad is None:
                parameter.grad = None
            else:
                parameter.grad = minigrad.zeros_like(parameter)

    def to(self: M, *args: Any, **kwargs: Any) -> M:
        """Move parameters and buffers to a device, those of floating point to a dtype; returns the Module."""
        dtype_probe = minigrad.zeros(0, dtype=minigrad.float16).to(*args, **kwargs).dtype
        if not dtype_probe.is_floating_point:
            raise TypeError(f"parameters must be of a floating-point dtype, got {dtype_probe}")

        def moved(tensor: Tensor) -> Tensor:
            result = tensor.detach().to(*args, **kwargs)
            return result if tensor.is_floating_point() else result.to(tensor.dtype)

        return self._replace(moved)

    def _replace(self: M, moved: Callable[[Tensor], Tensor]) -> M:
        """Give every parameter and buffer new contents; the objects stay, so that optimisers and ties do."""
        for parameter in self.parameters():
            parameter.data = moved(parameter)
            if parameter.grad is not None:
                gradient, parameter.grad = parameter.grad, None
                parameter.grad = moved(gradient)
        for module in self.modules():
            for name, buffer in list(module._buffers.items()):
                if buffer is not None:
                    setattr(module, name, moved(buffer))
        return self

    def cpu(self: M) -> M:
        """Move to the CPU; returns the Module."""
        return self.to("cpu")

    def cuda(self: M, device: int | None = None) -> M:
        """Move to a GPU; returns the Module."""
        return self.to("cuda" if device is None else minigrad.device("cuda", device))

    def float(self: M) -> M:
        """All of floating point in float32; returns the Module."""
        return self.to(minigrad.float32)

    def double(self: M) -> M:
        """All of floating point in float64; returns the Module."""
        return self.to(minigrad.float64)

    def half(self: M) -> M:
        """All of floating point in float16; returns the Module."""
        return self.to(minigrad.float16)

    # ----------------------------------------------------------------------------------------------- saving, loading

    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> OrderedDict[str, Tensor]:
        """Every parameter and saved buffer by dotted name, sharing memory; a shared one comes under all its names."""
        found: OrderedDict[str, Tensor] = OrderedDict()
        for path, module in self.named_modules(prefix=prefix.removesuffix("."), remove_duplicate=False):
            own = {**module._parameters, **{name: each for name, each in module._buffers.items() if name not in module._not_saved}}
            for name, value in own.items():
                if value is not None:
                    found[f"{path}.{name}" if path else name] = value if keep_vars else value.detach()
        return found

    def load_state_dict(self, state_dict: Any, strict: bool = True) -> IncompatibleKeys:
        """Copy values into parameters and buffers by name, from a state_dict of ours or PyTorch's.

        Raises: RuntimeError that names everything missing, unexpected or of another shape, before anything changes;
        with `strict=False` only shapes are held against it, and the names are returned.

        Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.load_state_dict
        """
        own = self.state_dict(keep_vars=True)
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        values = {name: _host(state_dict[name]) for name in own if name in state_dict}
        shapes = {name: (tuple(own[name].shape), value.shape) for name, value in values.items()}
        other = [f"{name} is {here} here and {there} there" for name, (here, there) in shapes.items() if here != there]
        problems = [f"missing: {', '.join(missing)}"] * bool(missing and strict)
        problems += [f"unexpected: {', '.join(unexpected)}"] * bool(unexpected and strict)
        problems += [f"of another shape: {'; '.join(other)}"] * bool(other)
        if problems:
            raise RuntimeError(f"this state_dict does not fit {type(self).__name__}: " + ". ".join(problems))
        for name, value in values.items():
            target = own[name]
            target.array[...] = create.finish(value, target.dtype, target.device, False).array
            note_change(target)
        return IncompatibleKeys(missing, unexpected)

    # -------------------------------------------------------------------------------------------------------- printing

    def extra_repr(self) -> str:
        """What to print of the Module besides what is inside; Modules write their own."""
        return ""

    def __repr__(self) -> str:
        inside = [f"({name}): " + repr(module).replace("\n", "\n  ") for name, module in self._modules.items()]
        extra = self.extra_repr()
        if not inside:
            return f"{type(self).__name__}({extra})"
        return f"{type(self).__name__}(\n  " + "\n  ".join([extra] * bool(extra) + inside) + "\n)"


def _fits(registry: dict[str, Any], own: dict[str, Any], value: Any) -> bool:
    """Whether `value` may be assigned where this registry has a name: its own kind, None, a Parameter, a Module but for a parameter."""
    if value is None or isinstance(value, Parameter):
        return True
    return registry is not own["_parameters"] if isinstance(value, Module) else registry is own["_buffers"] and isinstance(value, Tensor)


def _host(value: Any) -> Any:
    """A value of a state_dict, ours or PyTorch's, as a NumPy array."""
    if isinstance(value, Tensor):
        return value.detach().cpu().numpy()
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
