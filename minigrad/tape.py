"""The tape: what was computed, in order, and the walk back along it that yields gradients.

Every operation calls `record`, which wraps the value it computed in a tensor and, if a gradient may be wanted later,
notes a `Node`. Nodes are numbered as they are made. An operation can only use what exists already, so its node always
has a larger number than the nodes it draws from, and walking in falling order of numbers meets each node after
everything that used it:

    a = leaf          # node 0
    b = a + a         # node 1, draws twice from node 0
    c = b + b         # node 2, draws twice from node 1

Node 2 hands node 1 two gradients. They must be added before node 1 is asked for its own, or node 0 would be visited
once for each path from c to a: four times here, 2ⁿ times in a chain of n. Falling numbers make the wait automatic,
and a heap of numbers makes the walk a loop: no recursion, whatever the length.

A backward rule is written once and serves twice. Its first argument is the namespace to compute in: an array library
when only gradients are wanted, or `minigrad.ops` when gradients shall be differentiable themselves; the other arguments
are arrays or Tensors accordingly. Operators, methods and `xp.` functions are spelled alike on both.
"""

from __future__ import annotations

import itertools
import operator
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from . import backend
from .state import Place, set_recording, state

if TYPE_CHECKING:
    from .tensor import Tensor
    from .trace import Facts, Observer

__all__ = [
    "NUMBER", "Branch", "Leaf", "Node", "Phase", "RemovableHandle", "Source", "Variable", "View", "branch_of", "check_usable",
    "gradients_within", "keep_retaining", "keep_with_aliases", "kept_as_tensor", "make_node", "nodes_since", "note_change",
    "numbers_on_path", "parents_of", "position", "record", "record_several", "record_view", "refresh", "show_memory_of", "tell_made",
    "version_of", "walk", "wrap",
]  # fmt: skip

Rule = Callable[..., Any]  # (xp, gradient of the value, *what was kept) -> gradient of an input, or of all inputs

_next_number = itertools.count().__next__
_new = object.__new__
_ARRAYS = backend.ARRAYS
_BY_CLASS = backend.BY_CLASS
_UNFINISHED = backend.UNFINISHED
_asarray = backend.CPU.asarray


class Variable:
    """An array with a place on the tape; `Tensor` adds the methods people call.

    array    the NumPy or CuPy array
    node     what made it (`Node`), where its gradient is gathered (`Leaf`), or None: no gradient wanted
    version  counts changes of the memory in place, see `version_of`; None while nobody has asked
    source   what pictures say of it where it has no node
    """

    __slots__ = ("__weakref__", "_grad", "array", "base", "node", "source", "version")

    array: Any
    node: Node | None
    version: list[int] | None
    base: Any
    source: Source | None
    _grad: Tensor | None


