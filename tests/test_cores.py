"""A batch shared among cores: the numbers of one that is not, whatever its lengths; what is left behind afterwards."""

import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad_nn as nn
from minigrad_nn.kernels import cores
from minigrad_nn.kernels.choose import ARRAYS
from minigrad_nn.kernels.steps import Steps

loops: Any = pytest.importorskip("minigrad_nn.kernels.loops", exc_type=ImportError, reason="the batch is shared where Numba is installed")
pytestmark = pytest.mark.host_only("cores of a CPU")


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Three cores, for however small a batch; yields how many threads products were told to use."""
    told: list[int] = []
    monkeypatch.setattr(cores, "FEWEST_ROWS", 1)
    monkeypatch.setattr(cores, "FEWEST_PRODUCTS", 0)
    monkeypatch.setattr(loops, "threads", lambda: 3)
    monkeypatch.setattr(loops, "threads_wait_briefly", lambda: True)
    monkeypatch.setattr(loops, "use_threads", told.append)
    yield told


def drawn(rng: Any, *shape: int) -> Any:
    return rng.standard_normal(shape).astype(np.float32)


OPTIONS: dict[str, list[dict[str, Any]]] = {
    "rnn": [{"activation": "tanh"}, {"activation": "relu"}],
    "lstm": [{}],
    "gru": [{}, {"reset_after": True}],
}
GATES = {"rnn": 1, "lstm": 4, "gru": 3}


@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("seed", range(40))
def test_shares_give_the_numbers_of_the_whole(kind: str, seed: int, three: list[int]) -> None:
    rng = np.random.default_rng(seed)
    T, B, I, H = (int(rng.integers(low, high)) for low, high in ((1, 7), (3, 12), (1, 5), (1, 6)))
    lengths = np.sort(rng.integers(1, T + 1, B))[::-1] if seed % 2 else [T] * B
    steps = Steps([int(sum(length > t for length in lengths)) for t in range(int(max(lengths)))], reverse=seed % 3 == 0)
    weights: Any = [drawn(rng, GATES[kind] * H, I), drawn(rng, GATES[kind] * H, H), *(drawn(rng, GATES[kind] * H) for _ in range(2))]
    if seed % 5 == 0:
        weights[2:] = [None, None]
    weights = (*weights, None) if kind == "lstm" else tuple(weights)
    count = 2 if kind == "lstm" else 1
    states = [drawn(rng, B, H) if rng.random() < 0.7 else None for _ in range(count)]
    dys = [drawn(rng, steps.N, H), *(drawn(rng, B, H) for _ in range(count)), *([drawn(rng, steps.N, H)] if kind == "lstm" else [])]
    dys = [dy if place == 0 or rng.random() < 0.6 else None for place, dy in enumerate(dys)]
    names = [name for name in ("x", "h_0", "c_0", "w_ih", "w_hh", "b_ih", "b_hh") if name in getattr(ARRAYS, kind).NAMES]
    wanted = [name for name in names if rng.random() < 0.8]
    option, x = OPTIONS[kind][seed % len(OPTIONS[kind])], drawn(rng, steps.N, I)
    shared = getattr(ARRAYS, kind)
    found = []
    for kernel in (shared, shared.kernel):
        *values, saved = kernel.forward(x, steps, *states, weights, keep=True, **option)
        gradients = kernel.backward(saved, x, values[0], states[0], weights, *dys, wanted)
        looked = {**saved.gates(), **({"c": saved.cells()} if kind == "lstm" else {})}
        kept = sum(array.size for array in saved.arrays)
        found.append([*values, *(gradients[name] for name in wanted), *looked.values(), np.array(kept)])
        assert set(gradients) == set(wanted)
    assert three == [1, 3, 1, 3]  # one thread for each core's products, and as many as before afterwards
    for a, b in zip(*found, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


def test_without_keep_nothing_is_kept(three: list[int]) -> None:
    x, weights = np.ones((8, 2), np.float32), (np.ones((3, 2), np.float32), np.ones((3, 3), np.float32), None, None)
    assert ARRAYS.rnn.forward(x, Steps([4, 4]), None, weights, keep=False, activation="tanh")[-1] is None
    assert three == [1, 3]


def test_small_batches_and_small_layers_are_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    shared: list[int] = []
    monkeypatch.setattr(loops, "threads", lambda: 2)
    monkeypatch.setattr(loops, "threads_wait_briefly", lambda: True)
    monkeypatch.setattr(cores, "together", lambda loops, compute, shares: shared.append(len(shares)) or list(map(compute, shares)))
    for T, B, H, parts in ((100, 31, 64, []), (100, 32, 64, [2]), (2, 32, 64, []), (100, 32, 2, [])):
        nn.LSTM(3, H, path="fused")(mg.zeros(T, B, 3))
        assert shared == parts, (T, B, H)
        shared.clear()


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
    assert three
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_an_error_in_any_share_is_told_and_threads_are_as_before(three: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    for bad in range(3):

        def compute(share: int, bad: int = bad) -> int:
            if share == bad:
                raise ZeroDivisionError(share)
            return share

        with pytest.raises(ZeroDivisionError, match=str(bad)):
            cores.together(loops, compute, [0, 1, 2])
        assert cores.together(loops, lambda share: share, [0, 1, 2]) == [0, 1, 2]
    assert three == [1, 3] * 6


def test_overflow_says_no_word_in_any_thread(three: list[int]) -> None:
    layer = nn.RNN(3, 4, nonlinearity="relu")
    with warnings.catch_warnings(), mg.no_grad():
        warnings.simplefilter("error")
        for weight in layer.parameters():
            weight.fill_(3e38)
        assert mg.isinf(layer(mg.ones(4, 6, 3))[0]).any()


def test_layers_in_several_threads_of_the_program(three: list[int]) -> None:
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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_while_a_layer_has_all_cores_others_know_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [3]
    monkeypatch.setattr(loops, "threads", lambda: told[-1])
    monkeypatch.setattr(loops, "use_threads", told.append)

    def compute(share: int) -> int:
        if share:
            return 0
        child = os.fork()
        if not child:  # here products are held to one thread, until a layer has been shared
            counted = cores.threads_of_a_product(loops)
            cores.together(loops, lambda share: share, [1, 2])
            os._exit(0 if counted == told[-1] == 3 else 1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) + 3 - cores.threads_of_a_product(loops)

    assert cores.together(loops, compute, [0, 1]) == [0, 0] and told == [3, 1, 3]


def test_a_thread_goes_on_after_the_main_thread() -> None:
    program = """if True:
        import threading
        import minigrad as mg, minigrad_nn as nn
        from minigrad_nn.kernels import cores, loops

        cores.FEWEST_ROWS, cores.FEWEST_PRODUCTS, loops.threads = 1, 0, lambda: 3

        def train():
            threading.main_thread().join()
            layer, x = nn.GRU(3, 4), mg.randn(6, 8, 3)
            layer(x)[0].sum().backward()
            print(tuple(layer.weight_hh_l0.grad.shape))

        threading.Thread(target=train).start()"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (told.returncode, told.stdout, told.stderr) == (0, "(12, 4)\n", "")


