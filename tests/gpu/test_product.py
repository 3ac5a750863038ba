"""Products handed to cuBLAS as addresses: against NumPy's, for every layout, on the strict device or on a GPU."""

import cuda_on_cpu
import numpy as np
import pytest
from compare import host, on_device

import minigrad as mg
from minigrad import backend
from minigrad_nn.kernels.device.product import multiplier

ON = "cuda" if mg.get_default_device().type == "cuda" else "strict"
pytestmark = pytest.mark.skipif(ON == "strict" and cuda_on_cpu.COMPILER is None, reason="design b needs g++ here")
TOLERANCES = {"float16": 5e-3, "float32": 1e-5, "float64": 1e-12}
VIEWS = {  # of a larger matrix on the device
    "the first rows": lambda a, K, M: a[:K, :M], "the last columns": lambda a, K, M: a[-K:, -M:], "transposed": lambda a, K, M: a[:M, :K].T,
    "every second row": lambda a, K, M: a[: 2 * K : 2, :M], "every second column": lambda a, K, M: a[:K, : 2 * M : 2],
    "backwards": lambda a, K, M: a[K - 1 :: -1, :M],
}  # fmt: skip


@pytest.fixture(autouse=True)
def _on_the_device(_default_device):
    mg.set_default_device(ON)
    before = mg.get_float32_matmul_precision()
    yield
    mg.set_float32_matmul_precision(before)


def there():
    return backend.on(mg.device(ON))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("K", "M"), [(1, 1), (1, 4), (4, 1), (3, 5), (8, 7)])
@pytest.mark.parametrize("view", VIEWS)
def test_the_same_as_by_numpy(view, K, M, dtype):
    rng = np.random.default_rng(K * 10 + M)
    whole, rows = rng.normal(size=(20, 20)).astype(dtype), rng.normal(size=(9, K)).astype(dtype)
    matrix, on_it = VIEWS[view](whole, K, M), VIEWS[view](on_device(whole), K, M)
    assert on_it.shape == (K, M)
    for b, first in ((4, 0), (1, 0), (3, 5), (4, 5), (0, 0), (0, 9)):
        out = on_device(np.full((4, M), 7, dtype))
        multiply = multiplier(there(), on_device(rows), on_it, out)
        multiply(b, first)
        want = np.full((4, M), 7.0)
        want[:b] = rows[first : first + b].astype(float) @ matrix.astype(float)
        np.testing.assert_allclose(host(out), want, TOLERANCES[dtype], TOLERANCES[dtype])


def test_what_does_not_go_together_is_refused():
    xp = there()
    rows, matrix, out = xp.zeros((5, 3), np.float32), xp.zeros((3, 4), np.float32), xp.zeros((2, 4), np.float32)
    wrong = [
        (matrix, matrix, out), (rows, matrix.T, out), (rows, matrix, rows), (rows.astype(np.float64), matrix, out),
        (xp.zeros((3, 5), np.float32).T, matrix, out), (rows, matrix, xp.zeros((2, 8), np.float32)[:, ::2]),
        (rows.astype(int), matrix.astype(int), out.astype(int)),
    ]  # fmt: skip
    for arrays in wrong:
        with pytest.raises(TypeError, match="rows and room without gaps"):
            multiplier(xp, *arrays)


@pytest.mark.skipif(ON != "strict", reason="looks at what the stand-in for cuBLAS was asked for")
def test_the_type_of_sums_is_that_of_cupys_own_products(monkeypatch):
    xp, asked = there(), []
    real = xp.cublas.gemmEx
    monkeypatch.setattr(xp.cublas, "gemmEx", lambda *given: asked.append(given[-2]) or real(*given), raising=False)
    for dtype in (np.float16, np.float32, np.float64):
        for precision in ("highest", "high", "medium"):
            mg.set_float32_matmul_precision(precision)
            assert mg.get_float32_matmul_precision() == precision
            multiplier(xp, xp.ones((2, 3), dtype), xp.ones((3, 4), dtype), xp.ones((2, 4), dtype))(2)
    assert asked == [68, 68, 68, 68, 77, 77, 70, 70, 70]


@pytest.mark.skipif(ON != "strict", reason="the stand-in for cuBLAS looks at more than cuBLAS does")
def test_the_stand_in_refuses_what_cublas_refuses():
    xp = there()
    a = xp.ones((3, 3), np.float32)
    one = np.ones(1, np.float32)
    given = [7, 0, 0, 3, 3, 3, one.ctypes.data, a.data.ptr, 0, 3, a.data.ptr, 0, 3, one.ctypes.data, a.data.ptr, 0, 3, 68, -1]
    xp.cublas.gemmEx(*given)
    for place, value in ((0, 1), (3, 0), (8, 1), (9, 2), (12, 2), (14, 0), (16, 2), (17, 70), (18, 3)):
        with pytest.raises((RuntimeError, KeyError)):
            xp.cublas.gemmEx(*given[:place], value, *given[place + 1 :])
    with pytest.raises(TypeError):
        xp.cublas.gemmEx(*given[:-1])