class Node:
    """One operation on the tape.

    number   position on the tape
    op       name of the operation
    parents  per input: the Node it came from, or a Source
    rule     one function per input, each called only if that input wants a gradient, or one function for all inputs
    kept     what the rule needs; None once freed
    shape, dtype   of the value; lists of them where the operation has several outputs
    place    module scope, time step, layer, direction
    hooks    {id: (phase, function)} called with the gradient, see `Phase`; facts: what a trace noted
    """

    __slots__ = ("__weakref__", "dtype", "facts", "hooks", "kept", "number", "op", "parents", "place", "rule", "shape")

    number: int
    op: str
    parents: Sequence[Node | Source]
    rule: Any
    kept: tuple[Any, ...] | None
    shape: Any
    dtype: Any
    place: Place
    hooks: dict[int, tuple[int, Callable[[Any], Any]]] | None
    facts: Facts | None

    def name(self) -> str:
        """The operation's name as PyTorch would spell it: MulBackward0."""
        return "".join(part.capitalize() for part in self.op.split("_")) + "Backward0"

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """Per input: (the node it came from or None, which of that node's outputs it is)."""
        edges: list[tuple[Node | None, int]] = []
        for parent in self.parents:
            if isinstance(parent, Branch):
                edges.append((parent.parents[0], parent.index))  # type: ignore[arg-type]
            else:
                edges.append((parent if isinstance(parent, Node) else None, 0))
        return tuple(edges)

    def register_hook(self, fn: Callable[[Any, Any], Any]) -> RemovableHandle:
        """Call fn(gradients of the inputs, gradients of the outputs), two tuples, when this node has been walked.

        What fn returns, unless None, takes the place of the gradients of the inputs.

        Source: https://docs.pytorch.org/docs/stable/generated/torch.autograd.graph.Node.register_hook.html
        """
        if self.rule is None:
            raise RuntimeError(f"{self!r} computes no gradients; tensor.register_post_accumulate_grad_hook(fn) comes after a leaf's")
        if not isinstance(self.rule, _WatchedRule):
            self.rule = _WatchedRule(self.rule, self.parents)
        return RemovableHandle(self.rule.hooks, fn)

    def register_prehook(self, fn: Callable[[Any], Any]) -> RemovableHandle:
        """Call fn(gradients of the outputs), a tuple, before this node is walked; what it returns takes their place.

        Source: https://docs.pytorch.org/docs/stable/generated/torch.autograd.graph.Node.register_prehook.html
        """
        return self.add_hook(Phase.BEFORE_NODE, fn)

    def add_hook(self, phase: int, fn: Callable[[Any], Any]) -> RemovableHandle:
        """Call `fn` in the given phase whenever a gradient of this node is complete."""
        if self.hooks is None:
            self.hooks = {}
        return RemovableHandle(self.hooks, (phase, fn))

    def __repr__(self) -> str:
        return f"<{self.name()}>"


class Phase:
    """When a hook runs: those of one phase in the order they were registered, and the phases one after the other."""

    TENSOR, RETAIN, BEFORE_NODE = range(3)


class RemovableHandle:
    """What registering a hook returns: `remove()` takes the hook away again, as does leaving a `with` block."""

    next_id = itertools.count().__next__

    def __init__(self, hooks: dict[int, Any], hook: Any) -> None:
        self.id, self.hooks = RemovableHandle.next_id(), hooks
        hooks[self.id] = hook

    def remove(self) -> None:
        """Take the hook away."""
        self.hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


class Leaf(Node):
    """Where the gradient of a tensor that the user made is gathered.

    It knows its tensor weakly: the tensor owns the leaf, and a cycle would keep both alive until the collector runs.
    """

    __slots__ = ("afterwards", "tensor")
    afterwards: dict[int, Callable[[Any], Any]] | None  # called with the tensor when its gradient has been added

    def __init__(self, tensor: Variable, op: str = "leaf") -> None:
        self.number, self.op, self.parents, self.rule, self.kept = _next_number(), op, (), None, ()
        self.shape, self.dtype, self.place = tensor.array.shape, tensor.array.dtype, state.place
        self.hooks = self.facts = self.afterwards = None
        self.tensor = weakref.ref(tensor)

    @property
    def variable(self) -> Variable | None:
        """The tensor, while it lives."""
        return self.tensor()

    def name(self) -> str:
        return "AccumulateGrad"


class Branch(Node):
    """Output number `index` of a node that has several; its only parent is that node."""

    __slots__ = ("index",)

    index: int


class Source:
    """An input that wants no gradient: a constant, or a tensor cut from the tape by `detach` at node `cut`."""

    __slots__ = ("cut", "dtype", "kind", "shape")
    number = -1  # never on the tape

    def __init__(self, kind: str, shape: tuple[int, ...] = (), dtype: Any = None, cut: int | None = None) -> None:
        self.kind, self.shape, self.dtype, self.cut = kind, shape, dtype, cut

    def __repr__(self) -> str:
        return f"<{self.kind} {self.shape}{'' if self.cut is None else f' cut from node {self.cut}'}>"


NUMBER = Source("number")  # stands for every Python number among the inputs


