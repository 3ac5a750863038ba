"""gradcheck and gradgradcheck: right rules pass, and each kind of wrong rule is caught, in both modes."""

from __future__ import annotations

import numpy as np
import pytest
from compare import host

import minigrad
import minigrad_nn as nn
from minigrad.autograd import Function, GradcheckError, gradcheck, gradgradcheck
from minigrad.autograd.function import once_differentiable

FAST = pytest.mark.parametrize("fast", [False, True], ids=["full", "fast"])


def randn(*shape):
    return minigrad.randn(*shape, dtype=minigrad.float64, requires_grad=True)


def function(forward, backward):
    """`forward(*inputs)` with a gradient of one's own, its inputs saved."""

    def saving(ctx, *inputs):
        ctx.save_for_backward(*inputs)
        return forward(*inputs)

    return type("Wrong", (Function,), {"forward": staticmethod(saving), "backward": staticmethod(backward)}).apply


WRONG = {
    "a factor 1.01": (function(lambda x: x * x, lambda ctx, dy: 2.02 * ctx.saved_tensors[0] * dy), [(3, 2)]),
    "a sign": (function(lambda a, b: a - b, lambda ctx, dy: (dy, dy)), [(3,), (3,)]),
    "a forgotten input": (function(lambda a, b: a * b, lambda ctx, dy: (dy * ctx.saved_tensors[1], None)), [(3,), (3,)]),
    "zeros": (function(lambda x: x.exp(), lambda ctx, dy: dy * 0), [(2, 2)]),
    "a transposed gradient": (function(lambda x: x.t() * 1, lambda ctx, dy: dy), [(3, 3)]),
    "a transposed weight": (
        function(lambda x, w: x @ w, lambda ctx, dy: (dy @ ctx.saved_tensors[1], ctx.saved_tensors[0].t() @ dy)),
        [(2, 3), (3, 3)],
    ),
    "a broadcast taken for a mean": (function(lambda x, b: x + b, lambda ctx, dy: (dy, dy.mean(0))), [(4, 3), (3,)]),
    "one element": (function(lambda x: x * 1, lambda ctx, dy: dy * minigrad.tensor([1.0, 1.0, 0.0], dtype=minigrad.float64)), [(3,)]),
    "the gradient of an output left out": (
        function(lambda x: (x.sin(), x.cos()), lambda ctx, ds, dc: ds * ctx.saved_tensors[0].cos()),
        [(3,)],
    ),
}


@FAST
@pytest.mark.parametrize("what", WRONG)
def test_wrong_rules_are_caught(what, fast):
    func, shapes = WRONG[what]
    inputs = [randn(*shape) for shape in shapes]
    with pytest.raises(GradcheckError, match="largest difference"):
        gradcheck(func, inputs, fast_mode=fast)
    assert gradcheck(func, inputs, fast_mode=fast, raise_exception=False) is False


RIGHT = {
    "product": (lambda a, b: a @ b, [(2, 3), (3, 4)]),
    "broadcast": (lambda a, b: (a * b).exp(), [(3, 1), (2,)]),
    "several outputs": (lambda x: (x.sin(), x[0] * x, x.sum()), [(3,)]),
    "an output that is an input": (lambda x: x, [(3,)]),
    "an output without gradient": (lambda x: (x * 2, x.detach() * 0 + 1), [(3,)]),
    "no axes": (lambda x: x * x, [()]),
    "no elements": (lambda x: x * x, [(0, 2)]),
    "changed in place": (lambda x: (x * 1).mul_(3).exp_(), [(3,)]),
    "softmax": (lambda x: x.softmax(-1), [(2, 3)]),
    "an input not used": (lambda a, b: a * 2, [(2,), (3,)]),
}


@FAST
@pytest.mark.parametrize("what", RIGHT)
def test_right_rules_pass(what, fast):
    func, shapes = RIGHT[what]
    inputs = [randn(*shape) for shape in shapes]
    before = [host(each).copy() for each in inputs]
    assert gradcheck(func, inputs, fast_mode=fast) is True
    assert gradgradcheck(func, inputs, fast_mode=fast) is True
    assert all(np.array_equal(old, host(each)) for old, each in zip(before, inputs, strict=True))
    assert all(each.grad is None for each in inputs)


@FAST
def test_a_rule_right_once_and_wrong_twice(fast):
    wrong = function(lambda x: x**3, lambda ctx, dy: dy * 3 * ctx.saved_tensors[0].detach() * ctx.saved_tensors[0])
    x = randn(4)
    assert gradcheck(wrong, x, fast_mode=fast)
    with pytest.raises(GradcheckError, match="largest difference"):
        gradgradcheck(wrong, x, fast_mode=fast)
    assert gradgradcheck(wrong, x, fast_mode=fast, raise_exception=False) is False
    once = function(lambda x: x**3, once_differentiable(lambda ctx, dy: dy * 3 * ctx.saved_tensors[0] ** 2))
    assert gradcheck(once, x, fast_mode=fast)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradgradcheck(once, x, fast_mode=fast)


