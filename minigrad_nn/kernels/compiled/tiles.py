"""Products of matrices for loops over time: few rows each time, and always the same weights.

A library of products is made for large matrices. Before it multiplies, it copies both into an order in which the processor can
take them in one go; for a few rows of a batch that takes as long as multiplying, and in a loop over time the weights are
copied again at every step. Here they are brought into that order once, before the loop (`pack`), and each step only
multiplies (`add_product`, or `product_and` a bias):

    out (b, F) += rows (b, K) @ W (F, K)ᵀ

What a processor computes with stands in its registers, of which it has 16 or 32. Each holds a *vector* of 4, 8 or 16 numbers
(LANES), and one instruction multiplies two vectors and adds the result to a third, number by number.

The product is worked off in *tiles*, up to ROWS rows of `out` by PANEL columns, a few vectors wide. All numbers of a tile stay in
registers until it is done. The weights of PANEL columns are a *panel* (K, PANEL): for each k, its row is fetched once and serves
all rows of the tile:

                     k →                       PANEL
            ┌──────────────────┐        ┌──────────────┐
       rows │ rows[r, k]       │      k │ panel[k]     │       out[r, :] += rows[r, k] · panel[k, :]
            └──────────────────┘      ↓ └──────────────┘

One multiplication and addition takes four or five cycles until its result can be used, and a core begins one or two of
them in every cycle: a tile must have about ten vectors to work on in turn. And it should have as many as there are registers
for, because each row and each column more makes better use of what is fetched.

This is the only place that speaks to the processor through LLVM, which Numba compiles with: Python has no word for a vector.
Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication (2008), have the whole story:
https://doi.org/10.1145/1356052.1356053.
"""

from __future__ import annotations

import functools
import linecache
import platform
import zlib
from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core.cgutils import alloca_once_value, for_range
from numba.extending import intrinsic

__all__ = ["PANEL", "ROWS", "add_product", "compiled", "pack", "pack_columns", "product_and"]


def _features() -> set[str]:
    """What the processor that Numba compiles for can do, by LLVM's names: this one, unless the user names another."""
    if numba.config.CPU_FEATURES is not None:
        return {each.removeprefix("+") for each in numba.config.CPU_FEATURES.split(",") if each.startswith("+")}
    return {name for name, there in llvmlite.binding.get_host_cpu_features().items() if there}


def _sizes() -> tuple[int, int, int]:
    """Numbers in a vector, vectors in a row of a tile, rows of a tile; ImportError where a multiplication and an addition
    are not one instruction."""
    if platform.machine().lower() in ("aarch64", "arm64"):
        return 4, 4, 5  # 20 of 32 registers for the tile, 4 for the weights
    known = _features()
    if "avx512f" in known:
        return 16, 2, 10  # 20 of 32 registers for the tile, 2 for the weights, the others for rows' numbers
    if {"avx2", "fma"} <= known:
        return 8, 2, 6  # 12 of 16 registers for the tile, 2 for the weights, 1 for a row's number
    raise ImportError(
        f"compiled loops multiply vectors, for which this processor ({platform.machine()}) has no instructions (AVX2 with FMA)"
    )


LANES, VECTORS, ROWS = _sizes()
PANEL = LANES * VECTORS
SIZE = 4  # bytes in a float32

VECTOR, INDEX = ir.VectorType(ir.FloatType(), LANES), ir.IntType(64)
VERSION = zlib.crc32("".join(linecache.getlines(__file__, globals())).encode())  # of this file
NOTHING, THE_FIRST = ir.Constant(VECTOR, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)


def instructions(function: Callable[..., Any]) -> Callable[..., Any]:
    """What compiled code may call, given as LLVM's instructions."""
    made: Callable[..., Any] = intrinsic(function)
    return made