class _Kept(Variable):
    """A node's own value, kept for its rule. It knows no node, or node and value would keep each other alive."""

    __slots__ = ("index",)

    index: int | None  # which output, where there are several


class _Above:
    """What stands above the tape and is named to it once, at import: the class of results, and the namespace of ops."""

    Tensor: Any = Variable
    ops: Any = None


def position() -> int:
    """A number on the tape: nodes made before have smaller ones, nodes made after larger."""
    return _next_number()


def wrap(array: Any) -> Tensor:
    """A tensor around an array (or the scalar NumPy returned in place of one), with no place on the tape."""
    tensor = _new(_Above.Tensor)
    tensor.array = array if array.__class__ in _ARRAYS else _asarray(array)
    tensor.node = tensor.version = tensor.base = tensor.source = tensor._grad = None
    return tensor


def record(op: str, value: Any, inputs: Sequence[Any], rule: Any, keep: tuple[Any, ...] = ()) -> Tensor:
    """Wrap `value`, which `op` computed from `inputs`, and put a node on the tape if any input wants a gradient.

    op      the name that pictures and messages use
    inputs  Tensors and constants
    rule    a tuple with one function per input, each called only if that input wants a gradient: rule(xp, dy, *kept);
            or one function for all inputs, which returns a sequence with a gradient or None for each
    keep    what the rule needs: inputs, anything constant, and last, if needed, `value` itself. Tensors among them
            are checked for changes in place before they are used
    """
    tensor = _new(_Above.Tensor)
    array: Any = value if value.__class__ in _ARRAYS else _asarray(value)
    tensor.array = array
    tensor.node = tensor.version = tensor.base = tensor.source = tensor._grad = None
    if state.recording:
        wanted = False
        parents: list[Any] = []
        for given in inputs:
            if isinstance(given, Variable):
                if given.base is not None:
                    refresh(given)
                if given.node is not None:
                    wanted = True
                parents.append(given.node or given.source)
            else:
                parents.append(NUMBER)
        if not wanted:
            tensor.source = _cut_among(inputs)
            return tensor
        if keep and keep[-1] is value:
            keep = keep_with_aliases(keep, [value], [tensor])
        # What follows is make_node, written out: it runs for every operation of every training step.
        tensor.node = node = _new(Node)
        node.number = _next_number()
        node.op = op
        node.parents = parents if all(parents) else parents_of(inputs)  # None stands for a constant that is used for the first time
        node.rule = rule
        node.kept = keep
        node.shape = array.shape
        node.dtype = array.dtype
        node.place = state.place
        node.hooks = node.facts = None
        if state.observers:
            tell_made(node, [tensor], inputs)
    return tensor


def record_view(op: str, value: Any, x: Variable, rule: Any, again: Callable[[Any], Any]) -> Tensor:
    """`record` for an operation whose value shows the same memory as `x`; `again` does it to another tensor."""
    tensor = record(op, value, (x,), (rule,))
    show_memory_of(x, tensor, again)
    return tensor


def show_memory_of(x: Variable, tensor: Variable, again: Callable[[Any], Any], fixed: str | None = None) -> None:
    """Note that `tensor` is a view of `x`, if it is: some of what could be views are copies."""
    base = tensor.array.base
    if base is not None and (base is x.array or base is x.array.base):
        tensor.version = version_of(x)
        tensor.base = View(x, again, fixed if state.recording else _UNTRACKED)


_UNTRACKED = "it was made under no_grad(), as all is inside the forward of a custom Function"


class View:
    """How a tensor came to show another's memory: `of` is the other, `again(of)` makes the view anew.

    `number` is the position on the tape up to which the view's own node accounts for changes made through others.
    `fixed` says why the history of the other could not follow a change made through the view, where it could not.
    """

    __slots__ = ("again", "fixed", "number", "of")

    def __init__(self, of: Variable, again: Callable[[Any], Any], fixed: str | None = None) -> None:
        self.of, self.again, self.fixed = of, again, fixed
        self.number = -1 if of.version is None else of.version[0]


