"""Longer programs: results used several times, changes in place, views."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from oracle import check  # noqa: E402

FAMILIES = {}


def family(draw):
    """Enter a function from a Draw to (lines of source, input arrays) into the list of families."""
    FAMILIES[draw.__name__] = draw
    return draw


@family
def programs(draw):
    """Expressions that use earlier results several times."""
    shape = draw.shape(1, 2)
    arrays = [draw.array(draw.broadcast(shape, 0)) for _ in range(3)]
    pool, lines = ["x0", "x1", "x2"], []
    for number in range(draw.randint(3, 8)):
        a, b = draw.choice(pool), draw.choice(pool)
        text = draw.one(
            f"{a} * {b}", f"{a} + {b}", f"{a} - {b}", f"{a} / ({b} * {b} + 1)", f"T.tanh({a})", f"T.sigmoid({a})", f"{a}.exp().log1p()",
            f"T.maximum({a}, {b})", f"T.where({a} > {b}, {a}, {b} * 2)", f"{a}.softmax(-1)", f"{a}.sum(-1, keepdim=True)",
            f"{a} * {b}.mean()", f"T.cat([{a}, {a}], -1)[..., :{a}.shape[-1]]", f"{a}.flip(0)", f"{a}.cumsum(-1)",
            f"({a} ** 2 + 1).sqrt()", f"{a}.transpose(0, -1).transpose(0, -1)", f"{a} - {a}.amax(-1, keepdim=True)",
            f"{a}[..., :1] * {a}", f"({a} * {a} + 1) ** {b}.tanh()", f"{a}.unsqueeze(0).squeeze(0)", f"T.log_softmax({a}, 0)",
            f"{a}.logsumexp(-1, keepdim=True)", f"{a}.sin() * {b}.cos()", f"T.stack([{a}, {a} * 2]).prod(0)",
            f"{a}.var(-1, keepdim=True, correction=0)", f"{a}.sort(-1)[0]", f"{a}.cumprod(-1)", f"F.gelu({a})", f"F.softplus({a})",
            f"{a}.norm() + {b}", f"sum({a}.unbind(0), {a}.sum())", f"sum(c.sum() for c in {a}.chunk(2, -1)) * {b}",
            f"{a} @ {a}.mT if {a}.dim() > 1 else {a}.dot({a})", f"{a}.expand_as({a} + {b}) * {b}",
        )  # fmt: skip
        lines.append(f"p{number} = {text}")
        pool.append(f"p{number}")
    lines.append(f"y = [{', '.join(pool[-2:])}]")
    return "\n".join(lines), arrays


@family
def changing(draw):
    """Programs of in-place operations on tensors with history, on their views, and views of those; all used afterwards."""
    shape = draw.one((2, 3), (3, 2), (2, 2, 2), (4,), (1, 3), (3, 3))
    x, z = draw.numpy.uniform(-2, 2, (2, *shape))  # no ties: finite differences are taken where PyTorch refuses
    lines = [draw.one("a = x0 * 2", "a = x0.tanh()", "a = x0 + x1", "a = x0.clone()", "a = x0.detach().clone()", "a = x0.exp()")]
    pool = ["a"]
    fresh = iter("bcdefghijk")
    for _ in range(draw.randint(2, 7)):
        name, other = draw.choice(pool), draw.choice(pool)
        kind = draw.randrange(6)
        if kind in (0, 1):
            pool.append(new := next(fresh))
            view = draw.one(
                "[0]",
                "[..., 0]",
                "[1:]",
                ".reshape(-1)",
                ".flatten()",
                ".transpose(0, -1)",
                "[None]",
                ".unsqueeze(-1)",
                "[-1:]",
                "[:]",
                ".squeeze()",
                "[...]",
                ".t()",
                ".detach()",
                ".expand_as({0})",
            )
            lines.append(f"{new} = {name}{view.format(name)}")
        elif kind == 2:
            pool.append(new := next(fresh))
            lines.append(f"{new} = {name} * {draw.one('2', other + '.sum()', name)}")
        elif kind == 3:
            call = draw.one(
                "mul_(3)", "add_(1)", f"mul_({other}.sum())", f"add_({name})", "tanh_()", "neg_()", "zero_()", "fill_(2.0)", "relu_()",
                f"copy_({other}.sum())", "mul_(x1.sum())", "exp_()", "sub_(x1.mean())", f"div_(3 + {other}.sum() ** 2)", "clamp_(-1, 1)",
                "sigmoid_()",
            )  # fmt: skip
            lines.append(f"{name}.{call}")
        elif kind == 4:
            place = draw.one("0", "...", "-1:", "..., 0", "..., -1:", f"{name} > 0", "[0]", "None", "0:1")
            lines.append(f"{name}[{place}] {draw.one('=', '=', '+=', '*=')} {draw.one('2.0', other + '.sum()', 'x1.sum()')}")
        else:
            lines.append(f"{name} {draw.one('+=', '*=', '-=')} {draw.one('2', 'x1.mean()', other + '.sum()', name)}")
    lines.append(f"y = [{', '.join(pool)}]" if draw.coin() else f"y = [{', '.join(draw.sample(pool, draw.randint(1, len(pool))))}]")
    return "\n".join(lines), [x, z]


@pytest.mark.parametrize("name", FAMILIES)
def test_programs_give_what_pytorch_gives(name):
    check(FAMILIES[name], name)
