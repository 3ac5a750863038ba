"""Both directions of a layer on two streams: the same numbers, at the same time, and nothing read or lent out too early.

Whether a wait is missing, the watch of streams.py tells; that it does, the tests that take out one after the other.
"""

import threading
import types
from pathlib import Path

import numpy as np
import pytest
from compare import host
from emulator import Emulator, is_there
from streams import watching

import minigrad as mg
import minigrad_nn as nn
from minigrad.backend import Later, Part, Product
from minigrad_nn.kernels import cuda
from minigrad_nn.kernels.cuda import beside, launch, spread, steps
from minigrad_nn.utils.rnn import PackedSequence

pytestmark = [pytest.mark.host_only("names its devices"), pytest.mark.skipif(not is_there(), reason="emulating needs g++")]
KINDS = ("RNN", "LSTM", "GRU")


@pytest.fixture(autouse=True)
def device(monkeypatch):
    """The strict device, whose kernels are emulated; a small one, of six multiprocessors."""
    stand_in = Emulator()
    stand_in.blocks_at_once = 6
    monkeypatch.setitem(launch.LAUNCHERS, "strict", stand_in)
    monkeypatch.setattr(beside, "_seconds", {})
    mg.set_default_device("strict")
    return stand_in


def let_all_be_spread(monkeypatch):
    """d2 for layers of any size, with few warps in a block, so that a crew has several."""
    monkeypatch.setattr(spread, "WARPS", 4)
    for module in (cuda.rnn, cuda.lstm, cuda.gru):
        monkeypatch.setattr(module, "MOST", 0)
        module.spread_out.cache_clear()


def case(kind, H=5, packed=False, states=False, layers=2):
    """(layer, input, states): everything that can want a gradient."""
    mg.manual_seed(0)
    layer = getattr(nn, kind)(3, H, layers, bidirectional=True)
    x = mg.randn(5, 3, requires_grad=True) if packed else mg.randn(3, 2, 3, requires_grad=True)
    entering = [mg.randn(2 * layers, 2, H, requires_grad=True) for _ in range(1 + (kind == "LSTM"))] if states else []
    return layer, x, entering


def trained(kind, kernel, use=lambda output, last: (output * output).sum() + sum((each**3).sum() for each in last), **options):
    """All values and gradients of a step, as arrays."""
    layer, x, entering = case(kind, **options)
    given = PackedSequence(x, mg.tensor([2, 2, 1], device="cpu")) if options.get("packed") else x
    with nn.path("fused", kernel=kernel):
        output, last = layer(given, None if not entering else entering[0] if len(entering) == 1 else tuple(entering))
        last = last if isinstance(last, tuple) else (last,)
        use(output.data if options.get("packed") else output, last).backward()
    grads = [each.grad for each in (x, *entering, *layer.parameters())]
    return [output.data if options.get("packed") else output, *last, *grads]


def same(one, other):
    for want, got in zip(one, other, strict=True):
        assert (want is None) == (got is None)
        if want is not None:
            np.testing.assert_allclose(host(got), host(want), 2e-5, 2e-5)


def at_once(watch, way):
    """How many pairs of these launches may run at the same time."""
    found = [each for each in watch.launches if way in each.name]
    return sum(one.may_run_with(other) for k, one in enumerate(found) for other in found[:k])