def refresh(tensor: Variable) -> None:
    """Make the node of a view anew if the memory it shows was changed in place since, perhaps through another view."""
    stale = []
    while tensor.base is not None and tensor.version is not None and tensor.version[0] > tensor.base.number:
        stale.append(tensor)
        tensor = tensor.base.of
    while stale:
        view = stale.pop()
        if view.base.fixed is None:
            before = view.node
            with set_recording(True):
                view.node = view.base.again(view.base.of).node
            keep_retaining(view, before)
        elif view.node is not None or view.base.of.node is not None:
            raise RuntimeError(
                f"the memory of a view of shape {tuple(view.array.shape)} was changed in place through another tensor, and the view's "
                f"history cannot follow: {view.base.fixed}. Make the view after the change, or use the out-of-place form of the "
                "operation that changed it"
            )
        view.base.number = view.version[0]  # type: ignore[index]


def keep_retaining(tensor: Variable, before: Node | None) -> None:
    """retain_grad() is asked of a tensor, not of the node it had before: the request moves to the node it has now."""
    node = tensor.node
    if before is not None and before.hooks is not None and node is not None and node is not before:
        for key, (phase, hook) in list(before.hooks.items()):
            if phase == Phase.RETAIN and hook.tensor() is tensor:  # type: ignore[attr-defined]
                del before.hooks[key]
                node.add_hook(phase, hook)


def record_several(op: str, values: Sequence[Any], inputs: Sequence[Any], rule: Any, keep: tuple[Any, ...] = ()) -> list[Tensor]:
    """`record` for an operation with several outputs: one node, and one Branch per output.

    The rule's `dy` is then a list, with None for every output that nobody used.
    """
    tensors = [wrap(value) for value in values]
    for given in inputs:
        if isinstance(given, Variable):
            refresh(given)
    if state.recording and any(isinstance(given, Variable) and given.node is not None for given in inputs):
        keep = keep_with_aliases(keep, values, tensors)
        node = make_node(Node, op, parents_of(inputs), rule, keep)
        node.shape, node.dtype = [each.array.shape for each in tensors], [each.array.dtype for each in tensors]
        for index, tensor in enumerate(tensors):
            tensor.node = branch_of(node, index)
        if state.observers:
            tell_made(node, tensors, inputs)
    elif state.recording:
        for tensor in tensors:
            tensor.source = _cut_among(inputs)
    return tensors


def parents_of(inputs: Sequence[Any]) -> list[Node | Source]:
    """Where each input came from."""
    return [(given.node or given.source or _constant(given)) if isinstance(given, Variable) else NUMBER for given in inputs]


def make_node(kind: type[Node], op: str, parents: Sequence[Node | Source], rule: Any, keep: tuple[Any, ...]) -> Any:
    """A node with the next number on the tape, for whoever makes it to say the shape and dtype of its value."""
    node = _new(kind)
    node.number = _next_number()
    node.op = op
    node.parents = parents
    node.rule = rule
    node.kept = keep
    node.place = state.place
    node.hooks = node.facts = None
    return node


def branch_of(node: Node, index: int) -> Branch:
    """Output number `index` of a node that has several."""
    branch: Branch = make_node(Branch, node.op, (node,), None, ())
    branch.index = index
    branch.shape, branch.dtype = node.shape[index], node.dtype[index]
    return branch


def _cut_among(inputs: Sequence[Any]) -> Source | None:
    """Where the inputs of an operation that is not recorded were cut from the tape, so that pictures can show it."""
    for given in inputs:
        if isinstance(given, Variable) and given.source is not None and given.source.cut is not None:
            return given.source
    return None


def _constant(tensor: Variable) -> Source:
    """What pictures say of an input that wants no gradient, noted at its first use."""
    tensor.source = Source("constant", tensor.array.shape, tensor.array.dtype)
    return tensor.source


