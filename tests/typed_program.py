"""A program as PyTorch's users write them, its imports aside; test_typing.py checks its types and runs it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import minigrad as torch
import minigrad_nn.functional as F
from minigrad import Tensor, nn
from minigrad.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence, pad_sequence
from minigrad.utils.data import DataLoader, Dataset, TensorDataset, random_split


class Sequences(Dataset[tuple[Tensor, int]]):
    def __init__(self, n: int) -> None:
        self.items = [torch.randn(i + 1, 3) for i in range(n)]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.items[index], index % 2


def collate(batch: list[tuple[Tensor, int]]) -> tuple[Tensor, Tensor, Tensor]:
    xs, ys = zip(*batch)
    lengths = torch.tensor([len(x) for x in xs])
    return pad_sequence(list(xs), batch_first=True), lengths, torch.tensor(ys)


class Classifier(nn.Module):
    def __init__(self, features: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.rnn = nn.LSTM(features, hidden, num_layers=2, batch_first=True, bidirectional=True, dropout=0.1)
        self.norm = nn.LayerNorm(2 * hidden)
        self.head = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.ReLU(inplace=True), nn.Dropout(0.1), nn.Linear(hidden, classes))
        self.layers = nn.ModuleList([nn.Linear(2, 2) for _ in range(2)])
        self.scale = nn.Parameter(torch.ones(1))
        self.register_buffer("steps", torch.zeros(1, dtype=torch.int64))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        out, (h, _) = self.rnn(packed)
        assert pad_packed_sequence(out, batch_first=True)[0].size(0) == x.size(0)
        last = torch.cat([h[-2], h[-1]], dim=1)
        logits: Tensor = self.head(self.norm(last)) * self.scale
        return logits


def train(model: nn.Module, loader: DataLoader[Any], epochs: int = 2) -> list[float]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.9)
    criterion = nn.CrossEntropyLoss()
    losses: list[float] = []
    for _ in range(epochs):
        model.train()
        for x, lengths, y in loader:
            optimizer.zero_grad()
            loss = criterion(model(x, lengths), y)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            print(f"{norm:.3f} {loss:.3f}")
            optimizer.step()
            losses.append(loss.item())
        scheduler.step()
    return losses


@torch.no_grad()
def accuracy(model: nn.Module, loader: DataLoader[Any]) -> float:
    model.eval()
    right = total = 0
    for x, lengths, y in loader:
        right += int((model(x, lengths).argmax(dim=1) == y).sum().item())
        total += y.size(0)
    return right / total


def main() -> None:
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data = Sequences(20)
    train_set, test_set = random_split(data, [15, 5])
    loader = DataLoader(train_set, batch_size=4, shuffle=True, collate_fn=collate)
    model = Classifier(3, 4, 2).to(device)
    losses = train(model, loader)
    print(losses[-1], accuracy(model, DataLoader(test_set, batch_size=2, collate_fn=collate)))
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "epoch": 3}, file)
    file.seek(0)
    state = torch.load(file, map_location=device, weights_only=True)
    model.load_state_dict(state["model"])
    total = sum(p.numel() for p in model.parameters() if p.requires_grad)
    for name, p in model.named_parameters():
        if p.grad is not None:
            print(name, tuple(p.shape), p.grad.norm().item(), total)
    x = torch.randn(2, 3, requires_grad=True)
    (g,) = torch.autograd.grad((x**2).sum(), x, create_graph=True)
    y: Tensor = g.sum(dim=0)[None, :, None].expand(-1, 3, 2)
    values, indices = y.max(dim=-1)
    top = torch.topk(y, k=1)
    print(top.values.shape, values.shape[1:], indices.dtype == torch.int64)
    w = torch.where(x > 0, x, torch.zeros_like(x))
    w = w.masked_fill(w == 0, float("-inf")).softmax(-1).T @ x
    b, t = x.shape
    print(b * t, x.size(0), x.ndim, len(x), x.tolist(), x.detach().numpy().mean(), x[0, 1:], x[x > 0], w.mean().item())
    with torch.no_grad():
        x += 1
        x[0] = 0
        x.clamp_(min=0)
    h = torch.zeros(1, 4)
    cell = nn.GRUCell(3, 4)
    for step in x.split(1):
        h = cell(step, h)
    q = F.scaled_dot_product_attention(h[None], h[None], h[None])
    z = F.dropout(F.one_hot(torch.tensor([1, 2]), num_classes=4).float(), p=0.5, training=True)
    a, bb = torch.meshgrid(torch.arange(3), torch.arange(2), indexing="ij")
    hook = model.register_forward_hook(lambda module, args, result: None)
    hook.remove()
    for _, m in model.named_modules():
        if isinstance(m, nn.Linear):
            nn.init.xavier_uniform_(m.weight)
    model.apply(lambda m: None)
    params: Iterator[nn.Parameter] = model.parameters()
    first = next(params)
    print(q, z, a, bb, first.data, 2 * x, 1 / x, x // 2, -x, ~(x > 0), x @ x.mT, abs(x), x.sum() > 0, bool(x.any()), float(x.sum()))
    packed: PackedSequence = nn.utils.rnn.pack_sequence([x])
    ds = TensorDataset(x, x)
    pair = ds[0]
    print(packed.data, pair, torch.stack([x, x]).mean((0, 1)), torch.einsum("ij,ij->i", x, x), torch.linalg.norm(x), x.std(), x.var(0))
    opt = torch.optim.SGD([{"params": [first], "lr": 0.1}], lr=0.01, momentum=0.9)
    for group in opt.param_groups:
        group["lr"] = 0.5
    s = torch.Size([1, 2]) + torch.Size([3])
    print(s.numel(), s[0] + 1, torch.get_default_dtype(), torch.float32.itemsize)


if __name__ == "__main__":
    main()
