"""Everyday programs that differ from PyTorch's in their imports only, run on both: the numbers must agree.

Random numbers differ between the two, so programs take theirs from `data`, NumPy's, and weights from `set_weights`.
"""

from __future__ import annotations

import copy
import io
import math
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import minigrad  # noqa: E402

PROGRAMS = []


def program(function):
    """Enter a program, which takes (torch, nn, F, data), into the list."""
    PROGRAMS.append(function)
    return function


def data(*shape):
    """Numbers that are the same for both."""
    return np.random.default_rng(sum(shape) + len(shape)).standard_normal(shape).astype(np.float32)


def set_weights(torch, model):
    """Weights that are the same for both."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.from_numpy(data(*parameter.shape) * 0.3))


@program
def mlp_training(torch, nn, F):
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 3))
    set_weights(torch, model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    x, y = torch.tensor(data(16, 4)), torch.tensor([0, 1, 2, 1] * 4)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = nn.CrossEntropyLoss()(model(x), y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    accuracy = (model(x).argmax(dim=1) == y).float().mean()
    return losses, accuracy


@program
def char_rnn_from_cells(torch, nn, F):
    class CharRNN(nn.Module):
        def __init__(self, vocabulary, hidden):
            super().__init__()
            self.embed = nn.Embedding(vocabulary, 5)
            self.cell = nn.LSTMCell(5, hidden)
            self.head = nn.Linear(hidden, vocabulary)

        def forward(self, ids, state=None):
            outputs = []
            for t in range(ids.size(1)):
                state = self.cell(self.embed(ids[:, t]), state)
                outputs.append(self.head(state[0]))
            return torch.stack(outputs, dim=1), state

    model = CharRNN(7, 6)
    set_weights(torch, model)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    ids = torch.arange(24).reshape(3, 8) % 7
    losses = []
    for _ in range(4):
        logits, _ = model(ids[:, :-1])
        loss = F.cross_entropy(logits.reshape(-1, 7), ids[:, 1:].reshape(-1))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, sum(p.norm().item() for p in model.parameters())


@program
def greedy_decoding(torch, nn, F):
    cell, head = nn.LSTMCell(4, 6), nn.Linear(6, 4)
    set_weights(torch, cell)
    set_weights(torch, head)
    token, state, written = torch.zeros(1, dtype=torch.long), None, []
    with torch.no_grad():
        for _ in range(6):
            state = cell(F.one_hot(token, 4).float(), state)
            token = head(state[0]).softmax(-1).topk(1).indices.view(-1)
            written.append(token.item())
    return written


@program
def lstm_over_batch_first(torch, nn, F):
    model = nn.LSTM(3, 5, num_layers=2, batch_first=True, bidirectional=True)
    set_weights(torch, model)
    x = torch.tensor(data(2, 6, 3), requires_grad=True)
    out, (h, c) = model(x)
    last = out[:, -1]
    (last.pow(2).sum() + h[-1].mean() + c.view(-1).sum()).backward()
    return out, h, c, x.grad, out.contiguous().view(-1, 10).shape


@program
def manual_attention(torch, nn, F):
    q, k, v = (torch.tensor(data(2, 4, 6) * scale, requires_grad=True) for scale in (1, 2, 0.5))
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))
    mask = torch.triu(torch.ones(4, 4), diagonal=1).bool()
    weights = F.softmax(scores.masked_fill(mask, float("-inf")), dim=-1)
    y = weights @ v
    y.square().mean().backward()
    return y, weights.sum(-1), q.grad, k.grad, v.grad


@program
def multi_head_by_einsum(torch, nn, F):
    x = torch.tensor(data(2, 5, 8), requires_grad=True)
    w = torch.tensor(data(3, 2, 8, 4), requires_grad=True)
    q, k, v = torch.einsum("btd,chdk->cbhtk", x, w).unbind(0)
    p = torch.einsum("bhtk,bhsk->bhts", q, k).softmax(dim=-1)
    y = torch.einsum("bhts,bhsk->bthk", p, v).flatten(2)
    y.sum(dim=(0, 1)).norm().backward()
    return y, x.grad, w.grad


@program
def weight_decay_by_hand(torch, nn, F):
    w = torch.tensor(data(3, 3), requires_grad=True)
    for _ in range(3):
        loss = (w**2).sum() * 0.5 + w.abs().mean()
        loss.backward()
        with torch.no_grad():
            w -= 0.1 * w.grad
            w.mul_(1 - 0.01)
        w.grad.zero_()
    return w, w.is_leaf, w.requires_grad, w.grad


@program
def data_tricks(torch, nn, F):
    layer = nn.Linear(3, 2)
    layer.weight.data = torch.tensor(data(2, 3))
    layer.weight.data.clamp_(-0.5, 0.5)
    layer.bias.data.fill_(0.1)
    shadow = copy.deepcopy(layer)
    for ours, theirs in zip(shadow.parameters(), layer.parameters()):
        ours.data.copy_(ours.data * 0.9 + theirs.data * 0.1)
    return layer(torch.ones(1, 3)), shadow.weight, layer.weight.requires_grad


@program
def masks_and_lengths(torch, nn, F):
    x = torch.tensor(data(3, 5, 2))
    lengths = torch.tensor([5, 2, 3])
    mask = torch.arange(5)[None, :] < lengths[:, None]
    mean = (x * mask.unsqueeze(-1)).sum(1) / lengths.clamp(min=1).unsqueeze(-1)
    last = x[torch.arange(3), lengths - 1]
    x[~mask] = 0
    return mean, last, x, mask.sum(dim=1), x[mask].shape, torch.where(mask, 1.0, -1.0)


@program
def own_batches(torch, nn, F):
    x, y = torch.tensor(data(10, 3)), torch.arange(10)
    order = torch.tensor([3, 1, 4, 0, 5, 9, 2, 6, 8, 7])
    sums = []
    for rows in order.split(4):
        sums.append((x[rows].sum(dim=1) * y[rows]).sum().item())
    parts = [part.mean().item() for part in x.chunk(3)]
    padded = torch.stack([F.pad(each, (0, 4 - len(each))) for each in torch.split(y, [4, 3, 3])])
    return sums, parts, padded


@program
def saving_and_loading(torch, nn, F):
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    set_weights(torch, model)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    other = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    result = other.load_state_dict(state)
    again = pickle.load(io.BytesIO(pickle.dumps(model[0].weight)))
    return other(torch.ones(3, 2)), list(state), again, str(result)


@program
def gradient_accumulation(torch, nn, F):
    model = nn.Linear(3, 1)
    set_weights(torch, model)
    x, y = torch.tensor(data(8, 3)), torch.tensor(data(8, 1))
    for part in range(4):
        rows = slice(2 * part, 2 * part + 2)
        (F.mse_loss(model(x[rows]), y[rows]) / 4).backward()
    total = torch.cat([p.grad.flatten() for p in model.parameters()])
    return total, torch.linalg.norm(total), model.weight.grad.norm(p=2)


@program
def gradient_penalty(torch, nn, F):
    w = torch.tensor(data(4, 4), requires_grad=True)
    x = torch.tensor(data(2, 4), requires_grad=True)
    score = torch.tanh(x @ w).sum()
    (slope,) = torch.autograd.grad(score, x, create_graph=True)
    penalty = ((slope.norm(2, dim=1) - 1) ** 2).mean()
    penalty.backward()
    return penalty, w.grad


@program
def statistics_of_a_batch(torch, nn, F):
    x = torch.tensor(data(6, 4))
    normal = (x - x.mean(dim=0, keepdim=True)) / (x.std(dim=0, unbiased=False, keepdim=True) + 1e-5)
    values, indices = x.max(dim=1)
    top = torch.topk(x, k=2, dim=-1)
    return (
        normal, values, indices, top.values, top.indices, x.var(0), torch.quantile(x, 0.25, dim=0), x.median(dim=1).values,
        torch.bincount(indices, minlength=4), torch.cumsum(x, dim=0), x.argsort(dim=1, descending=True), x.sort()[0],
    )  # fmt: skip


@program
def binary_classifier(torch, nn, F):
    model = nn.Sequential(nn.Linear(2, 4), nn.LeakyReLU(0.1), nn.Linear(4, 1), nn.Flatten(0))
    set_weights(torch, model)
    x = torch.tensor(data(6, 2))
    target = (x[:, 0] * x[:, 1] > 0).float()
    loss = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(2.0))(model(x), target)
    loss.backward()
    p = torch.sigmoid(model(x))
    return loss, p, ((p > 0.5) == target.bool()).sum(), F.binary_cross_entropy(p, target), [q.grad for q in model.parameters()]


@program
def frozen_layers_and_hooks(torch, nn, F):
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 1))
    set_weights(torch, model)
    for parameter in model[0].parameters():
        parameter.requires_grad_(False)
    hidden = model[1](model[0](torch.ones(2, 3))).requires_grad_()
    seen = []
    hidden.register_hook(lambda gradient: seen.append(gradient.clone()))
    model[2](hidden).sum().backward()
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    return seen, model[0].weight.grad, trained, sum(p.numel() for p in model.parameters())


@program
def indices_of_all_sorts(torch, nn, F):
    x = torch.arange(24.0).reshape(2, 3, 4)
    y = x.clone()
    y[:, 1] += 10
    y[..., -1] = torch.tensor([1.0, 2.0, 3.0])
    y[y > 30] = 0
    y[0, [0, 2]] *= 2
    table = torch.zeros(3, 5).scatter_(1, torch.tensor([[1], [0], [4]]), 1.0)
    table.index_add_(0, torch.tensor([0, 2]), torch.ones(2, 5))
    return y, table, x[:, ::2], x[0, 1, 2].item(), x[None, ..., None].shape, x.permute(2, 0, 1)[1], torch.roll(x, 1, dims=-1), x.flip(-1)


def plain(value):
    """What a program returned, in NumPy's terms."""
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, (torch.Tensor, minigrad.Tensor)):
        return str(value.dtype).split(".")[-1], value.detach().numpy(force=True)
    return value


def assert_alike(ours, theirs):
    if isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_alike(one, other)
    elif isinstance(theirs, tuple):
        assert ours[0] == theirs[0] and ours[1].shape == theirs[1].shape
        np.testing.assert_allclose(ours[1], theirs[1], 1e-4, 1e-5)
    else:
        assert type(ours) is type(theirs) and (ours == theirs or ours == pytest.approx(theirs, rel=1e-4, abs=1e-6))


@pytest.mark.parametrize("written", PROGRAMS, ids=lambda each: each.__name__)
def test_a_program_gives_the_same_numbers(written):
    theirs = plain(written(torch, torch.nn, torch.nn.functional))
    ours = plain(written(minigrad, minigrad.nn, minigrad.nn.functional))
    assert_alike(ours, theirs)