def keep_with_aliases(keep: tuple[Any, ...], values: Sequence[Any], tensors: Sequence[Variable]) -> tuple[Any, ...]:
    """`keep`, with the operation's own values in a form that can be kept on its node."""
    aliases = []
    for kept in keep:
        for index, value in enumerate(values):
            if kept is value:
                kept = _new(_Kept)
                kept.array, kept.node, kept.version = tensors[index].array, None, version_of(tensors[index])
                kept.index = index if len(values) > 1 else None
        aliases.append(kept)
    return tuple(aliases)


# ------------------------------------------------------------------------------------------------- changes in place


_changing = threading.Lock()


class _LastChange:
    """The position on the tape of the latest change in place, in any thread."""

    number = -1


def version_of(tensor: Variable) -> list[int]:
    """[position on the tape of the last change in place, number of changes], shared by all views of one memory."""
    if tensor.version is None:
        with _changing:  # two threads that ask first must not get two
            tensor.version = tensor.version or [-1, 0]
    return tensor.version


def note_change(tensor: Variable) -> None:
    """Note that the memory of `tensor` has just been changed in place.

    The change takes a number from the tape, so that comparing two numbers tells what came first, a value being kept
    or its memory being changed.
    """
    version = version_of(tensor)
    with _changing:  # or a slow thread could put an older number over a newer one
        version[0] = _LastChange.number = _next_number()
        version[1] += 1


def check_usable(node: Node) -> None:
    """RuntimeError if what `node` kept for its rule was given back, or changed in place after it was kept."""
    if node.kept is None:
        raise RuntimeError(
            f"{node!r} was walked before, and what it kept for its gradient was given back. To go backward a second "
            "time, call backward(retain_graph=True) the first time, or compute the value again"
        )
    for kept in node.kept:
        if isinstance(kept, Variable) and kept.version is not None and kept.version[0] > node.number:
            raise RuntimeError(
                f"{node!r} (node {node.number}, {node.place}) kept a tensor of shape {tuple(kept.array.shape)} for its gradient, "
                f"and that tensor was changed in place afterwards (at position {kept.version[0]}; it is now at version "
                f"{kept.version[1]}). Use the out-of-place form of the operation that changed it (x = x + 1 instead of "
                "x += 1), or change a clone() of it"
            )


# ---------------------------------------------------------------------------------------------------- the walk back


