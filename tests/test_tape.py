"""The tape: order, freeing, memory, modes, threads, hooks, places, changes in place, private gradients."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest
from compare import host, share_memory, writeable

import minigrad
import minigrad_nn as nn
from minigrad import autograd, tensor


def leaf(*numbers, **options):
    return tensor(list(numbers) if len(numbers) > 1 else numbers[0], requires_grad=True, dtype=minigrad.float64, **options)


# ----------------------------------------------------------------------------------------------------- order and numbers


def test_each_node_is_passed_once_however_many_paths_lead_to_it():
    a = leaf(3.0)
    b = a + a
    c = b + b
    c.backward()
    assert a.grad.item() == 4


def test_many_paths_cost_one_visit_each():
    x = leaf(1.0)
    y = x
    for _ in range(60):
        y = y + y
    y.backward()
    assert x.grad.item() == 2.0**60


def test_third_derivative_of_tanh():
    x = leaf(-1.0, 0.3, 2.0)
    y = x.tanh()
    derivatives = []
    for _ in range(3):
        (y,) = autograd.grad(y.sum(), x, create_graph=True)
        derivatives.append(host(y))
    t = np.tanh(host(x))
    s = 1 - t * t
    np.testing.assert_allclose(derivatives, [s, -2 * t * s, s * (6 * t * t - 2)])


def test_gradients_accumulate_until_they_are_taken_away():
    x = leaf(2.0)
    (x * x).backward()
    (x * 3).backward()
    assert x.grad.item() == 7
    x.grad = None
    (x * 3).backward()
    assert x.grad.item() == 3


def test_chain_of_100_000_nodes_goes_back_and_is_deleted():
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    y.backward()
    assert x.grad.item() == 1
    del y  # before it went backward, too:
    y = x
    for _ in range(100_000):
        y = y * 1.0
    del y


# ------------------------------------------------------------------------------------------------------ freeing, memory


def test_a_freed_graph_cannot_be_walked_again():
    x = leaf(2.0)
    y = x * x
    y.backward()
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        y.backward()


def test_retain_graph_keeps_it():
    x = leaf(2.0)
    y = x.exp() * x
    y.backward(retain_graph=True)
    first = x.grad.item()
    y.backward()
    assert x.grad.item() == pytest.approx(2 * first)


def test_several_losses_share_a_graph():
    x = leaf(1.0, 2.0)
    h = x * x
    h.sum().backward(retain_graph=True)
    (h * 2).sum().backward()
    assert x.grad.tolist() == [6, 12]


@pytest.mark.parametrize("create_graph", [False, True])
def test_memory_is_gone_without_the_collector(create_graph):
    """Inputs, outputs kept by tanh and exp, several outputs of one node: all die by reference counts alone."""
    gc.collect()
    gc.disable()
    try:
        x = leaf(1.0, 2.0)
        h = x.tanh()
        one, other = (h * h.exp()).split(1)
        loss = (one * other).softmax(0).sum() + h.sum()
        watched = [weakref.ref(each) for each in (h, one, other, loss, h.node, loss.node, h.array)]
        gradients = autograd.grad(loss, x, create_graph=create_graph)
        if create_graph:
            autograd.grad(gradients[0].sum(), x)
        del h, one, other, loss, gradients
        assert [reference() for reference in watched] == [None] * len(watched)
    finally:
        gc.enable()


def test_a_graph_never_walked_dies_too():
    gc.collect()
    gc.disable()
    try:
        x = leaf(1.0, 2.0)
        y = x.sigmoid().exp()
        watched = [weakref.ref(y), weakref.ref(y.node), weakref.ref(y.node.parents[0])]
        del y
        assert [reference() for reference in watched] == [None] * 3
    finally:
        gc.enable()


# ------------------------------------------------------------------------------------------------- what is asked, errors


def test_backward_from_several_elements_needs_a_gradient():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="sum"):
        (x * 2).backward()
    (x * 2).backward(tensor([1.0, 10.0], dtype=minigrad.float64))
    assert x.grad.tolist() == [2, 20]


def test_backward_from_what_wants_no_gradient():
    with pytest.raises(RuntimeError, match="does not require grad"):
        (tensor(1.0) * 2).backward()


def test_gradient_of_a_loss_that_is_nan_starts_from_one():
    x = leaf(float("inf"))
    y = x * 2.0
    y.backward()
    assert x.grad.item() == 2


def test_grad_of_unused_inputs():
    x, z = leaf(1.0), leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="allow_unused"):
        autograd.grad(x * 2, (x, z))
    assert autograd.grad(x * 2, (x, z), allow_unused=True)[1] is None
    assert autograd.grad(x * 2, (x, z), materialize_grads=True)[1].tolist() == [0, 0]


def test_grad_of_computed_tensors_and_of_itself():
    x = leaf(2.0)
    h = x * x
    y = h.exp()
    assert autograd.grad(y, (h, y), retain_graph=True)[1].item() == 1
    assert x.grad is None
    y.backward(inputs=[x])
    assert x.grad.item() == pytest.approx(4 * np.exp(4.0))


def test_create_graph_makes_gradients_differentiable():
    x = leaf(3.0)
    (first,) = autograd.grad(x**3, x, create_graph=True)
    (second,) = autograd.grad(first, x, create_graph=True)
    (third,) = autograd.grad(second, x)
    assert (first.item(), second.item(), third.item()) == (27, 18, 6)
    assert first.requires_grad and not third.requires_grad


# -------------------------------------------------------------------------------------------------------- grad mode


def test_modes_as_blocks_and_decorators():
    x = leaf(1.0)
    with minigrad.no_grad():
        assert not (x * 2).requires_grad
        with minigrad.enable_grad():
            assert (x * 2).requires_grad
        assert not minigrad.is_grad_enabled()

    @minigrad.no_grad()
    def off():
        return (x * 2).requires_grad

    @minigrad.set_grad_enabled(False)
    def off_too():
        return (x * 2).requires_grad

    @minigrad.enable_grad()
    def on():
        return (x * 2).requires_grad

    assert minigrad.is_grad_enabled()
    assert (off(), off_too()) == (False, False)
    with minigrad.no_grad():
        assert on()
    with minigrad.set_grad_enabled(False):
        assert not (x * 2).requires_grad
    minigrad.set_grad_enabled(False)
    assert not minigrad.is_grad_enabled()
    minigrad.set_grad_enabled(True)
    with pytest.raises(KeyError), minigrad.no_grad():
        raise KeyError
    assert minigrad.is_grad_enabled()


def test_a_generator_holds_its_mode_only_while_it_runs():
    @minigrad.no_grad()
    def numbers():
        yield minigrad.is_grad_enabled()
        yield minigrad.is_grad_enabled()

    seen = []
    for inside in numbers():
        seen.append((inside, minigrad.is_grad_enabled()))
    assert seen == [(False, True), (False, True)]


def test_modes_belong_to_threads():
    seen = []
    with minigrad.no_grad():
        thread = threading.Thread(target=lambda: seen.append(minigrad.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def train(seed, steps=60):
    numbers = np.random.default_rng(seed)
    W, b = (tensor(numbers.standard_normal(shape), requires_grad=True) for shape in ((4, 3), (4,)))
    x = tensor(numbers.standard_normal((5, 3)))
    for _ in range(steps):
        loss = ((minigrad.ops.linear(x, W, b).tanh() - 0.3) ** 2).mean()
        loss.backward()
        with minigrad.no_grad():
            for parameter in (W, b):
                parameter -= 0.1 * parameter.grad
                parameter.grad = None
    return host(W).copy()


def test_two_threads_train_as_each_would_alone():
    alone = [train(1), train(2)]
    results, here = [None, None], minigrad.get_default_device()

    def work(place):
        minigrad.set_default_device(here)  # a thread begins with the CPU
        results[place] = train(place + 1)

    threads = [threading.Thread(target=work, args=(place,)) for place in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(results, alone)


# ------------------------------------------------------------------------------------------------------------ hooks


def test_hooks_see_and_replace_gradients():
    x = leaf(1.0, 2.0)
    h = x * 3
    seen = []
    handle = h.register_hook(lambda gradient: seen.append(gradient.tolist()))
    h.register_hook(lambda gradient: gradient * 10)
    x.register_hook(lambda gradient: gradient + 1)
    (h * h).sum().backward(retain_graph=True)
    assert seen == [[6, 12]]
    assert x.grad.tolist() == [181, 361]
    handle.remove()
    (h * h).sum().backward()
    assert seen == [[6, 12]]


def test_a_hook_sees_the_whole_gradient_once():
    x = leaf(2.0)
    h = x * 1.0
    seen = []
    h.register_hook(lambda gradient: seen.append(gradient.item()))
    (h * 2 + h * 3).backward()
    assert seen == [5]


def test_a_hook_needs_a_gradient_to_wait_for():
    with pytest.raises(RuntimeError, match="requires grad"):
        tensor(1.0).register_hook(print)


def test_retain_grad():
    x = leaf(1.0, 2.0)
    h = x * 2
    h.retain_grad()
    (h * h).sum().backward()
    assert h.grad.tolist() == [4, 8]
    assert x.grad.tolist() == [8, 16]


# ------------------------------------------------------------------------------------- places, sources, what a trace sees


def test_detach_says_where_it_cut():
    x = leaf(1.0, 2.0)
    h = x.tanh()
    y = h.detach() * x
    assert y.grad_fn.parents[0].cut == h.grad_fn.number
    assert not h.detach().requires_grad


def test_nodes_know_scope_step_and_direction():
    x = leaf(1.0)
    with minigrad.scope("encoder"), minigrad.scope("cell"), minigrad.step(4, layer=1, direction="reverse"):
        y = x * 2
    z = x * 2
    assert (y.grad_fn.place.scope, y.grad_fn.place.step) == (("encoder", "cell"), 4)
    assert (y.grad_fn.place.layer, y.grad_fn.place.direction) == (1, "reverse")
    assert z.grad_fn.place.scope == ()


def test_numbers_rise_along_the_tape():
    x = leaf(1.0)
    h = x * 2
    y = h + x
    assert x.node.number < h.grad_fn.number < y.grad_fn.number
    assert [each for each, _ in y.grad_fn.next_functions] == [h.grad_fn, x.node]


def test_a_trace_counts_a_shared_buffer_once():
    x = minigrad.ones(100, requires_grad=True)  # 400 bytes
    with minigrad.trace() as seen:
        y = x * x  # keeps x, twice
        z = x.sin()  # keeps x again
        assert seen.held == 400
        w = y.exp()  # keeps its own value
        assert seen.held == 800
        loss = (w * 1.0).sum() + z.sum()
        loss.backward()
        assert (seen.held, seen.peak) == (0, 800)
    assert y.grad_fn.facts.line.split(":")[0] == __file__


def test_a_trace_notes_norms():
    x = minigrad.ones(4, requires_grad=True)
    with minigrad.trace() as seen:
        y = x * 3
        loss = y.sum()
        loss.backward()
    assert seen.nodes == 2
    assert loss.grad_fn.facts.gradients == [2.0]  # √4
    assert y.grad_fn.facts.gradients[0] == pytest.approx(6)


# -------------------------------------------------------------------------------------------------- changes in place


def test_a_kept_value_changed_in_place_is_refused():
    x = leaf(1.0, 2.0)
    h = x * 2
    y = h * h
    h += 1
    with pytest.raises(RuntimeError, match=r"MulBackward0.*\(2,\).*changed in place.*version 1"):
        y.sum().backward()


def test_so_is_one_changed_through_a_view_or_detached():
    for change in (lambda h: h[0].zero_(), lambda h: h.detach().zero_(), lambda h: h.view(2, 1).add_(1), lambda h: h.fill_(0)):
        h = leaf(1.0, 2.0) * 2
        y = h.exp()
        z = y * y
        change(y)
        with pytest.raises(RuntimeError, match="changed in place"):
            z.sum().backward()


def test_data_is_not_watched():
    x = leaf(1.0, 2.0)
    h = x * 2
    y = h * h
    h.data.zero_()
    y.sum().backward()
    assert x.grad.tolist() == [0, 0]


def test_a_leaf_cannot_be_changed_in_place():
    for change in (lambda x: x.add_(1), lambda x: x[0].fill_(0), lambda x: x.__setitem__(0, 1.0), lambda x: x.view(-1).mul_(2)):
        x = leaf(1.0, 2.0)
        with pytest.raises(RuntimeError, match="leaf"):
            change(x)
        with minigrad.no_grad():
            change(x)


def test_views_follow_changes_of_their_base_and_the_other_way():
    x = leaf(1.0, 2.0, 3.0)
    h = x * 1.0
    front, back = h[:2], h[1:]
    front.mul_(10)
    assert back.tolist() == [20, 3]
    (back.sum() + h[0]).backward()
    assert x.grad.tolist() == [10, 10, 1]
    x.grad = None
    h = x * 1.0
    view = h.reshape(3, 1)
    h[0] = x[2] * 5
    view.sum().backward()
    assert x.grad.tolist() == [0, 1, 6]


def test_what_changed_first_can_be_kept():
    x = leaf(1.0, 2.0)
    h = x * 2
    h += 1
    (h * h).sum().backward()
    assert x.grad.tolist() == [12, 20]


# -------------------------------------------------------------------------------------------------- private gradients


@pytest.mark.parametrize(
    "join",
    [
        lambda a, b: a + b,
        lambda a, b: a.reshape(3) + b.view(3),
        lambda a, b: a.expand(2, 3) + b,
        lambda a, b: minigrad.cat([a, b]),
        lambda a, b: minigrad.stack([a, b]),
        lambda a, b: (a.sum() + b.sum()).expand(3),
        lambda a, b: a.unsqueeze(0).transpose(0, 1).squeeze() + b.clone(),
        lambda a, b: a.flip(0) + b[...],
    ],
)
def test_gradients_are_private_and_writable(join):
    a, b = leaf(1.0, 2.0, 3.0), leaf(4.0, 5.0, 6.0)
    y = join(a, b)
    given = minigrad.ones_like(y)
    y.backward(given, retain_graph=True)
    before = b.grad.tolist()
    a.grad.array[...] = 99
    a.grad.mul_(2)
    assert b.grad.tolist() == before
    assert set(given.reshape(-1).tolist()) == {1.0}
    y.backward(given)
    assert b.grad.tolist() == [2 * each for each in before]
    gradients = autograd.grad(join(a, b), (a, b), given)
    assert not share_memory(gradients[0].array, gradients[1].array)
    assert all(writeable(each.array) for each in gradients)


def _of(gradient):
    """A Function whose backward hands over what `gradient(dy)` returns."""

    class Handed(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, dy):
            return gradient(dy)

    return Handed.apply


@pytest.mark.host_only("NumPy arrays around the memory of others")
@pytest.mark.parametrize("whole", [lambda array: array, lambda array: array[:], lambda array: array[::-1]])
def test_a_gradient_in_memory_that_numpy_does_not_own_is_copied(whole):
    memory, w = bytearray(24), leaf(1.0, 2.0, 3.0)
    given = whole(np.frombuffer(memory, np.float64))
    for y, dy in ((_of(lambda dy: minigrad.from_numpy(given))(w), None), (w + 0, minigrad.from_numpy(given))):
        w.grad = None
        y.sum().backward() if dy is None else y.backward(dy)
        w.grad.fill_(7)
        assert memory == bytes(24)


@pytest.mark.parametrize("view", [lambda g: g, lambda g: g.reshape(-1), lambda g: g.t(), lambda g: g[:1], lambda g: g.detach()])
def test_a_gradient_that_the_user_still_holds_a_view_of_is_copied(view):
    held, w = [], tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)

    def hand_over(dy):
        made = dy * 3
        held.append(view(made))
        return made.reshape(-1).reshape(2, 2)

    _of(hand_over)(w).sum().backward()
    w.grad.zero_()
    assert (held[0] == 3).all()


def test_a_gradient_lies_in_memory_as_its_tensor_does():
    w, factors = tensor([[1.0, 2.0, 3.0]] * 2, requires_grad=True), minigrad.randn(3, 2)
    (w * factors.t()).sum().backward()
    assert w.grad.is_contiguous() and minigrad.equal(w.grad, factors.t())


@pytest.mark.parametrize(("steps", "rows"), [(1, 3), (4, 3), (5, 1500), (700, 2)])
def test_products_that_waited_for_each_other_add_up_to_the_same_gradient(steps, rows):
    rng = np.random.default_rng(0)
    x, W = rng.standard_normal((steps, rows, 4)), minigrad.tensor(rng.standard_normal((3, 4)), requires_grad=True)
    weights = rng.standard_normal((steps, rows, 3))
    loss = (W * W).sum()  # a gradient that is no product, before and after those that are
    for t in range(steps):
        loss = loss + (nn.functional.linear(minigrad.tensor(x[t]), W) * minigrad.tensor(weights[t])).sum()
    loss = loss + W[1].sum() + (W * 3).sum()
    loss.backward()
    expected = 2 * host(W) + np.einsum("tno,tni->oi", weights, x) + 3
    expected[1] += 1
    assert np.allclose(host(W.grad), expected)
    W.grad[0] = 0  # private: what the next backward adds starts from here
    (W * 1).sum().backward()
    assert np.allclose(host(W.grad)[0], 1)


def _three_uses(x, W):
    h = nn.functional.linear(nn.functional.linear(nn.functional.linear(x, W), W).tanh(), W)
    return (h * h).sum()


def test_looking_on_changes_no_gradient():
    W, x = minigrad.randn(3, 3, dtype=minigrad.float64, requires_grad=True), minigrad.randn(2, 3, dtype=minigrad.float64)
    _three_uses(x, W).backward()
    alone, W.grad = W.grad, None
    with minigrad.trace():
        _three_uses(x, W).backward()
    assert minigrad.equal(W.grad, alone)


def test_a_gradient_that_a_hook_kept_stays_what_it_was():
    W, x, kept = minigrad.randn(3, 3, requires_grad=True), minigrad.randn(2, 3), []
    W.register_hook(lambda gradient: kept.append(gradient))
    _three_uses(x, W).backward()
    first = kept[0].clone()
    _three_uses(x, W).backward()
    assert minigrad.equal(kept[0], first) and minigrad.allclose(W.grad, 2 * first)


def test_a_hook_that_changes_a_tensor_comes_after_the_products_that_hold_it():
    W, x = minigrad.randn(2, 3, requires_grad=True), minigrad.ones(4, 3, requires_grad=True)

    def zero(gradient):
        with minigrad.no_grad():
            x.mul_(0)

    x.register_hook(zero)
    nn.functional.linear(x, W).sum().backward()
    assert W.grad.tolist() == [[4.0] * 3] * 2


def test_backward_to_computed_inputs_fills_their_gradients():
    x = minigrad.ones(2, requires_grad=True)
    h = x * 2
    (h * h).sum().backward(inputs=[h])
    assert h.grad.tolist() == [4.0, 4.0] and x.grad is None and h.grad_fn.hooks == {}


# ------------------------------------------------------------------------------------ views that changes cannot follow


def _pieces(h):
    return [h.split(2)[0], h.chunk(2)[1], h.unbind(0)[-1], next(iter(h)), h.reshape(2, 2).unbind(0)[0][:1], h[:2].split(1)[0]]


@pytest.mark.parametrize("which", range(6))
def test_a_piece_of_several_refuses_a_change_where_gradients_are_wanted(which):
    h = leaf(1.0, 2.0, 3.0, 4.0) * 2
    piece, before = _pieces(h)[which], h.tolist()
    for change in (lambda p: p.mul_(2), lambda p: p.__setitem__(..., 0.0), lambda p: p.fill_(1.0), lambda p: p.copy_(p * 2)):
        with pytest.raises(RuntimeError, match=r"one of several.*out-of-place"):
            change(piece)
    assert h.tolist() == before
    with minigrad.no_grad():
        piece.mul_(2)
    plain = tensor([1.0, 2.0, 3.0, 4.0])
    _pieces(plain)[which].mul_(2)  # no gradient is wanted: the change shows everywhere
    assert plain.tolist() != [1.0, 2.0, 3.0, 4.0]


def test_a_piece_cannot_be_used_after_its_memory_changed_elsewhere():
    h = leaf(1.0, 2.0, 3.0, 4.0) * 2
    piece = h.split(2)[0]
    h.mul_(2)
    assert piece.requires_grad and piece.tolist() == [4, 8] and piece.detach().tolist() == [4, 8]
    with pytest.raises(RuntimeError, match="changed in place through another tensor"):
        piece * 2
    assert (h.split(2)[0] * 2).requires_grad


def test_a_view_made_under_no_grad_refuses_a_change_that_wants_a_gradient():
    x = leaf(1.0, 2.0)
    buffer = minigrad.zeros(2, dtype=minigrad.float64)
    with minigrad.no_grad():
        view = buffer[:1]
    view.fill_(3.0)
    with pytest.raises(RuntimeError, match="made under no_grad"):
        view.copy_(x[:1])
    assert buffer.tolist() == [3, 0]


def test_memory_that_several_elements_share_cannot_be_changed():
    for change in (lambda y: y.add_(1), lambda y: y.__setitem__(0, 1.0), lambda y: y.zero_()):
        with pytest.raises(RuntimeError, match=r"expand.*out-of-place"):
            change(minigrad.ones(3).expand(2, 3))


def test_a_diagonal_is_a_view():
    x = leaf(1.0, 2.0, 3.0, 4.0)
    h = (x * 1).reshape(2, 2)
    h.diagonal().mul_(10)
    assert h.tolist() == [[10, 2], [3, 40]]
    h.sum().backward()
    assert x.grad.tolist() == [10, 1, 1, 10]
    with pytest.raises(RuntimeError, match="detach"):
        h.diagonal().detach_()


def test_overwriting_keeps_the_wish_for_a_gradient():
    x = leaf(1.0, 2.0)
    for overwrite in (lambda h: h.zero_(), lambda h: h.fill_(2.0), lambda h: h.copy_(minigrad.ones(2, dtype=minigrad.float64))):
        h = x * 1
        overwrite(h)
        assert h.requires_grad
        h.sum().backward()
        assert x.grad.tolist() == [0, 0]


def test_single_elements_of_a_vector_are_views_too():
    x = leaf(1.0, 2.0)
    h = x * 1
    last = h[1]
    last.mul_(5)
    (h * h).sum().backward()
    assert h.tolist() == [1, 10] and x.grad.tolist() == [2, 100]
    y = leaf(1.0, 2.0)
    z = y * 1
    one = z[1]
    (one.reshape(-1)[0] + one[...] + one).backward()
    assert y.grad.tolist() == [0, 3]