@FAST
def test_a_cell_and_its_weights(fast):
    cell = nn.LSTMCell(2, 3).double()
    assert gradcheck(lambda x, h, c: cell(x, (h, c)), [randn(2, 2), randn(2, 3), randn(2, 3)], fast_mode=fast)
    parameters = list(cell.parameters())
    x = randn(2, 2)
    assert gradcheck(lambda *parameters: cell(x)[0], parameters, fast_mode=fast)


def test_the_message_says_where():
    wrong = function(lambda a, b: (a * 1, a * b), lambda ctx, da, dp: (da + dp * ctx.saved_tensors[1], dp * ctx.saved_tensors[0] * 2))
    with pytest.raises(GradcheckError) as caught:
        gradcheck(wrong, [randn(2), randn(2)])
    message = str(caught.value)
    for words in ("output 1 by input 1", "largest difference", "numerical:", "analytical:", "element"):
        assert words in message
    with pytest.raises(GradcheckError, match="along one random direction"):
        gradcheck(wrong, [randn(2), randn(2)], fast_mode=True)
    assert isinstance(caught.value, RuntimeError)


def test_a_rule_that_changes_from_one_walk_to_the_next():
    calls = []
    shaky = function(lambda x: x * 2, lambda ctx, dy: (calls.append(1), dy * (2 + 1e-7 * len(calls)))[1])
    with pytest.raises(GradcheckError, match="not deterministic"):
        gradcheck(shaky, randn(2))
    assert gradcheck(shaky, randn(2), nondet_tol=1e-4)


def test_gradients_of_outputs_not_looked_at_may_be_zeros_or_nothing():
    given = []

    def backward(ctx, one, other):
        given.append((one is None, other is None))
        return (0 if one is None else one) * 2 + (0 if other is None else other) * 3

    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        return x * 2, x * 3

    apply = type("Two", (Function,), {"forward": staticmethod(forward), "backward": staticmethod(backward)}).apply
    assert gradcheck(apply, randn(2))
    assert (False, True) in given and (True, False) in given
    given.clear()
    assert gradcheck(apply, randn(2), check_undefined_grad=False)
    assert set(given) == {(False, False)}


# ------------------------------------------------------------------------------------------------------- what comes in


def test_inputs_that_cannot_be_checked():
    with pytest.raises(ValueError, match="requires_grad=True"):
        gradcheck(lambda x: x * 2, minigrad.ones(2, dtype=minigrad.float64), raise_exception=False)
    with pytest.raises(RuntimeError, match="share one place"):
        gradcheck(lambda x: x * 2, randn(1).expand(3))
    with pytest.warns(UserWarning, match="input 0 is minigrad.float32"):
        gradcheck(lambda x: x * 2, minigrad.ones(2, requires_grad=True), eps=1e-2, atol=1e-2)


@pytest.mark.parametrize("option", ["check_batched_grad", "check_forward_ad", "check_batched_forward_grad", "masked"])
def test_what_is_not_here_is_refused_by_name(option):
    with pytest.raises(NotImplementedError, match=option):
        gradcheck(lambda x: x, randn(2), **{option: True})


def test_given_gradients_of_outputs():
    assert gradgradcheck(lambda x: x**3, randn(2), randn(2))
    assert gradgradcheck(lambda x: (x**3, x.sin()), (randn(2),), (randn(2), randn(2)), gen_non_contig_grad_outputs=True)


def test_signatures_are_pytorchs():
    torch = pytest.importorskip("torch")
    import inspect

    for name in ("gradcheck", "gradgradcheck"):
        ours, theirs = (inspect.signature(getattr(lib.autograd, name)).parameters for lib in (minigrad, torch))
        assert [(each.name, each.kind, each.default) for each in ours.values()] == [(p.name, p.kind, p.default) for p in theirs.values()]


def test_agrees_with_pytorch_on_what_passes():
    torch = pytest.importorskip("torch")
    for scale in (1.0, 1.0005, 1.01, 0.9):

        def verdict(lib, scale=scale):
            class Scaled(lib.autograd.Function):
                @staticmethod
                def forward(ctx, x):
                    return x * 2

                @staticmethod
                def backward(ctx, dy):
                    return dy * 2 * scale

            x = lib.ones(3, dtype=lib.float64, requires_grad=True)
            return [lib.autograd.gradcheck(Scaled.apply, x, raise_exception=False, fast_mode=fast) for fast in (False, True)]

        assert verdict(minigrad) == verdict(torch)