def walk(
    roots: Iterable[tuple[Node, Any]],
    retain_graph: bool = False,
    create_graph: bool = False,
    on_path: set[int] | None = None,
    found: dict[int, Any] | None = None,
) -> None:
    """Carry gradients from `roots`, pairs (node, gradient), back to the leaves.

    Gradients are arrays, or Tensors with `create_graph`. `on_path` limits the walk to these numbers. Leaves gather
    their gradients, unless `found` is given: then the gradients of the numbers in it are put there instead.
    """
    heap: list[int] = []  # numbers of nodes with a gradient waiting, negated: the largest comes first
    waiting: dict[int, list[Any]] = {}  # number -> [node, gradient, whether the gradient is a sum made here]
    observers = state.observers

    def deliver(node: Any, gradient: Any) -> None:
        if gradient.shape != node.shape or gradient.dtype is not node.dtype:
            gradient = _fit(gradient, node)
        entry = waiting.get(node.number)
        if gradient.__class__ in _UNFINISHED:
            if entry is None:
                waiting[node.number] = [node, gradient.begin(), True]
                heappush(heap, -node.number)
            else:
                entry[1], entry[2] = gradient.join(entry[1], entry[2]), True
        elif entry is None:
            waiting[node.number] = [node, gradient, False]
            heappush(heap, -node.number)
        elif entry[2]:
            entry[1] += gradient  # in place: nobody else holds a sum made here
        else:
            entry[1] = entry[1] + gradient
            entry[2] = not create_graph

    for node, gradient in roots:
        deliver(node, gradient)
    while heap:
        node, dy, is_sum = waiting.pop(-heappop(heap))
        if dy.__class__ in _UNFINISHED:
            dy = dy.whole()
        if node.hooks is not None:
            for entry in waiting.values():  # products that wait hold arrays which a hook may change
                if entry[1].__class__ in _UNFINISHED:
                    entry[1].whole()
            dy, is_sum = _run_hooks(node, dy, create_graph), False  # a hook may have kept it
        if found is not None and node.number in found:
            found[node.number] = dy
            if on_path is not None and not any([parent.number in on_path for parent in node.parents]):
                continue  # the way ends here: what this node kept stays for others
        rule = node.rule
        if rule is None:
            if isinstance(node, Branch):
                _deliver_branch(node, dy, heap, waiting)
            elif found is None and (on_path is None or node.number in on_path):
                private = is_sum or (not create_graph and _references(dy) <= _ALONE)
                _gather(node, dy, private, create_graph)
            continue

        parents = node.parents
        if on_path is not None:
            parents = [parent if parent.number in on_path else NUMBER for parent in parents]
        kept: Any = node.kept
        if kept is None or _LastChange.number > node.number:
            check_usable(node)
        if create_graph:
            xp, kept = _Above.ops, [kept_as_tensor(each, node) for each in kept]
        else:
            xp = _BY_CLASS.get(dy.__class__) or _backend_of_several(dy)
            if kept:
                arrays = []  # loops, here and below: before Python 3.12 a comprehension costs as much as calling a function
                for each in kept:
                    arrays.append(each.array if isinstance(each, Variable) else each)
                kept = arrays
                del arrays, each
        if rule.__class__ is not tuple:
            gradients = rule(xp, dy, *kept)
        else:
            gradients = []
            for part, parent in zip(rule, parents):
                gradients.append(part(xp, dy, *kept) if parent.number >= 0 else None)
        if observers:
            _tell_passed(observers, node, gradients, dy)
        del kept, dy  # memory is given back as the walk goes on: after its rule, nobody needs what a node kept
        if node.kept and not retain_graph:
            node.kept = None
            if observers:
                _tell_freed(observers, node)
        for parent, gradient in zip(parents, gradients):
            if gradient is not None and parent.number >= 0:
                deliver(parent, gradient)
        del gradients
        gradient = None


def kept_as_tensor(kept: Any, node: Node) -> Any:
    """What `node` kept, arrays as tensors, its own values with their place on the tape."""
    if isinstance(kept, _Kept):
        tensor = wrap(kept.array)
        tensor.version = kept.version
        tensor.node = node if kept.index is None else branch_of(node, kept.index)
        return tensor
    return wrap(kept) if kept.__class__ in _BY_CLASS else kept


def _deliver_branch(branch: Branch, gradient: Any, heap: list[int], waiting: dict[int, list[Any]]) -> None:
    """Put the gradient of one output into the list that waits for the node of them all."""
    node: Any = branch.parents[0]
    if node.number not in waiting:
        waiting[node.number] = [node, [None] * len(node.shape), False]
        heappush(heap, -node.number)
    gradients = waiting[node.number][1]
    before = gradients[branch.index]
    gradients[branch.index] = gradient if before is None else before + gradient


def _backend_of_several(gradients: list[Any]) -> backend.Backend:
    return backend.of(next(each for each in gradients if each is not None))


def _fit(gradient: Any, node: Node) -> Any:
    """Undo broadcasting and promotion: sum over the axes along which an input was repeated, return to its dtype."""
    if gradient.__class__ in _UNFINISHED:
        gradient = gradient.whole()
    shape = tuple(node.shape)
    if tuple(gradient.shape) != shape:
        new = len(gradient.shape) - len(shape)
        repeated = [new + axis for axis, size in enumerate(shape) if size == 1 and gradient.shape[new + axis] != 1]
        gradient = gradient.sum(axis=(*range(new), *repeated), keepdims=True).reshape(shape)
    if isinstance(gradient, Variable):
        return gradient if gradient.array.dtype == node.dtype else _Above.ops.cast(gradient, node.dtype)
    return gradient if gradient.dtype == node.dtype else gradient.astype(node.dtype)