@pytest.mark.parametrize("design", ["d1", "d2"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("packed", [False, True], ids=["padded", "packed"])
@pytest.mark.parametrize("states", [False, True], ids=["without states", "with states"])
def test_both_directions_at_once_give_the_same(kind, packed, states, design, monkeypatch):
    want = trained(kind, "arrays", packed=packed, states=states)
    if design == "d2":
        let_all_be_spread(monkeypatch)
    with watching() as watch:
        got = trained(kind, design, packed=packed, states=states)
    same(want, got)
    assert watch.problems == []
    assert at_once(watch, "_forward") == 2  # once in each layer
    assert at_once(watch, "_backward") == (0 if states else 2)  # the gradient of an initial state stands between the two
    assert any("spread" in each.name for each in watch.launches) == (design == "d2")


USES = {
    "forward only": lambda output, last: (output[..., :5] ** 2).sum(),
    "reverse only": lambda output, last: (output[..., 5:] ** 2).sum(),
    "last states only": lambda output, last: sum((each[-1] ** 3).sum() for each in last),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("use", USES)
def test_a_loss_of_some_outputs(kind, use):
    want = trained(kind, "arrays", USES[use])
    with watching() as watch:
        got = trained(kind, "d1", USES[use])
    same(want, got)
    assert watch.problems == []


def test_what_comes_before_and_after_the_layer_at_the_same_input():
    """Its gradient is added up from a `Later` and others, of each form, that are there before or come after."""
    found = []
    for kernel in ("arrays", "d1"):
        layer, x, _ = case("LSTM", layers=1)
        matrix = mg.randn(3, 4, requires_grad=True)
        with watching() as watch, nn.path("fused", kernel=kernel):
            flat = x.reshape(6, 3).sigmoid()
            before = [(flat @ matrix).sum(), flat[1].sum() * 2, (flat * flat).sum(), flat[mg.tensor([0, 0, 2])].sum()]
            output, _ = layer(flat.unsqueeze(1))
            again, _ = layer(flat.unsqueeze(1))
            after = [(flat @ matrix).sum(), flat[1].sum() * 3, (flat * flat).sum(), flat[mg.tensor([0, 0, 2])].sum()]
            (sum(before) + (output**2).sum() + again.sum() + sum(after)).backward()
        assert watch.problems == []
        found.append([x.grad, matrix.grad, *[each.grad for each in layer.parameters()]])
    same(*found)


def test_without_gradients_for_one_layer_or_for_the_weights_alone():
    found = []
    for kernel in ("arrays", "d1"):
        layer, x, _ = case("GRU")
        with watching() as watch, nn.path("fused", kernel=kernel):
            with mg.no_grad():
                output, _ = layer(x)
            y, _ = layer(x.detach())
            y.sum().backward(retain_graph=True)
            (y * 2).sum().backward()
            z, _ = layer(x)
            (dx,) = mg.autograd.grad((z**2).sum(), [x])
        assert watch.problems == []
        found.append([output, dx, *[each.grad for each in layer.parameters()]])
    same(*found)


def test_hooks_and_those_who_look_on_read_what_is_there():
    layer, x, _ = case("LSTM")
    seen = []
    with watching() as watch, nn.path("fused", kernel="d1"):
        output, _ = layer(x)
        node = output.grad_fn
        while node is not None:
            if node.name() == "LstmBackward0":
                node.register_hook(lambda inputs, outputs: seen.extend(each.array + 0 for each in inputs if each is not None))
            node = next((each for each, _ in node.next_functions if each is not None), None)
        layer.weight_ih_l0_reverse.register_hook(lambda gradient: gradient * 2)
        output.sum().backward()
        with mg.autograd.detect_anomaly():
            layer(x)[0].sum().backward()
        layer(x, return_steps=True)[0].sum().backward()
    assert seen and watch.problems == []


def test_gradients_of_gradients():
    found = []
    for kernel in ("arrays", "d1"):
        layer, x, _ = case("GRU", layers=1)
        with watching() as watch, nn.path("fused", kernel=kernel):
            output, _ = layer(x)
            (dx,) = mg.autograd.grad((output**2).sum(), [x], create_graph=True)
            (dx**2).sum().backward()
        assert watch.problems == []
        found.append([dx, x.grad, *[each.grad for each in layer.parameters()]])
    same(*found)


@pytest.mark.parametrize("kind", KINDS)
def test_kernels_that_do_not_fit_together_come_one_after_the_other(kind, device, monkeypatch):
    """Half of the device has not the registers for the weights, so each direction gets all of it."""
    let_all_be_spread(monkeypatch)
    H = 64 if kind == "RNN" else 16
    want = trained(kind, "arrays", H=H)
    whole = getattr(cuda, kind.lower()).spread_out(H, spread.Room(6))
    monkeypatch.setattr(spread, "fits", lambda xp, kernel: kernel.blocks * kernel.crews > 3)
    with watching() as watch:
        same(want, trained(kind, "d2", H=H))
    assert watch.problems == []
    assert at_once(watch, "_forward") == at_once(watch, "_backward") == 0
    assert {each.blocks for each in watch.launches} == {each.blocks * min(2, each.crews) for each in whole}  # for two rows


def test_halves_of_the_device_have_room_for_both_and_large_layers_have_none(device):
    device.blocks_at_once = 132
    there = mg.backend.on(mg.device("strict"))
    for module, fitting in ((cuda.lstm, 512), (cuda.gru, 512), (cuda.rnn, 512)):
        whole, halves = module.kernels(there, fitting), module.kernels(there, fitting, paired=True)
        assert all(2 * each.blocks * each.crews <= 132 and launch.fits(there, each) for each in halves)
        assert all(each.blocks * each.crews > 66 for each in whole)
    assert cuda.lstm.kernels(there, 1024, paired=True) == cuda.lstm.kernels(there, 1024)
    assert cuda.lstm.kernels(there, 64, paired=True) == cuda.lstm.kernels(there, 64)
    device.blocks_at_once = 1
    assert cuda.lstm.kernels(there, 129, paired=True) == cuda.lstm.kernels(there, 129)


def two_layers_go_back():
    """The second, of one direction, while nobody has asked for the gradients of the first."""
    both, x, _ = case("GRU", layers=1)
    one, _ = nn.GRU(3, 24)(x.detach())
    output, _ = both(x.detach())
    (output.sum() + one.sum()).backward()


def test_a_layer_of_one_direction_waits_for_what_runs_beside(monkeypatch):
    """Its kernel wants the whole device, of which half is taken."""
    let_all_be_spread(monkeypatch)
    with watching() as watch:
        two_layers_go_back()
    assert watch.problems == [] and at_once(watch, "backward") == 1
    assert [each.blocks for each in watch.launches if "backward" in each.name] == [2, 2, 6]


# --------------------------------------------------------------------------------------------- every wait is needed

FORK, START = "        _after(cupy, cupy.cuda.get_current_stream(), second)  # fork\n", "        with second:\n            start()\n"
WAIT = "        _wait_for_second(xp.library)\n"
WAITS = [
    (beside, FORK, "", "d1"),
    (beside, f"{FORK}{START}", f"{START}{FORK}", "d1"),
    (beside, ".append(given)", ".append(None)", "d1"),
    (beside, f"{WAIT}        held", "        held", "d1"),
    (beside, f"    {WAIT}        start()", "            pass\n        start()", "one"),
    (beside, f"    {WAIT}        start()", f"            start()\n{WAIT}", "one"),
    (steps, "        join(xp)  # what comes", "        pass  # what comes", "d1"),
    (steps, "        if later:\n            join(xp)\n", "", "d1"),
    (launch, "2 * crews * kernel.blocks > launcher", "crews * kernel.blocks > launcher", "full"),
]  # fmt: skip


@pytest.mark.parametrize("place", range(len(WAITS)))
def test_every_wait_is_needed(place, monkeypatch):
    """Without it, the watch tells of a race, of memory lent out too early, or of blocks without room."""
    module, old, new, how = WAITS[place]
    text = Path(module.__file__).read_text(encoding="utf-8")
    assert text.count(old) == 1
    changed = dict(vars(module))
    exec(compile(text.replace(old, new), module.__file__, "exec"), changed)
    for name, function in vars(module).items():
        if isinstance(function, types.FunctionType) and function.__module__ == module.__name__ and hasattr(changed[name], "__code__"):
            monkeypatch.setattr(function, "__code__", changed[name].__code__)
    if how != "d1":
        let_all_be_spread(monkeypatch)
    if how == "full":
        monkeypatch.setattr(spread, "fits", lambda xp, kernel: kernel.blocks * kernel.crews > 3)
    with watching() as watch:
        if how == "one":
            two_layers_go_back()
        else:
            trained("LSTM", None)
            with mg.no_grad():
                case("LSTM")[0](mg.randn(3, 2, 3))
    assert watch.problems


def test_the_second_stream_belongs_to_all_threads_and_what_is_held_to_one():
    xp, there = mg.backend.on(mg.device("strict")), []
    beside.join(xp)
    assert beside._seconds == {}  # nothing to wait for
    beside.launch_beside(xp, lambda: None, "held")

    def other():
        there.append(dict(beside._held.on))
        beside.join(xp)  # nothing of its own
        beside.launch_beside(xp, lambda: None, "its own")
        there.append(beside._seconds[0])

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert there == [{}, beside._seconds[0]] and beside._held.on[0] == ["held"]
    beside.join(xp)
    assert beside._held.on[0] == []


# ------------------------------------------------------------------------------------------------ gradients that wait


def later(calls, **values):
    def work_out():
        calls.append(1)
        return dict(values)

    return Later.several(work_out, values)


def test_what_is_waited_for_together_is_worked_out_once():
    calls, a, b = [], np.ones((2, 3)), np.ones(2)
    found = later(calls, a=a, b=b)
    assert found["a"].shape == (2, 3) and found["a"].dtype == a.dtype and not calls
    assert found["a"].begin() is found["a"] and not calls
    peeked = found["a"].peek()
    assert peeked is not a and np.array_equal(peeked, a)
    assert found["a"].whole() is found["a"].whole() is a and found["b"].whole() is b and calls == [1]


def test_sums_with_every_other_form():
    def forms():
        yield "array", np.full((2, 3), 5.0), False
        yield "own array", np.full((2, 3), 5.0), True
        yield "product", Product(np.full((2, 1), 5.0), np.ones((1, 3))), True
        yield "part", Part(np.full((1, 3), 5.0), (2, 3), slice(0, 1), False).begin(), True
        yield "later", later([], x=np.full((2, 3), 5.0))["x"], True

    whole = lambda given: given if isinstance(given, np.ndarray) else given.whole()
    for name, waiting, own in forms():
        expected = whole(waiting).copy() + 1
        before = whole(waiting).copy()
        total = later([], x=np.ones((2, 3)))["x"].join(waiting, own)
        np.testing.assert_array_equal(whole(total), expected, err_msg=name)
        assert own or np.array_equal(waiting, before), name
    for name, coming, _ in forms():
        waiting = later([], x=np.ones((2, 3)))["x"].begin()
        if isinstance(coming, np.ndarray):
            waiting += coming
        else:
            waiting = coming.join(waiting, True)
        np.testing.assert_array_equal(whole(waiting), whole(coming) + 1 if name != "later" else np.full((2, 3), 6.0), err_msg=name)
