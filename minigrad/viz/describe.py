"""What there is to say of a node: its formula, where it stands, what it keeps, how large its gradient is."""

from __future__ import annotations

from functools import lru_cache

from .model import Node, plural
from .picture import number

__all__ = ["bytes_as_text", "facts_of", "formula_of", "place_of"]

_FORMULAS = {
    "abs": "y = |x|",
    "add": "y = a + b",
    "cat": "y = x₁, x₂, … side by side",
    "clamp": "y = min(max(x, low), high)",
    "clone": "y = x",
    "cross_entropy": "y = −mean log softmax(x)[target]",
    "cumsum": "yₖ = x₁ + … + xₖ",
    "div": "y = a / b",
    "einsum": "y = Σ over repeated letters of the products",
    "embedding": "y = W[index]",
    "erf": "y = erf(x)",
    "exp": "y = eˣ",
    "gather": "y = x[index] along an axis",
    "index": "y = x[index]",
    "linear": "y = x @ Wᵀ + b",
    "log": "y = ln x",
    "log_softmax": "y = x − ln Σ eˣ",
    "logsumexp": "y = ln Σ eˣ",
    "masked_fill": "y = value where mask, else x",
    "matmul": "y = a @ b",
    "mean": "y = Σ x / n",
    "mul": "y = a · b",
    "neg": "y = −x",
    "permute": "y = x, its axes in another order",
    "placed": "y = zeros, with x put at index",
    "pow": "y = xᵖ",
    "prod": "y = Π x",
    "reciprocal": "y = 1 / x",
    "relu": "y = max(x, 0)",
    "reshape": "y = x in another shape",
    "rsqrt": "y = 1 / √x",
    "sigmoid": "y = 1 / (1 + e⁻ˣ)",
    "softmax": "y = eˣ / Σ eˣ",
    "softplus": "y = ln(1 + eˣ)",
    "split": "y₁, y₂, … = parts of x",
    "sqrt": "y = √x",
    "square": "y = x²",
    "stack": "y = x₁, x₂, … along a new axis",
    "std": "y = √(Σ (x − mean)² / (n − 1))",
    "sub": "y = a − b",
    "sum": "y = Σ x",
    "tanh": "y = tanh(x)",
    "unbind": "y₁, y₂, … = x along an axis",
    "var": "y = Σ (x − mean)² / (n − 1)",
    "where": "y = a where condition, else b",
}
_KINDS = {
    "param": "a parameter",
    "input": "data that a time step reads; it wants no gradient",
    "constant": "a constant; it wants no gradient",
    "cut": "detached: the value goes on, the gradient does not",
    "elision": "time steps not shown",
    "module": "a module; its operations are one box",
}


def formula_of(node: Node) -> str:
    """The operation as a formula, or what a node is that computes nothing."""
    if node.kind in _KINDS:
        return _KINDS[node.kind]
    return _FORMULAS.get(node.op, f"y = {node.op}(x, …)")


def place_of(node: Node) -> str:
    """encoder/lstm layer 0 reverse t = 3"""
    return _place(node.scope, node.layer, node.direction, node.step, node.rows)


@lru_cache(maxsize=1024)  # the operations of one step follow each other
def _place(scope: tuple[str, ...], layer: int | None, direction: str | None, step: int | None, rows: int | None) -> str:
    parts = ["/".join(scope)] if scope else []
    if layer is not None:
        parts.append(f"layer {layer}")
    if direction is not None:
        parts.append(direction)
    if step is not None:
        parts.append(f"t = {step}")
    if rows is not None:
        parts.append(plural(rows, "live row"))
    return " ".join(parts)


def bytes_as_text(size: int) -> str:
    """1,024 bytes, or 1.5 MB where that is easier to read."""
    if size < 10_000:
        return f"{size:,} bytes"
    return f"{size / 1e3:,.1f} kB" if size < 1e6 else f"{size / 1e6:,.1f} MB"


def facts_of(node: Node) -> str:
    """All there is to say, one fact per line, for whoever rests the pointer on it."""
    lines = [f"{node.label} {node.dtype}".strip(), formula_of(node)]
    if node.fused:
        lines.append(f"{plural(node.steps or 0, 'time step')} of a layer in one node: path='stepwise' shows each of them")
    where = place_of(node)
    if where:
        lines.append(f"at {where}")
    if node.number >= 0:
        lines.append(f"position on the tape: {node.number}" if node.count == 1 else f"{node.count:,} nodes of the tape")
    if node.saved:
        lines.append(f"kept for backward: {bytes_as_text(node.saved)}")
    if node.norm is not None:
        lines.append(f"‖∂L/∂y‖ = {number(node.norm)}")
    if node.line:
        lines.append(node.line)
    return "\n".join(lines)