def _references(gradient: Any) -> int:
    """How often an array is referred to, seen from here; a view that is all of an array counts as that array."""
    base = gradient.base
    if base is not None:
        if base.__class__ is not gradient.__class__:  # another library's memory: who else holds it, nobody here knows
            return sys.maxsize
        flags = gradient.flags
        whole = base.base is None and base.size == gradient.size and flags.c_contiguous and getattr(flags, "writeable", True)
        if not whole or sys.getrefcount(base) > _ALONE:
            return sys.maxsize
    return sys.getrefcount(gradient)


def _references_to_a_fresh_array() -> int:
    fresh = backend.CPU.empty(1)
    return _references(fresh)


_ALONE = _references_to_a_fresh_array()  # the count of an array that one variable holds; it depends on Python's version


def _gather(leaf: Node, gradient: Any, private: bool, create_graph: bool) -> None:
    """Add a gradient to a leaf's `.grad`, which stays an array of its own.

    Rules may hand the same array to several inputs (addition does), or a view. As in PyTorch, an array that nobody
    else refers to is taken as it is, if its rows lie one after the other, and any other is copied.
    """
    tensor = leaf.variable  # type: ignore[attr-defined]
    if tensor is None:
        return
    with _gathering:
        if create_graph:
            tensor._grad = _Above.ops.clone(gradient) if tensor._grad is None else tensor._grad + gradient
        elif tensor._grad is None:
            tensor._grad = wrap(gradient if private and gradient.flags.c_contiguous else gradient.copy())
        elif tensor._grad.node is None:
            tensor._grad.array += gradient
            note_change(tensor._grad)
        else:
            tensor._grad = wrap(tensor._grad.array + gradient)
    if leaf.afterwards is not None:  # type: ignore[attr-defined]
        for hook in list(leaf.afterwards.values()):  # type: ignore[attr-defined]
            hook(tensor)


_gathering = threading.RLock()  # two threads may add to one leaf at once, and neither addition may be lost


def _run_hooks(node: Node, gradient: Any, create_graph: bool) -> Any:
    """Show a gradient to the functions registered for it; each may return another in its place."""
    assert node.hooks is not None
    for phase, hook in sorted(node.hooks.values(), key=operator.itemgetter(0)):
        given = _shown(gradient, create_graph)
        if phase != Phase.BEFORE_NODE:
            answer = hook(given)
            if answer is not None:
                gradient = _accepted(hook, answer, given, create_graph)
        else:
            many = isinstance(gradient, list)
            answers = hook(tuple(given) if many else (given,))
            if answers is not None:
                befores, answers = (given, answers) if many else ([given], answers)
                accepted = _all_accepted(hook, answers, befores, create_graph)
                gradient = accepted if many else accepted[0]
    return gradient


def _shown(gradient: Any, create_graph: bool) -> Any:
    """A gradient, or a list of them, as what hooks and users get to see: Tensors."""
    if isinstance(gradient, (list, tuple)):
        return [_shown(each, create_graph) for each in gradient]
    return gradient if create_graph or gradient is None else wrap(gradient)


def _all_accepted(hook: Any, answers: Any, befores: Sequence[Any], create_graph: bool) -> list[Any]:
    if not isinstance(answers, (tuple, list)):
        answers = (answers,)
    if len(answers) != len(befores):
        raise RuntimeError(f"the hook {_name(hook)!r} must return {len(befores)} gradients, or None to change nothing, got {len(answers)}")
    return [None if new is None else _accepted(hook, new, old, create_graph) for new, old in zip(answers, befores)]


