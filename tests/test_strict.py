"""The strict array refuses what CuPy refuses, counts what waits and what is copied, and answers to CuPy's names only."""

import copy
import pickle

import numpy as np
import pytest
import strict
from strict import LIBRARY as xp
from strict import StrictArray, counting

import minigrad
from minigrad import backend

pytestmark = pytest.mark.host_only("names its device")


def device(*numbers, dtype=np.float32):
    """A vector on the strict device."""
    return xp.asarray(np.array(numbers, dtype))


def host(*numbers):
    """A vector on the host."""
    return np.array(numbers, np.float32)


def held(array):
    """What a strict array holds, as lists."""
    assert type(array) is StrictArray
    return array._held.tolist()


# ----------------------------------------------------------------------------------------------------- what is refused

REFUSED = {
    "asarray": lambda x: np.asarray(x),
    "numpy's functions": lambda x: np.exp(x),
    "numpy's joining": lambda x: np.concatenate([x, x]),
    "host on the right": lambda x: x + host(1, 2, 3),
    "host on the left": lambda x: host(1, 2, 3) * x,
    "host compared": lambda x: x == host(1, 2, 3),
    "host in place": lambda x: x.__iadd__(host(1, 2, 3)),
    "host without axes": lambda x: x + np.asarray(1.0),
    "host in a function": lambda x: xp.maximum(x, host(1, 2, 3)),
    "host as out": lambda x: xp.exp(x, out=host(1, 2, 3)),
    "host in a list": lambda x: xp.concatenate([x, host(1.0)]),
    "numbers in a list": lambda x: xp.stack([1.0, 2.0]),
    "a list for an array": lambda x: xp.sum([1.0, 2.0]),
    "a list on the right": lambda x: x * [1.0, 2.0, 3.0],
    "host index": lambda x: x[np.array([0, 1])],
    "list index": lambda x: x[[0, 1]],
    "host index assigned": lambda x: x.__setitem__(np.array([0]), 1.0),
    "host value assigned": lambda x: x.__setitem__(slice(None), host(1, 2, 3)),
    "host taken": lambda x: xp.take(x, np.array([0])),
    "where= of a ufunc": lambda x: xp.add(x, x, where=True),
    "where= of a reduction": lambda x: x.sum(where=True),
    "initial= of a reduction": lambda x: x.max(initial=0.0),
    "initial= of a function": lambda x: xp.amax(x, initial=0.0),
    "a keyword CuPy lacks": lambda x: xp.zeros_like(x, device="cpu"),
    "too many arguments": lambda x: xp.cumsum(x, 0, None, None, None),
    "elements a function has not": lambda x: xp.bitwise_and(x, x),
    "elements an operator has not": lambda x: -xp.ones(2, bool),
    "bools told apart by rows": lambda x: xp.unique(xp.ones((2, 2), bool), axis=0),
    "a number for an array": lambda x: xp.ones_like(1.0),
    "a number as a factor of dot": lambda x: xp.dot(x, 2.0),
    "a number as a condition": lambda x: xp.where(True, x, 0.0),
    "compared with a text": lambda x: x == "x",
    "index()": lambda x: [1, 2][x[0].astype(np.int64)],
    "add.at of int64": lambda x: xp.add.at(device(0, dtype=np.int64), device(0, dtype=np.int64), device(1, dtype=np.int64)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    with pytest.raises(TypeError):
        REFUSED[name](device(1, 2, 3))


@pytest.mark.parametrize("name", ["insert", "block", "vecdot", "matvec", "unstack", "einsum_path", "errstate", "no_such_function"])
def test_names_that_cupy_lacks(name):
    with pytest.raises(AttributeError, match=f"cupy 14.2.0 has no '{name}'"):
        getattr(xp, name)


@pytest.mark.parametrize("name", ["normal", "shuffle", "permutation", "choice"])
def test_names_that_its_generator_lacks(name):
    with pytest.raises(AttributeError):
        getattr(xp.random.Generator(xp.random.Philox4x3210(1)), name)


@pytest.mark.parametrize("name", ["tofile", "ctypes", "searchsorted_", "__index__"])
def test_attributes_that_the_array_lacks(name):
    assert not hasattr(device(1), name)


def test_the_array_has_no_more_than_cupys():
    public = {name for name in dir(StrictArray) if not name.startswith("_")}
    assert public <= set(strict.NAMES["ndarray_methods"]) | set(strict.NAMES["ndarray_attributes"])
    operators = {name for name in vars(StrictArray) if name.startswith("__")}
    own = {"__slots__", "__weakref__", "__module__", "__doc__", "__init__", "__hash__", "__repr__", "__reduce__", "__format__"}
    assert operators - own - {"__firstlineno__", "__static_attributes__"} <= {*strict.NAMES["ndarray_operators"], "__len__"}


@pytest.mark.parametrize("method", ["at", "reduce", "reduceat", "accumulate"])
def test_methods_of_ufuncs_that_cupy_lacks(method):
    with pytest.raises(NotImplementedError):
        getattr(xp.exp if method == "at" else xp.maximum, method)


def test_reduceat_is_refused_as_inexact():
    with pytest.raises(NotImplementedError, match="not exact"):
        xp.add.reduceat  # noqa: B018


# ------------------------------------------------------------------------------------------- what is done as CuPy does


def test_reductions_return_arrays():
    x = device(1, 2, 3)
    for found in (x.sum(), x.max(), x.argmax(), x.any(), xp.dot(x, x), x[0], x @ x, xp.amax(x), x.mean() + 1):
        assert type(found) is StrictArray and found.shape == ()


def test_integers_out_of_range_wrap_around():
    x = device(1, 2, 3)
    assert held(x[device(3, -1, 7, dtype=np.int64)]) == [1, 3, 2]
    assert held(xp.arange(6).reshape(2, 3)[:, device(4, dtype=np.int64)]) == [[1], [4]]
    x[device(5, dtype=np.int64)] = device(9)
    assert held(x) == [1, 2, 9]


def test_the_last_of_several_assigned_values_does_not_win():
    x = device(0, 0)
    x[device(1, 1, 0, dtype=np.int64)] = device(5, 6, 7)
    assert held(x) == [7, 5]


def test_add_at_adds_in_any_order():
    rng = np.random.default_rng(0)
    values, sums = rng.normal(size=4000).astype(np.float32) * 1e3, set()
    for _ in range(20):
        total = xp.zeros(1, np.float32)
        xp.add.at(total, xp.zeros(4000, np.int64), xp.asarray(values))
        sums.add(float(total[0]))
    assert len(sums) > 1


def test_a_numpy_double_widens_and_a_python_number_does_not():
    x = device(1, 2)
    assert (x * 2.0).dtype == (2.0 * x).dtype == np.float32
    assert (x * np.float64(2)).dtype == (np.float64(2) * x).dtype == np.float64


def test_views_share_memory_and_can_be_written_to():
    x = device(0, 0, 0, 0)
    view = x.reshape(2, 2)[1]
    assert view.base is x and x.base is None and x.copy().base is None and x.astype(np.float32, copy=False) is x
    view[...] = 5.0
    x[0][...] = 1.0
    assert held(x) == [1, 0, 5, 5]
    assert xp.broadcast_to(device(1), (3,))._held.flags.writeable


def test_a_shape_without_axes_counts_as_none_given():
    for name in ("zeros_like", "ones_like", "empty_like"):
        assert getattr(xp, name)(device(1, 2), shape=()).shape == (2,) and getattr(xp, name)(device(1, 2), shape=(3, 1)).shape == (3, 1)
    assert xp.full_like(device(1, 2), 3, shape=()).shape == (2,)


def test_an_array_in_order_has_an_axis():
    assert xp.ascontiguousarray(device(1)[0]).shape == (1,)


def test_there_is_one_kind_of_sorting():
    for sort in (xp.sort, xp.argsort):
        assert held(sort(device(3, 1), kind="stable")) == held(sort(device(3, 1), 0, None)) == held(sort(device(3, 1)))
        with pytest.raises(ValueError, match="one kind of sorting"):
            sort(device(3, 1), kind="quicksort")


def test_out_is_what_comes_back():
    x, y = device(1, 2), device(0, 0)
    assert xp.exp(x, out=y) is xp.exp(x, y) is xp.matmul(xp.ones((2, 2), np.float32), x, out=y) is y
    assert xp.cumsum(x, 0, out=y) is x.cumsum(0, None, y) is y
    assert held(y) == [1, 3]


def test_no_warnings():
    with np.errstate(all="raise"):
        assert held(device(1, 0) / device(0, 0))[0] == np.inf


# ---------------------------------------------------------------------------------------------------- what is counted

WAITING = {
    "float": lambda x: float(x[0]),
    "int": lambda x: int(x[0]),
    "bool": lambda x: bool(x[0]),
    "item": lambda x: x[0].item(),
    "tolist": lambda x: x.tolist(),
    "get": lambda x: x.get(),
    "asnumpy": lambda x: xp.asnumpy(x),
    "a branch": lambda x: 1 if (x > 0).any() else 0,
    "membership": lambda x: 1.0 in x,
    "a mask": lambda x: x[x > 1],
    "a mask assigned": lambda x: x.__setitem__(x > 1, 0.0),
    "nonzero": lambda x: xp.nonzero(x),
    "its method": lambda x: x.nonzero(),
    "where alone": lambda x: xp.where(x > 1),
    "unique": lambda x: xp.unique(x),
    "bincount": lambda x: xp.bincount(x.astype(np.int64)),
    "repr": repr,
    "str": str,
    "format": lambda x: f"{x}",
    "pickling": pickle.dumps,
    "a stream": lambda x: xp.cuda.get_current_stream().synchronize(),
    "a device": lambda x: xp.cuda.Device(0).synchronize(),
}


@pytest.mark.parametrize("name", WAITING)
def test_waits_are_counted(name):
    x = device(1, 2, 3)
    with counting() as counted:
        WAITING[name](x)
    assert counted.waits


COPYING = {
    "asarray": lambda x: xp.asarray(host(1, 2)),
    "array": lambda x: xp.array([1.0, 2.0]),
    "a number": lambda x: xp.asarray(1.0),
    "numbers for NaN": lambda x: xp.nan_to_num(x),
    "get": lambda x: x.get(),
    "asnumpy": lambda x: xp.asnumpy(x),
    "a number at an index": lambda x: x.__setitem__(device(0, dtype=np.int64), 1.0),
}


@pytest.mark.parametrize("name", COPYING)
def test_copies_between_host_and_device_are_counted(name):
    x = device(1, 2, 3)
    with counting() as counted:
        COPYING[name](x)
    assert counted.copies


def test_computing_is_not_counted():
    x = device(1, 2, 3)
    with counting() as counted:
        y = xp.where(x > 1, x * 2.0, 0.0)[1:].reshape(2, 1) @ xp.ones((1, 2), np.float32)
        y += y.sum(axis=0)
        y[0] = 1.0
        xp.asarray(y), xp.concatenate([x, x]).astype(np.float64), copy.copy(y), copy.deepcopy(y), len(y), y.shape, [*y]
    assert counted.waits == counted.copies == []


def test_the_device_streams_draws_are_not_counted():
    with counting() as counted:
        drawn = xp.random.Generator(xp.random.Philox4x3210(1)).random((2, 3), dtype=np.float32)
    assert drawn.shape == (2, 3) and drawn.dtype == np.float32 and counted.waits == counted.copies == []


# -------------------------------------------------------------------------------------------------------- the backend


def test_it_is_a_device_of_its_own():
    x = minigrad.ones(2, device="strict")
    assert x.device == minigrad.device("strict:0") and type(x.array) is StrictArray and backend.of(x.array).device_type == "strict"
    assert not isinstance(x.array, np.ndarray)
    with pytest.raises(RuntimeError, match="number 0"):
        minigrad.ones(2, device="strict:1")


def test_what_is_pickled_comes_back():
    assert held(pickle.loads(pickle.dumps(device(1, 2)))) == [1, 2]
