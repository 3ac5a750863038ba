"""Longer programs: results used several times, changes in place, views."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from oracle import DTYPES, check  # noqa: E402

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


UNARY = [
    "{a}.tanh()", "{a}.sigmoid()", "{a}.sin()", "{a}.cos()", "{a}.exp()", "{a}.abs().log1p()", "({a} * {a} + 0.5).log()", "{a}.expm1()",
    "({a} * {a} + 0.3).sqrt()", "({a} * {a} + 0.3).rsqrt()", "({a}.abs() + 0.4).reciprocal()", "{a}.square()", "{a}.abs()", "-{a}",
    "{a}.relu()",
    "T.erf({a})", "F.gelu({a})", "F.silu({a})", "F.softplus({a})", "F.leaky_relu({a}, 0.2)", "F.gelu({a}, approximate='tanh')",
    "({a} * {a} + 1).log2()", "({a} * {a} + 1).log10()", "{a}.clamp(-0.7, 0.9)", "T.nan_to_num({a})", "{a}.clone()", "{a} ** 2", "{a} ** 3",
    "2.0 ** {a}", "{a} * 0.5 - 1", "1 - {a}", "0.5 / ({a} * {a} + 1)", "{a}.double()", "{a} % 0.7", "T.where({a} > 0, {a}, {a} * 0.1)",
    "{a}.detach() * {a}", "{a}.masked_fill({a} > 0.5, 0.25)", "{a}.softmax(-1)", "{a}.log_softmax(0)", "{a}.softmax(0)", "{a}.cumsum(0)",
    "{a}.cumsum(-1)", "{a}.cumprod(-1)", "{a}.flip(0)", "{a}.flip(-1)", "{a}.roll(1)", "{a}.roll(1, -1)", "{a}.sort(-1)[0]",
    "{a}.sort(0, descending=True).values",
]  # fmt: skip
REDUCING = [
    "{a}.sum()", "{a}.sum({d})", "{a}.sum({d}, keepdim=True)", "{a}.mean()", "{a}.mean({d})", "{a}.mean({d}, True)", "{a}.prod({d})",
    "{a}.prod()", "{a}.amax({d})", "{a}.amin({d}, keepdim=True)", "{a}.max({d})[0]", "{a}.min({d}).values", "{a}.max()", "{a}.min()",
    "{a}.logsumexp({d})", "{a}.logsumexp({d}, keepdim=True)", "{a}.var({d}, correction=0)", "{a}.var(correction=0)",
    "({a}.var({d}, correction=0, keepdim=True) + 0.1).sqrt()", "({a} + T.arange({a}.numel()).reshape({a}.shape)).std({d}, correction=0)",
    "{a}.norm(3, {d})", "({a} + 2).norm(dim={d})", "{a}.topk(1, {d})[0]", "{a}.sum(0, dtype=T.float64)", "{a}.norm(1, {d})",
]  # fmt: skip
MOVING = [
    "{a}.reshape(-1)", "{a}.flatten()", "{a}.unsqueeze(0)", "{a}.unsqueeze(-1)", "{a}.squeeze()", "{a}.squeeze(0)", "{a}.transpose(0, -1)",
    "{a}.mT", "{a}.t()", "{a}.permute(*reversed(range({a}.dim())))", "{a}.movedim(0, -1)", "{a}[0]", "{a}[-1]", "{a}[..., 0]", "{a}[1:]",
    "{a}[..., ::2]", "{a}[None]", "{a}[{a} > 0]", "{a}[[0, -1]]", "{a}[..., [0, 0]]", "{a}.repeat_interleave(2)", "{a}.tile(2)",
    "{a}.expand(2, *{a}.shape)", "{a}.chunk(2)[0]", "{a}.split(1, -1)[-1]", "{a}.unbind(0)[0]", "{a}.narrow(0, 0, 1)", "{a}.select(-1, 0)",
    "T.cat([{a}, {a} * 2])", "T.cat([{a}, {b}])", "T.stack([{a}, {b}])", "T.stack([{a}, {a}], -1)", "{a}.tril()", "{a}.triu(1)",
    "{a}.diagonal()", "{a}.index_select(0, T.tensor([0, 0]))", "{a}.gather(0, T.zeros({a}.shape, dtype=T.int64))", "{a}.contiguous()",
    "{a}.index_add(0, T.tensor([0]), {a}[:1])", "{a}.take_along_dim({a}.argsort(-1), -1)", "{a}.unflatten(0, (-1, 1))",
    "{a}.view({a}.shape)",
    "{a}.scatter_add(0, T.zeros({a}.shape, dtype=T.int64), {b})", "{a}.masked_select({b} > 0)", "{a}.expand_as({b})",
    "{a}.reshape({b}.shape)",
]  # fmt: skip
BINARY = [
    "{a} + {b}", "{a} - {b}", "{a} * {b}", "{a} / ({b} * {b} + 0.5)", "T.maximum({a}, {b})", "T.minimum({a}, {b})",
    "({a}.abs() + 0.5) ** {b}",
    "T.where({a} > {b}, {a}, {b})", "T.lerp({a}, {b}, 0.3)", "{a} @ {b}", "{a} @ {b}.mT", "{a}.mT @ {b}", "T.outer({a}, {b})",
    "T.einsum('...i,...i->...', {a}, {b})", "T.einsum('...i,...j->...ij', {a}, {b})", "T.add({a}, {b}, alpha=2)", "T.addmm({a}, {a}, {b})",
    "F.linear({a}, {b})", "T.dot({a}, {b})", "T.tensordot({a}, {b}, 1)", "{a} * {b}.sum()", "{a} + {b}.mean()", "{a} * {b}.detach()",
    "{a}.clamp({b} - 1, {b} + 1)", "T.where({b} > 0, {a}, 0.0)", "{a} * ({b} > 0)", "{a}.clone().add_({b})", "{a}.clone().mul_({b}).tanh()",
]  # fmt: skip


@family
def graphs(draw):
    """3 to 12 operations of all kinds, each on earlier results; shapes from none to three axes, sizes 0 and 1 too.

    A step that PyTorch refuses is drawn again nine times in ten, and what grows beyond 6 is squashed, so that float32
    has digits left to compare.
    """
    dtype, shape = draw.one("float64", "float64", "float32"), draw.shape()
    arrays = [draw.numpy.uniform(-1.5, 1.5, draw.broadcast(shape, 0)).astype(dtype) for _ in range(draw.randint(1, 3))]
    names = {"T": torch, "F": torch.nn.functional, **{f"x{place}": torch.tensor(array) for place, array in enumerate(arrays)}}
    pool, lines, length = [name for name in names if name[0] == "x"], [], draw.randint(3, 12)
    for _ in range(80):
        a, b = draw.choice(pool[-4:]) if draw.coin() else draw.choice(pool), draw.choice(pool)
        text = draw.choice(draw.one(UNARY, REDUCING, MOVING, BINARY)).format(a=a, b=b, d=draw.one(0, -1, 1, -2))
        name = f"p{len(lines)}"
        try:
            names[name] = eval(text, names)
        except Exception:
            if draw.coin(0.99):
                continue
            return "\n".join([*lines, f"y = {text}"]), arrays
        if names[name].numel() > 200 or not names[name].isfinite().all():
            continue
        large = names[name].numel() and not names[name].abs().max() < 6
        if large:
            text, names[name] = f"T.tanh({text} * 0.3)", torch.tanh(names[name] * 0.3)
        lines.append(f"{name} = {text}")
        pool.append(name)
        if len(lines) == length:
            break
    lines.append(f"y = [{', '.join(draw.sample(pool, min(len(pool), draw.randint(1, 3))))}, {pool[-1]}]")
    return "\n".join(lines), arrays


@family
def in_place(draw):
    """Changes in place of tensors with a history, without views: what was saved, what may not be changed, what fits."""
    shape = draw.shape(0, 3)
    arrays = [draw.array(shape) + 0.00037, draw.array(draw.broadcast(shape, 0.03)), draw.array(draw.broadcast(shape, 0), draw.dtype())]
    start = draw.one(*["a = x0 * 2", "a = x0.exp()", "a = x0.tanh()", "a = x0.clone()", "a = x0.relu()", "a = x0 + x1"] * 4, "a = x0")
    lines, pool = [start], ["a"]
    for number in range(draw.randint(1, 6)):
        name, other = draw.choice(pool), draw.one(*pool, "x0", "x1", "x2")
        if draw.coin(0.35):
            pool.append(f"b{number}")
            use = draw.one("{0} * {1}", "{0}.exp()", "{0} * {0}", "{0}.sum() * {1}", "{0}.tanh()", "({0} * 0.1).sigmoid()", "{0} + {1}")
            lines.append(f"b{number} = " + use.format(name, other))
            continue
        call = draw.one(
            "add_({0})", "sub_({0})", "mul_({0})", "div_({0}.abs() + 1)", "pow_(2)", "add_({0}, alpha=2)", "mul_(0.5)", "add_(True)",
            "sub_(1)",
            "neg_()", "exp_()", "tanh_()", "sigmoid_()", "relu_()", "abs_()", "abs_().add_(0.1).sqrt_()", "abs_().add_(0.1).log_()",
            "clamp_(-1, 0.5)", "clamp_(min=0.1)", "zero_()",
            "fill_(2)", "fill_({0}.sum())", "fill_({0})", "copy_({0})", "copy_({0}.sum())", "masked_fill_({0} > 0, 1.5)",
            "masked_fill_(x0 > 0, {0}.sum())", "masked_fill_({0} > 1, x1.sum())", "mul_({1})", "add_({1})", "requires_grad_()",
        ).format(other, name)  # fmt: skip
        operator = f"{name} {draw.one('+=', '-=', '*=')} {draw.one(other, '2', '1.5')}"
        lines.append(draw.one(f"{name}.{call}", f"{name}.{call}", f"c = {name}.{call}", operator, f"{name} /= 2", f"{name} **= 2"))
    lines.append(f"y = [{', '.join(pool)}]")
    return "\n".join(lines), arrays


@family
def in_place_of_other_dtypes(draw):
    """Results that must fit the dtype they are written into, and shapes that may not grow."""
    shape = draw.shape(0, 2)
    other = draw.broadcast(shape, 0.1) if draw.coin(0.8) else draw.shape(0, 3)
    arrays = [draw.array(shape, draw.one(*DTYPES)), draw.array(other, draw.one(*DTYPES))]
    number = draw.one("2", "1.5", "True", "-1", "300", "0", "T.inf", "T.nan")
    call = draw.one(
        "add_(x1)", "mul_(x1)", "sub_(x1)", "div_(2)", "pow_(2)", "copy_(x1)", "fill_(x1.sum())", f"fill_({number})", f"add_({number})",
        f"mul_({number})", f"masked_fill_(x0 > 0, {number})", f"clamp_(max={number})", "exp_()", "neg_()", "abs_()", "sqrt_()",
        "sigmoid_()",
        f"__setitem__(slice(0, 1), {number})", f"__setitem__(x0 > 0, {number})", f"__setitem__(..., {number})", "__setitem__(..., x1)",
    )  # fmt: skip
    return f"z = x0.clone()\nz.{call}\ny = z", arrays


@pytest.mark.parametrize("name", FAMILIES)
def test_programs_give_what_pytorch_gives(name):
    check(FAMILIES[name], name)