def _tile(
    builder: Any, rows: int, panel: Any, K: Any, given: Any, given_apart: Any, begin: Any, begin_apart: Any, out: Any, out_apart: Any
) -> None:
    """LLVM's instructions for a tile of so many rows; places are addresses, rows begin `…_apart` bytes after each other.

    `given` are the rows (rows, K) that are multiplied, `begin` what is added to.
    """

    def place(kind: Any, address: Any, *offsets: Any) -> Any:
        return builder.inttoptr(functools.reduce(builder.add, offsets, address), kind.as_pointer())

    def vector(address: Any, v: int, *offsets: Any) -> Any:
        return place(VECTOR, address, INDEX(v * LANES * SIZE), *offsets)

    multiply_add = builder.module.declare_intrinsic(f"llvm.fma.v{LANES}f32", (), ir.FunctionType(VECTOR, [VECTOR] * 3))
    apart = [[builder.mul(each, INDEX(r)) for each in (given_apart, begin_apart, out_apart)] for r in range(rows)]
    tile = [(r, v) for r in range(rows) for v in range(VECTORS)]
    sums = {(r, v): alloca_once_value(builder, builder.load(vector(begin, v, apart[r][1]), align=SIZE)) for r, v in tile}
    with for_range(builder, K) as loop:
        to_panel, to_number = builder.mul(loop.index, INDEX(PANEL * SIZE)), builder.mul(loop.index, INDEX(SIZE))
        weights = [builder.load(vector(panel, v, to_panel), align=SIZE) for v in range(VECTORS)]
        for r in range(rows):
            number = builder.load(place(ir.FloatType(), given, apart[r][0], to_number))
            first = builder.insert_element(NOTHING, number, ir.IntType(32)(0))
            number = builder.shuffle_vector(first, NOTHING, THE_FIRST)
            for v in range(VECTORS):
                builder.store(builder.call(multiply_add, [number, weights[v], builder.load(sums[r, v])]), sums[r, v])
    for r, v in tile:
        builder.store(builder.load(sums[r, v]), vector(out, v, apart[r][2]), align=SIZE)


@instructions
def _compute_tile(
    context: Any, panel: Any, K: Any, rows: Any, rows_apart: Any, begin: Any, begin_apart: Any, out: Any, out_apart: Any, count: Any
) -> Any:  # fmt: skip
    """out = begin + rows @ panel, of out and begin (count, PANEL), rows (count, K), panel (K, PANEL), for a count of 1 to ROWS."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        *places, count = given
        done = builder.append_basic_block("done")
        choice = builder.switch(count, done)
        for rows in range(1, ROWS + 1):  # so many kinds of tiles, each with its own registers
            block = builder.append_basic_block(f"rows_{rows}")
            choice.add_case(count.type(rows), block)
            builder.position_at_end(block)
            _tile(builder, rows, *places)
            builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 9), generate


def _transpose(builder: Any, source: Any, source_apart: Any, out: Any, out_apart: Any) -> None:
    """LLVM's instructions for LANES rows of LANES numbers that become columns.

    In each round, pairs of rows exchange what lies off the diagonal: single numbers in rows next to each other, then pairs of
    numbers in rows two apart, and so on.
    """

    def place(first: Any, apart: Any, r: int) -> Any:
        return builder.inttoptr(builder.add(first, builder.mul(apart, INDEX(r))), VECTOR.as_pointer())

    def mixed(a: Any, b: Any, lanes: list[int]) -> Any:
        return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), LANES), lanes))

    rows, lanes, d = [builder.load(place(source, source_apart, r), align=SIZE) for r in range(LANES)], range(LANES), 1
    while d < LANES:
        for r in (r for r in lanes if not r & d):
            upper, lower = rows[r], rows[r + d]
            rows[r] = mixed(upper, lower, [LANES + j - d if j & d else j for j in lanes])
            rows[r + d] = mixed(upper, lower, [LANES + j if j & d else j + d for j in lanes])
        d *= 2
    for r, row in enumerate(rows):
        builder.store(row, place(out, out_apart, r), align=SIZE)


@instructions
def _turn_block(context: Any, source: Any, source_apart: Any, out: Any, out_apart: Any) -> Any:
    """out[j, i] = source[i, j] for i and j below LANES; places are addresses, and rows begin so many bytes after each other."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        _transpose(builder, *given)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4), generate


