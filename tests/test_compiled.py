"""Compiled loops: their products, the numbers of the kernels that NumPy computes, a batch shared among cores, and when they serve."""

import os
import runpy
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad_nn as nn
from minigrad.backend import of
from minigrad_nn.kernels import compiled
from minigrad_nn.kernels.choose import ARRAYS, choose
from minigrad_nn.kernels.compiled import cores
from minigrad_nn.kernels.compiled.sequence import in_panels, places
from minigrad_nn.kernels.steps import Steps

ROOT = Path(__file__).parents[1]
loops: Any = pytest.importorskip("minigrad_nn.kernels.compiled.loops", exc_type=ImportError, reason="loops are compiled by Numba")
pytestmark = pytest.mark.host_only("compiled for the CPU")


def drawn(rng: Any, *shape: int) -> Any:
    return rng.standard_normal(shape).astype(np.float32)


# ------------------------------------------------------------------------------------------------------------ products


@pytest.fixture(scope="module")
def product() -> Any:
    """A compiled call of the product, with places inside larger arrays."""
    numba = pytest.importorskip("numba")
    add_product = sys.modules["minigrad_nn.kernels.compiled.tiles"].add_product

    @numba.njit(error_model="numpy")  # type: ignore[untyped-decorator]
    def call(out: Any, rows: Any, panels: Any, F: int, K: int) -> None:
        add_product(out[1:-1, 2 : 2 + F], rows[1:-1, 3 : 3 + K], panels)

    return call


