"""Several threads at once: modes, scopes, observers and hooks of their own; shared leaves lose no gradient."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pytest
from compare import host

import minigrad
import minigrad_nn as nn


def together(*works):
    """Run these functions at once, each in a thread, switched as often as can be; their results in order."""
    results, problems = [None] * len(works), []
    barrier = threading.Barrier(len(works))

    def run(place, work):
        try:
            barrier.wait()
            results[place] = work()
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(works)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    if problems:
        raise problems[0]
    return results


def train(seed, device, steps=12):
    """The parameters of an LSTM and a head after training with Adam, as bytes; all that is random comes from one generator."""
    minigrad.set_default_device(device)  # each thread has its own
    generator = minigrad.Generator().manual_seed(seed)
    model, head = nn.LSTM(3, 4, num_layers=2), nn.Linear(4, 1)
    parameters = [*model.parameters(), *head.parameters()]
    for each in parameters:
        with minigrad.no_grad():
            each.uniform_(-0.5, 0.5, generator=generator)
    optimizer = nn.optim.Adam(parameters, lr=0.01)
    for _ in range(steps):
        x = minigrad.randn(6, 2, 3, generator=generator)
        optimizer.zero_grad()
        with minigrad.scope(f"model{seed}"):
            loss = ((head(model(x)[0]) - x.sum(-1, keepdim=True)) ** 2).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
    return b"".join(host(each).tobytes() for each in parameters)


def test_two_trainings_at_once_are_bit_for_bit_what_each_is_alone():
    device = minigrad.get_default_device()
    alone = [train(1, device), train(2, device)]
    assert alone[0] != alone[1]
    assert together(lambda: train(1, device), lambda: train(2, device)) == alone


def test_modes_scopes_observers_and_devices_are_each_threads_own():
    ready, done = threading.Event(), threading.Event()

    def busy():
        with minigrad.no_grad(), minigrad.scope("mine"), minigrad.trace() as seen, minigrad.inference_mode():
            minigrad.autograd.set_detect_anomaly(True)
            ready.set()
            done.wait(10)
            return seen.nodes

    def other():
        ready.wait(10)
        try:
            y = minigrad.tensor([0.0], requires_grad=True).log()
            return y.requires_grad, y.grad_fn.place.scope, minigrad.is_grad_enabled(), minigrad.is_inference_mode_enabled()
        finally:
            done.set()

    assert together(busy, other) == [0, (True, (), True, False)]


def test_backward_in_another_thread_than_forward():
    x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    together(y.backward)
    assert x.grad.tolist() == [2.0, 4.0]


@pytest.mark.parametrize("size", [1, 5000])
def test_a_shared_leaf_loses_no_gradient(size):
    threads, rounds = 4, 300 if size == 1 else 60
    x = minigrad.zeros(size, dtype=minigrad.float64, requires_grad=True)

    def add():
        for _ in range(rounds):
            (x * 1.0).sum().backward()

    together(*[add] * threads)
    assert set(x.grad.tolist()) == {float(threads * rounds)}


def test_the_first_gradient_of_a_leaf_is_not_lost_either():
    for _ in range(150):
        x = minigrad.ones(3, requires_grad=True)
        losses = [(x * k).sum() for k in (1.0, 10.0, 100.0)]
        together(*[loss.backward for loss in losses])
        assert x.grad.tolist() == [111.0] * 3


def test_walks_through_a_shared_part_of_a_graph():
    W = minigrad.randn(4, 4, dtype=minigrad.float64, requires_grad=True)
    x = minigrad.randn(3, 4, dtype=minigrad.float64)
    h = nn.functional.linear(nn.functional.linear(x, W).tanh(), W)
    h[0].sum().backward(retain_graph=True)
    expected, W.grad = host(W.grad) * 40, None

    def back():
        for _ in range(20):
            h[0].sum().backward(retain_graph=True)

    together(back, back)
    np.testing.assert_allclose(host(W.grad), expected)


def test_a_function_walked_by_two_threads():
    class Square(minigrad.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, dy):
            return 2 * ctx.saved_tensors[0] * dy

    x = minigrad.ones(3, dtype=minigrad.float64, requires_grad=True)
    y = Square.apply(x).sum()

    def back():
        for _ in range(100):
            y.backward(retain_graph=True)

    together(back, back)
    assert x.grad.tolist() == [400.0] * 3


def test_changes_noted_by_many_threads_are_all_noticed():
    """The latest change in place must never look older than it is, or a spoilt gradient would pass."""

    def work():
        for _ in range(300):
            h = minigrad.ones(2, requires_grad=True) * 2
            y = h * h
            h += 1
            with pytest.raises(RuntimeError, match="changed in place"):
                y.sum().backward()

    together(work, work, work)


def test_hooks_registered_by_many_threads_keep_apart():
    x = minigrad.ones(1, requires_grad=True)
    calls = []

    def register():
        return [x.register_hook(lambda gradient: calls.append(1)) for _ in range(300)]

    handles = [each for many in together(register, register, register) for each in many]
    assert len({each.id for each in handles}) == 900
    (x * 2).backward()
    assert len(calls) == 900


# ------------------------------------------------------------------------------------------- one thread, several walks


def test_one_layer_called_twice_and_several_losses():
    def gradients(how):
        generator = minigrad.Generator().manual_seed(3)
        model = nn.LSTM(2, 3)
        for each in model.parameters():
            with minigrad.no_grad():
                each.uniform_(-0.5, 0.5, generator=generator)
        x, z = minigrad.randn(4, 1, 2, generator=generator), minigrad.randn(5, 1, 2, generator=generator)
        how(model(x)[0].sum(), (model(z)[0] ** 2).sum())
        return [host(each.grad) for each in model.parameters()]

    together_ = gradients(lambda one, other: (one + other).backward())
    apart = gradients(lambda one, other: (one.backward(), other.backward()))
    listed = gradients(lambda one, other: minigrad.autograd.backward([one, other]))
    for a, b, c in zip(together_, apart, listed, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(a, c, rtol=1e-5, atol=1e-6)


def test_retaining_the_graph_of_a_layer():
    model = nn.LSTM(2, 3)
    loss = model(minigrad.randn(4, 1, 2))[0].sum()
    loss.backward(retain_graph=True)
    first = [each.grad.clone() for each in model.parameters()]
    loss.backward()
    for one, each in zip(first, model.parameters(), strict=True):
        np.testing.assert_allclose(host(each.grad), 2 * host(one), rtol=1e-5, atol=1e-6)
    with pytest.raises(RuntimeError, match="retain_graph"):
        loss.backward()