WAITING = """
import {first}
import minigrad, minigrad_nn
from minigrad_nn.kernels import cores, loops
layer, shared = minigrad_nn.LSTM(64, 64), []
together = cores.together
cores.together = lambda *given: shared.append(given) or together(*given)
layer(minigrad.zeros(50, 64, 64))
print(loops.threads_wait_briefly(), bool(shared))
"""


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="there is one core")
@pytest.mark.parametrize(
    ("first", "setting", "says"),
    [("minigrad", None, "True True"), ("numpy", None, "False False"), ("numpy", "20", "True True"), ("minigrad", "26", "False False")],
)
def test_a_batch_is_shared_where_idle_threads_leave_their_cores(first: str, setting: str | None, says: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_THREAD_TIMEOUT"}
    environment |= {"OPENBLAS_NUM_THREADS": "2", **({"OPENBLAS_THREAD_TIMEOUT": setting} if setting else {})}
    program = [sys.executable, "-c", WAITING.format(first=first)]
    root = Path(__file__).parents[1]
    assert subprocess.run(program, cwd=root, env=environment, capture_output=True, text=True, check=True).stdout.strip() == says


def test_another_blas_is_named() -> None:
    products = sys.modules["minigrad_nn.kernels.products"]
    with pytest.raises(ImportError, match=r"OpenBLAS of NumPy's own wheels, but this NumPy .* has no scipy_nothing64_"):
        products.function_of_blas("nothing")