@pytest.mark.parametrize("columns", [False, True], ids=["w", "its transpose"])
@pytest.mark.parametrize("seed", range(60))
def test_products_are_those_of_numpy_and_touch_nothing_else(seed: int, columns: bool, product: Any) -> None:
    rng = np.random.default_rng(seed)
    sizes = [0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 64, 65, 100]
    F, K, b = (int(rng.choice(sizes)) for _ in range(3))
    w, rows, out = drawn(rng, F, K), drawn(rng, b + 2, K + 5), drawn(rng, b + 2, F + 4)
    want = out.astype(np.float64)
    want[1:-1, 2 : 2 + F] += rows[1:-1, 3 : 3 + K].astype(np.float64) @ w.T.astype(np.float64)
    panels = in_panels(w.T if columns else w, columns)
    assert panels.shape == (-(-F // loops.PANEL), K, loops.PANEL) and not np.isnan(panels).any()
    product(out, rows, panels, F, K)
    np.testing.assert_allclose(out, want, rtol=1e-5, atol=1e-5 * max(1, K) ** 0.5)
    frame = np.ones(out.shape, bool)
    frame[1:-1, 2 : 2 + F] = False
    assert np.array_equal(out[frame], want[frame].astype(np.float32))


NARROW = """
import sys
sys.path.insert(0, "tests")
import numpy as np
import minigrad as mg, minigrad_nn as nn
from minigrad_nn.kernels.compiled import tiles
mg.manual_seed(0)
for kind in (nn.RNN, nn.LSTM, nn.GRU):
    layer, x = kind(37, 41), mg.randn(5, 13, 37, requires_grad=True)
    found = []
    for kernel in ("compiled", "arrays"):
        with nn.path("fused", kernel=kernel):
            y, _ = layer(x)
        found.append([y.detach().numpy(), *(d.numpy() for d in mg.autograd.grad(y.square().sum(), [x, *layer.parameters()]))])
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
print(tiles.LANES, tiles.VECTORS, tiles.ROWS)
"""


def in_process(program: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """What a new process says."""
    environment = {**os.environ, "MINIGRAD_DEVICE": "cpu", **settings}
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.skipif("avx512f" not in sys.modules["minigrad_nn.kernels.compiled.tiles"]._features(), reason="a processor with AVX-512")
def test_processors_with_narrower_vectors_have_tiles_of_their_own(tmp_path: Path) -> None:
    done = in_process(NARROW, NUMBA_CPU_NAME="haswell", NUMBA_CPU_FEATURES="+avx,+avx2,+fma", NUMBA_CACHE_DIR=str(tmp_path))
    assert done.stdout.split() == ["8", "2", "6"], done.stderr


@pytest.mark.skipif("avx2" not in sys.modules["minigrad_nn.kernels.compiled.tiles"]._features(), reason="an x86 processor")
def test_a_processor_that_is_only_named_has_the_instructions_of_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    tiles, config = sys.modules["minigrad_nn.kernels.compiled.tiles"], pytest.importorskip("numba").config
    here = tiles._features()
    monkeypatch.setattr(config, "CPU_NAME", "haswell")
    assert tiles._features() == here  # as Numba compiles
    monkeypatch.setattr(config, "CPU_FEATURES", "+avx2,-avx512f,+fma")
    assert tiles._features() == {"avx2", "fma"}


@pytest.mark.skipif("avx2" not in sys.modules["minigrad_nn.kernels.compiled.tiles"]._features(), reason="an x86 processor")
def test_processors_without_vectors_are_told(tmp_path: Path) -> None:
    done = in_process(
        "import minigrad_nn as nn, minigrad as mg; print(tuple(nn.LSTM(2, 3)(mg.ones(4, 1, 2))[0].shape))",
        NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="", NUMBA_CACHE_DIR=str(tmp_path),
    )  # fmt: skip
    assert done.stdout == "(4, 1, 3)\n"
    assert "Numba is installed but cannot be used here (ImportError: compiled loops multiply vectors" in done.stderr


# ------------------------------------------------------------------------------------------------------------- kernels

OPTIONS: dict[str, list[dict[str, Any]]] = {"rnn": [{"activation": "tanh"}, {"activation": "relu"}], "lstm": [{}], "gru": [{}]}
GATES = {"rnn": 1, "lstm": 4, "gru": 3}


def found_by(kernel: Any, c: Any) -> list[Any]:
    """All that a kernel computes of a case: values, gradients, gates."""
    kind, x, steps, states, weights, option, dys, wanted = c
    *values, saved = kernel.forward(x, steps, *states, weights, keep=True, **option)
    gradients = kernel.backward(saved, x, values[0], states[0], weights, *dys, wanted)
    assert set(gradients) == set(wanted)
    again = kernel.backward(saved, x, values[0], states[0], weights, *dys, wanted)
    assert all(np.array_equal(again[name], gradients[name], equal_nan=True) for name in wanted)
    *without, nothing = kernel.forward(x, steps, *states, weights, keep=False, **option)
    assert nothing is None and all(np.array_equal(a, b) for a, b in zip(without, values, strict=True))
    looked = {**saved.gates(), **({"c": saved.cells()} if kind == "lstm" else {})}
    return [*values, *(gradients[name] for name in wanted), *looked.values()]


def drawn_case(kind: str, seed: int, largest: int) -> Any:
    """A kernel's arguments: lengths of all kinds, some arrays left out."""
    rng = np.random.default_rng(seed)
    T, B, I, H = (int(rng.integers(low, high)) for low, high in ((1, 9), (1, largest), (1, largest), (1, largest)))
    lengths = np.sort(rng.integers(1, T + 1, B))[::-1] if seed % 2 else [T] * B
    steps = Steps([int(sum(length > t for length in lengths)) for t in range(int(max(lengths)))], reverse=seed % 3 == 0)
    scale = np.float32(1 / np.sqrt(H))
    weights: Any = [drawn(rng, GATES[kind] * H, I) * scale, drawn(rng, GATES[kind] * H, H) * scale]
    weights += [drawn(rng, GATES[kind] * H) if rng.random() < 0.7 else None for _ in range(2)]
    weights = (*weights, None) if kind == "lstm" else tuple(weights)
    count = 2 if kind == "lstm" else 1
    states = [drawn(rng, B, H) if rng.random() < 0.7 else None for _ in range(count)]
    dys = [drawn(rng, steps.N, H), *(drawn(rng, B, H) for _ in range(count)), *([drawn(rng, steps.N, H)] if kind == "lstm" else [])]
    dys = [dy if rng.random() < 0.7 else None for dy in dys]
    wanted = [name for name in getattr(ARRAYS, kind).NAMES if name != "w_hr" and rng.random() < 0.8]
    return kind, drawn(rng, steps.N, I), steps, states, weights, OPTIONS[kind][seed % len(OPTIONS[kind])], dys, wanted


def agree(one: list[Any], other: list[Any]) -> None:
    for a, b in zip(one, other, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5 * max(1.0, np.abs(b).max(initial=0)))


@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("seed", range(30))
def test_loops_compute_what_numpy_computes(kind: str, seed: int) -> None:
    c = drawn_case(kind, seed, 80)
    agree(found_by(getattr(compiled, kind), c), found_by(getattr(ARRAYS, kind), c))


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Three cores, for however small a batch; yields how many shares each call of loops had."""
    shares: list[int] = []
    together = cores.together
    monkeypatch.setattr(cores, "FEWEST_ROWS", 1)
    monkeypatch.setattr(cores, "FEWEST_MULTIPLICATIONS", 1)
    monkeypatch.setattr(cores, "cores", lambda: 3)
    monkeypatch.setattr(cores, "together", lambda compute, parts: shares.append(len(parts)) or together(compute, parts))
    yield shares


@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("seed", range(40))
def test_shares_give_the_numbers_of_the_whole(kind: str, seed: int, three: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    c = drawn_case(kind, 100 + seed, 12)
    found = found_by(getattr(compiled, kind), c)
    assert len(three) >= 4 and (max(three) > 1 or c[2].B == 1)
    monkeypatch.setattr(cores, "cores", lambda: 1)
    for a, b in zip(found, found_by(getattr(compiled, kind), c), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


def test_shares_are_neighbours_and_have_about_as_much_to_do() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        B, T, count = (int(rng.integers(1, high)) for high in (40, 20, 9))
        lengths = sorted(rng.integers(1, T + 1, B), reverse=True)
        steps = Steps([sum(length > t for length in lengths) for t in range(lengths[0])])
        assert list(cores.lengths(steps)) == lengths
        shares = cores.balanced(steps, count)
        assert [row for low, high in shares for row in range(low, high)] == list(range(B)) and len(shares) <= count
        most = max(sum(lengths[low:high]) for low, high in shares)
        assert most <= -(-sum(lengths) // count) + T


def test_steps_stand_in_groups_with_some_rows_each() -> None:
    few, many = places(Steps([1] * 100), 1), places(Steps([100] * 3), 1)
    assert few.groups.tolist() == [0, 64, 100] and many.groups.tolist() == [0, 1, 2, 3]
    assert places(Steps([30, 30, 5, 1, 1]), 1).groups.tolist() == [0, 2, 5] and places(Steps([0, 0]), 1).groups.tolist() == [0, 2]


def test_small_batches_and_small_layers_are_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "cores", lambda: 2)
    for T, B, products, count in ((100, 5, 2**16, 1), (100, 6, 2**16, 2), (1, 8, 2**16, 1), (100, 64, 2, 1), (100, 64, 2**16, 2)):
        assert len(cores.shares(Steps([B] * T), products)) == count, (T, B, products)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_layer_gives_the_numbers_of_its_cell(kind: str, three: list[int]) -> None:
    mg.manual_seed(1)
    layer: Any = getattr(nn, kind)(3, 4, num_layers=2, bidirectional=True)
    x = mg.randn(5, 7, 3, requires_grad=True)
    packed = nn.utils.rnn.pack_padded_sequence(x, mg.tensor([5, 1, 3, 2, 5, 4, 1]), enforce_sorted=False)
    found = []
    for path in ("fused", "stepwise"):
        with nn.path(path):
            output, _ = layer(packed)
        gradients = mg.autograd.grad((output.data**2).sum(), [x, *layer.parameters()])
        found.append([output.data.detach().numpy(), *(each.numpy() for each in gradients)])
    assert set(three) == {3}
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", GATES)
def test_arrays_that_do_not_fit_are_told_before_loops_read_beyond_them(kind: str) -> None:
    layer, F = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[kind](3, 8), GATES[kind] * 8
    wrong = {
        "weight_ih_l0": [(F, 2), (F, 4), (F - 1, 3), (F + 1, 3), (F * 3,)], "weight_hh_l0": [(F, 7), (F - 8, 8), (F, 9)],
        "bias_ih_l0": [(1,), (F - 1,), (F + 1,), (F, 1)], "bias_hh_l0": [(1,), (F + 1,)],
    }  # fmt: skip
    given = [(name, np.zeros(shape, np.float32)) for name, shapes in wrong.items() for shape in shapes]
    given += [(name, np.zeros((F, 8)[: 1 if "bias" in name else 2])) for name in ("weight_hh_l0", "bias_ih_l0", "bias_hh_l0")]
    for name, array in given:
        before = getattr(layer, name).data
        getattr(layer, name).data = mg.from_numpy(array)
        with pytest.raises(RuntimeError, match="must be float32 of shape"), mg.no_grad():
            layer(mg.zeros(2, 4, 3))
        getattr(layer, name).data = before
    fewer = nn.utils.rnn.PackedSequence(mg.zeros(3, 3), mg.tensor([4, 4]))
    with pytest.raises((RuntimeError, ValueError)):
        layer(fewer)
    assert layer(mg.zeros(2, 4, 3))[0].shape == (2, 4, 8)


def test_an_error_in_any_share_is_told() -> None:
    for bad in range(3):
        done = []

        def compute(low: int, high: int, bad: int = bad, done: Any = done) -> None:
            if low == bad:
                raise ZeroDivisionError(low)
            done.append(low)

        with pytest.raises(ZeroDivisionError, match=str(bad)):
            cores.together(compute, [(0, 1), (1, 2), (2, 3)])
        assert sorted(done) == [each for each in range(3) if each != bad] or bad == 0


def test_overflow_says_no_word_in_any_thread(three: None) -> None:
    layer = nn.RNN(3, 4, nonlinearity="relu")
    with warnings.catch_warnings(), mg.no_grad():
        warnings.simplefilter("error")
        for weight in layer.parameters():
            weight.fill_(3e38)
        assert mg.isinf(layer(mg.ones(4, 6, 3))[0]).any()


def test_layers_in_several_threads_of_the_program(three: None) -> None:
    layer, x = nn.GRU(3, 4), mg.randn(6, 8, 3)
    want, found = layer(x)[0].detach().numpy(), []
    threads = [threading.Thread(target=lambda: found.extend(layer(x)[0].detach().numpy() for _ in range(20))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80 and all(np.array_equal(each, want) for each in found)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own(three: list[int]) -> None:
    layer, x = nn.RNN(3, 4), mg.randn(6, 8, 3)
    want = layer(x)[0].detach().numpy()
    child = os.fork()
    if not child:
        os._exit(0 if np.array_equal(layer(x)[0].detach().numpy(), want) else 1)
    finished = threading.Event()
    threading.Timer(60, lambda: finished.is_set() or os.kill(child, 9)).start()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finished.set()
    assert status == 0


def test_a_thread_goes_on_after_the_main_thread() -> None:
    done = in_process("""if True:
        import threading
        import minigrad as mg, minigrad_nn as nn
        from minigrad_nn.kernels.compiled import cores

        cores.FEWEST_ROWS, cores.FEWEST_MULTIPLICATIONS, cores.cores = 1, 1, lambda: 3

        def train():
            threading.main_thread().join()
            layer, x = nn.GRU(3, 4), mg.randn(6, 8, 3)
            layer(x)[0].sum().backward()
            print(tuple(layer.weight_hh_l0.grad.shape))

        threading.Thread(target=train).start()""")
    assert (done.returncode, done.stdout, done.stderr) == (0, "(12, 4)\n", "")


WAITING = """
import {first}
import numpy, threading
numpy.ones((300, 300), "f") @ numpy.ones((300, 300), "f")
import minigrad, minigrad_nn
from minigrad_nn.kernels.compiled import cores
{then}
layer, shares, together = minigrad_nn.LSTM(64, 64), [], cores.together
cores.together = lambda compute, parts: shares.append(len(parts)) or together(compute, parts)
layer(minigrad.zeros(50, 64, 64))
print(*shares)
numpy.ones((300, 300), "f") @ numpy.ones((300, 300), "f")
"""
ANOTHER = "threading.Thread(target=threading.Event().wait, daemon=True).start()"


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="there is one core")
@pytest.mark.parametrize(
    ("first", "then", "setting", "shares"),
    [
        ("minigrad", "", "", "2"), ("minigrad", ANOTHER, "", "2"), ("numpy", "", "", "2"), ("numpy", ANOTHER, "", "1"),
        ("numpy", ANOTHER, "20", "2"), ("minigrad", "", "26", "1"), ("numpy", "", "26", "1"),
    ],
)  # fmt: skip
def test_a_batch_is_shared_where_idle_threads_leave_their_cores(first: str, then: str, setting: str, shares: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_THREAD_TIMEOUT"}
    environment |= {"OPENBLAS_NUM_THREADS": "2", "MINIGRAD_DEVICE": "cpu"} | ({"OPENBLAS_THREAD_TIMEOUT": setting} if setting else {})
    program = [sys.executable, "-c", WAITING.format(first=first, then=then)]
    assert subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout.strip() == shares


@pytest.mark.parametrize(
    ("setting", "restarts"),
    [("20", 1), ("22", 1), ("0", 0), ("00", 0), ("-3", 0), ("abc", 0), ("", 0), ("\u0663", 0), ("23", 0), ("9" * 11, 0)],
)
def test_threads_of_numpy_are_begun_anew_only_where_that_helps(setting: str, restarts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    monkeypatch.setenv("OPENBLAS_THREAD_TIMEOUT", setting)
    monkeypatch.setattr(cores.threading, "active_count", lambda: 1)
    blas = SimpleNamespace(
        openblas_thread_timeout=lambda: int(begun[0]) if begun else 0,
        openblas_read_env=lambda: begun.append(os.environ["OPENBLAS_THREAD_TIMEOUT"]),
        blas_thread_shutdown_=lambda: None,
    )
    assert [cores._sleeps_soon(blas) for _ in range(3)] == [restarts > 0] * 3 and len(begun) == restarts


# ------------------------------------------------------------------------------------------------------ when they serve


@pytest.fixture
def wanted() -> Iterator[Any]:
    """A function that says whether compiled loops are wanted; the choice ends with the test."""
    yield lambda value: setattr(compiled.choice, "wanted", value)
    compiled.choice.wanted = None


def test_compiled_loops_are_used_where_they_can_be_and_wanted(wanted: Any) -> None:
    xp, single = of(np.zeros(1)), np.dtype(np.float32)
    chosen = lambda dtype, **options: choose("lstm", 3, dtype, xp, **options)
    assert chosen(single) is compiled.lstm and chosen(single, kernel="arrays") is ARRAYS.lstm
    for dtype in (np.dtype(np.float64), np.dtype(np.float16), single.newbyteorder()):
        assert chosen(dtype) is ARRAYS.lstm
    assert chosen(single, projection=True) is ARRAYS.lstm
    assert (
        choose("gru", 3, single, xp, reset_after=False) is ARRAYS.gru and choose("rnn", 3, single, xp, activation="sigmoid") is ARRAYS.rnn
    )
    large = lambda B, **options: choose("lstm", 512, single, xp, B=B, **options)
    assert large(1) is ARRAYS.lstm and large(2) is large(None) is large(1, kernel="compiled") is compiled.lstm
    wanted(False)
    assert chosen(single) is ARRAYS.lstm
    with pytest.raises(ValueError, match=r"of the kernels tried \(compiled\), none computes this lstm"):
        chosen(single, kernel="compiled")


def test_a_way_back_ends_as_it_began(wanted: Any) -> None:
    layer, x = nn.LSTM(3, 4), mg.randn(5, 2, 3, requires_grad=True)
    y = layer(x)[0].sum()
    wanted(False)
    y.backward()
    found, x.grad = x.grad, None
    layer(x)[0].sum().backward()
    np.testing.assert_allclose(found.numpy(), x.grad.numpy(), rtol=1e-5, atol=1e-6)


def test_the_compiled_tanh_is_tanh_to_the_last_digits() -> None:
    a = np.concatenate([np.linspace(-12, 12, 20001), [np.inf, -np.inf, np.nan, 0.0, -0.0, 1e-30, -3e38]]).astype(np.float32)
    got, want = np.array([loops.tanh(each) for each in a]), np.tanh(a.astype(np.float64))
    assert np.nanmax(np.abs(got - want)) < 4e-7 and (np.isnan(got) == np.isnan(want)).all()
    assert np.abs(got[~np.isnan(got)]).max() <= 1


def test_compiled_gates_can_be_shut_altogether() -> None:
    for a in (20, 1000, 3e38, np.inf):
        a = np.float32(a)
        assert [loops.tanh(a), loops.tanh(-a), loops.sigmoid(a), loops.sigmoid(-a)] == [1, -1, 1, 0]


@pytest.mark.parametrize("kernel", [compiled.lstm, ARRAYS.lstm], ids=["compiled", "arrays"])
def test_a_forget_gate_that_is_shut_lets_nothing_through(kernel: Any) -> None:
    x, c_0, b = np.zeros((1, 1), np.float32), np.full((1, 1), 1e30, np.float32), np.array([0, -np.inf, 0, 0], np.float32)
    _, _, c_n, _ = kernel.forward(x, Steps([1]), None, c_0, (np.ones((4, 1), np.float32),) * 2 + (b, None, None), keep=False)
    assert c_n.item() == 0


FIRST_LAYER = """
import sys, warnings
import minigrad, minigrad_nn
assert "numba" not in sys.modules, "loaded before anybody needs it"
from minigrad_nn.kernels import compiled
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for layer in (minigrad_nn.LSTM(3, 2), minigrad_nn.GRU(3, 2)):
        layer(minigrad.ones(4, 1, 3))[0].sum().backward()
print(*[each.message for each in caught], "loaded" if "minigrad_nn.kernels.compiled.loops" in sys.modules else "", sep="\\n")
compiled.choice.wanted = True
try:
    layer(minigrad.ones(4, 1, 3))
except Exception as error:
    print("asked for:", type(error).__name__)
"""


def first_layer(*path: Path, **settings: str) -> str:
    """What a new process says that computes its first layers with these folders in front, and this in its environment."""
    folders = [str(each) for each in (*path, Path(__file__).parents[1])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(folders), "MINIGRAD_DEVICE": "cpu"} | settings
    command = [sys.executable, "-c", FIRST_LAYER]
    done = subprocess.run(command, cwd=folders[0], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.host_only("compiled for the CPU")
@pytest.mark.parametrize("content", ["raise ImportError('no such numpy')", "def __getattr__(name): raise TypeError('no such option')"])
def test_a_numba_that_cannot_be_used_is_named_once(content: str, tmp_path: Path) -> None:
    (tmp_path / "numba").mkdir()
    (tmp_path / "numba" / "__init__.py").write_text(content)
    said = first_layer(tmp_path)
    assert said.count("Numba is installed but cannot be used here") == 1 and "no such " in said
    assert "asked for: " in said


@pytest.mark.host_only("compiled for the CPU")
def test_where_numba_is_switched_off_numpy_computes() -> None:
    assert first_layer(NUMBA_DISABLE_JIT="1") == "asked for: ImportError"


@pytest.mark.host_only("compiled for the CPU")
def test_loops_are_compiled_without_a_place_to_keep_them_and_where_what_was_kept_is_damaged(tmp_path: Path) -> None:
    pytest.importorskip("numba")
    root = Path(__file__).parents[1]
    for name in ("minigrad", "minigrad_nn"):
        shutil.copytree(root / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    kept = tmp_path / "minigrad_nn" / "kernels" / "compiled" / "__pycache__"
    nowhere = {"XDG_CACHE_HOME": "/dev/null/x", "HOME": "/dev/null/x", "PYTHONDONTWRITEBYTECODE": "1", "NUMBA_CACHE_DIR": ""}
    kept.write_text("in the way of a folder")
    assert first_layer(tmp_path, **nowhere) == "loaded"
    kept.unlink()
    assert first_layer(tmp_path, **nowhere) == "loaded"
    indices = list(kept.glob("*.nbi"))
    assert indices
    for index in indices:
        index.write_bytes(index.read_bytes()[:40])
    assert first_layer(tmp_path, **nowhere) == "loaded"


def test_what_was_compiled_with_other_tiles_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiles = sys.modules["minigrad_nn.kernels.compiled.tiles"]
    file = tmp_path / "doubling.py"
    file.write_text("""if True:
        import numba
        from numba import types
        from minigrad_nn.kernels.compiled.tiles import compiled

        def double(a):
            return 2 * a

        double = compiled(numba.njit, types.int64(types.int64), double)""")

    def hits() -> int:
        module = runpy.run_path(str(file))
        assert module["double"](4) == 8
        return sum(module["double"].stats.cache_hits.values())

    monkeypatch.setattr(pytest.importorskip("numba").config, "CACHE_DIR", str(tmp_path / "kept"))
    assert [hits(), hits()] == [0, 1]
    monkeypatch.setattr(tiles, "VERSION", tiles.VERSION ^ 1)
    assert [hits(), hits()] == [0, 1]