def _accepted(hook: Any, answer: Any, before: Any, create_graph: bool) -> Any:
    """What a hook returned in place of a gradient; TypeError or RuntimeError where it cannot stand there."""
    if not isinstance(answer, Variable):
        raise TypeError(f"the hook {_name(hook)!r} must return a tensor, or None to change nothing, got {type(answer).__name__}")
    new, old = answer.array, answer.array if before is None else before.array
    if new.shape != old.shape or new.dtype != old.dtype or new.__class__ is not old.__class__:
        raise RuntimeError(
            f"the hook {_name(hook)!r} was given a gradient of shape {tuple(old.shape)} and {old.dtype}, and must return one like "
            f"it on the same device; it returned shape {tuple(new.shape)} and {new.dtype}"
        )
    return answer if create_graph else new


def _name(hook: Any) -> str:
    return str(getattr(hook, "__name__", type(hook).__name__))


class _WatchedRule:
    """A node's rule with hooks that are shown the gradients it takes and those it gives."""

    __slots__ = ("hooks", "parents", "rule")

    def __init__(self, rule: Any, parents: Sequence[Node | Source]) -> None:
        self.rule, self.parents = rule, parents
        self.hooks: dict[int, Callable[[Any, Any], Any]] = {}

    def __call__(self, xp: Any, dy: Any, *kept: Any) -> Any:
        create_graph = xp is _Above.ops
        if self.rule.__class__ is tuple:
            given = [part(xp, dy, *kept) if parent.number >= 0 else None for part, parent in zip(self.rule, self.parents)]
        else:
            given = self.rule(xp, dy, *kept)
        gradients = [None if each is None or parent.number < 0 else _fit(each, parent) for each, parent in zip(given, self.parents)]  # type: ignore[arg-type]
        outer = tuple(_shown(dy if isinstance(dy, list) else [dy], create_graph))
        for hook in list(self.hooks.values()):
            befores = _shown(gradients, create_graph)
            answers = hook(tuple(befores), outer)
            if answers is not None:
                gradients = _all_accepted(hook, answers, befores, create_graph)
        return gradients


def tell_made(node: Node, tensors: Sequence[Any], inputs: Sequence[Any]) -> None:
    """Tell whoever looks on that a node was made."""
    for observer in state.observers:
        observer.made(node, tensors, inputs)


def _tell_passed(observers: Iterable[Observer], node: Node, gradients: Sequence[Any], dy: Any) -> None:
    for observer in observers:
        observer.passed(node, gradients, dy)


def _tell_freed(observers: Iterable[Observer], node: Node) -> None:
    for observer in observers:
        observer.freed(node)


def numbers_on_path(roots: Iterable[Node], targets: set[int]) -> set[int]:
    """The numbers of all nodes that lie between `roots` and `targets`, both included."""
    reached: dict[int, Node] = {}
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        if node.number not in reached:
            reached[node.number] = node
            waiting.extend(parent for parent in node.parents if isinstance(parent, Node))
    on_path: set[int] = set()
    for number in sorted(reached):
        if number in targets or any(parent.number in on_path for parent in reached[number].parents):
            on_path.add(number)
    return on_path


def nodes_since(start: int, tensors: Iterable[Variable]) -> list[Node]:
    """The nodes made after position `start` that the tensors were computed through."""
    found: dict[int, Node] = {}
    waiting = [tensor.node for tensor in tensors]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Node) and node.number > start and node.number not in found:
            found[node.number] = node
            waiting.extend(parent for parent in node.parents if isinstance(parent, Node))
    return list(found.values())


def gradients_within(
    outputs: Sequence[Variable], gradients: Sequence[Any], inside: Iterable[Node], inputs: Iterable[Node], create_graph: bool
) -> dict[int, Any]:
    """The gradients that reach the nodes `inputs` from these outputs through the nodes `inside` only, by number."""
    found: dict[int, Any] = {node.number: None for node in inputs}
    roots = [(output.node, gradient) for output, gradient in zip(outputs, gradients)]
    with set_recording(create_graph):
        walk(roots, create_graph, create_graph, {node.number for node in inside} | set(found), found)  # type: ignore[arg-type]
    return found