@instructions
def _copy_row(context: Any, source: Any, out: Any) -> Any:
    """out[j] = source[j] for j below PANEL; both are addresses."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        source, out = (builder.inttoptr(each, ir.ArrayType(VECTOR, VECTORS).as_pointer()) for each in given)
        for v in range(VECTORS):
            at = [INDEX(0), INDEX(v)]
            builder.store(builder.load(builder.gep(source, at), align=SIZE), builder.gep(out, at), align=SIZE)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), generate


def _pack(w: Any, panels: Any) -> None:
    """Write W (F, K) into panels (⌈F / PANEL⌉, K, PANEL); zeros fill the last one."""
    (F, K), blocks = w.shape, w.shape[1] // LANES * LANES
    for p in range(len(panels)):
        for first in range(p * PANEL, (p + 1) * PANEL, LANES):
            whole, column = first + LANES <= F, first - p * PANEL
            if whole:
                for k in range(0, blocks, LANES):
                    source, out = w.ctypes.data + (first * K + k) * SIZE, panels.ctypes.data + ((p * K + k) * PANEL + column) * SIZE
                    _turn_block(source, K * SIZE, out, PANEL * SIZE)
            for j in range(LANES):
                for k in range(blocks if whole else 0, K):
                    panels[p, k, column + j] = w[first + j, k] if first + j < F else np.float32(0)


def _pack_columns(w: Any, panels: Any) -> None:
    """The same with Wᵀ of W (K, F): with these panels, `add_product` computes out += rows @ W."""
    K, F = w.shape
    for p in range(len(panels)):
        column = p * PANEL
        for k in range(K):
            if column + PANEL <= F:
                _copy_row(w.ctypes.data + (k * F + column) * SIZE, panels.ctypes.data + (p * K + k) * PANEL * SIZE)
            else:
                for j in range(PANEL):
                    panels[p, k, j] = w[k, column + j] if column + j < F else np.float32(0)


def _product(
    out: Any, out_apart: Any, begin: Any, begin_apart: Any, rows: Any, rows_apart: Any, panels: Any, count: Any, K: Any, F: Any
) -> None:  # fmt: skip
    """out = begin + rows @ Wᵀ, of out and begin (count, F), rows (count, K); addresses, and bytes from row to row, for arrays."""
    edge = np.empty((ROWS, PANEL), np.float32)
    for column in range(0, F, PANEL):
        panel, first = panels + column * K * SIZE, 0
        while first < count:
            some = -(-(count - first) // -(-(count - first) // ROWS))  # tiles of about equal height
            given, here = rows + first * rows_apart, out + first * out_apart + column * SIZE
            before = begin + first * begin_apart + column * SIZE
            if column + PANEL <= F:
                _compute_tile(panel, K, given, rows_apart, before, begin_apart, here, out_apart, some)
            else:  # the last panel reaches beyond the columns of `out`
                for r in range(some):
                    edge[r, : F - column] = numba.carray(_pointer(before + r * begin_apart), F - column)
                _compute_tile(panel, K, given, rows_apart, edge.ctypes.data, PANEL * SIZE, edge.ctypes.data, PANEL * SIZE, some)
                for r in range(some):
                    numba.carray(_pointer(here + r * out_apart), F - column)[:] = edge[r, : F - column]
            first += some


@instructions
def _pointer(context: Any, address: Any) -> Any:
    """An address, as what `numba.carray` makes an array of."""
    kind = types.CPointer(types.float32)
    return kind(types.intp), lambda context, builder, signature, given: builder.inttoptr(given[0], context.get_value_type(kind))


def compiled(decorator: Any, signature: Any, function: Any, **options: Any) -> Any:
    """`function` as Numba's `decorator` compiles it; kept beside its file, or wherever Numba can write, for the next start.

    Where nothing can be kept (no place to write to, a full disk), or what was kept is damaged, it is compiled at every start.
    """
    # What is kept has the function's name, and is used for as long as the function's own file stays as it is. But loops.py has parts
    # of this file inside, and with others, or panels of another width, it would write beyond its arrays.
    function.__qualname__ += f"_{VERSION:08x}"
    try:
        return decorator(signature, cache=True, **options)(function)
    except Exception:  # whatever befell the cache; what is wrong with the function itself is said by the next line
        return decorator(signature, **options)(function)


# Compiled once, and called by its address: inside each loop it would be compiled with each of them.
_compiled_product = compiled(numba.cfunc, types.void(*[types.intp] * 10), _product, error_model="numpy")
llvmlite.binding.add_symbol("minigrad_product", _compiled_product.address)
_call = types.ExternalFunction("minigrad_product", types.void(*[types.intp] * 10))


def _add_product(out: Any, rows: Any, panels: Any) -> None:
    """out (b, F) += rows (b, K) @ Wᵀ; both may be parts of larger arrays, but the numbers of a row are neighbours."""
    to_out, apart, (b, F), K = out.ctypes.data, out.strides[0], out.shape, rows.shape[1]
    _call(to_out, apart, to_out, apart, rows.ctypes.data, rows.strides[0], panels.ctypes.data, b, K, F)


def _product_and(bias: Any, out: Any, rows: Any, panels: Any) -> None:
    """out (b, F) = rows (b, K) @ Wᵀ + bias (F,)"""
    (b, F), K = out.shape, rows.shape[1]
    _call(out.ctypes.data, out.strides[0], bias.ctypes.data, 0, rows.ctypes.data, rows.strides[0], panels.ctypes.data, b, K, F)


# Loops are compiled with these inside.
pack: Any = numba.njit(error_model="numpy")(_pack)
pack_columns: Any = numba.njit(error_model="numpy")(_pack_columns)
add_product: Any = numba.njit(error_model="numpy")(_add_product)
product_and: Any = numba.njit(error_model="numpy")(_product_and)
