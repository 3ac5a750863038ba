"""The gallery of docs/pictures.md: python examples/draw_gallery.py [FOLDER]"""

from __future__ import annotations

import sys
from pathlib import Path

import minigrad as mg
import minigrad_nn as nn
from minigrad import Tensor, viz
from minigrad.ops import sigmoid, tanh
from minigrad.ops.matrix import linear


class RNNCell(nn.Module):
    """h' = tanh(W_ih x + b + W_hh h)"""

    def __init__(self, inputs: int, hidden: int, scale: float = 1.0) -> None:
        super().__init__()
        self.weight_ih = nn.Parameter(mg.randn(hidden, inputs) * (scale / inputs**0.5))
        self.weight_hh = nn.Parameter(mg.randn(hidden, hidden) * (scale / hidden**0.5))
        self.bias = nn.Parameter(mg.zeros(hidden))

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """The state one time step later."""
        return tanh(linear(x, self.weight_ih, self.bias) + linear(h, self.weight_hh))


class GRUCell(nn.Module):
    """r and z decide what to forget and what to renew."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.weight_ih = nn.Parameter(mg.randn(3 * hidden, inputs) / inputs**0.5)
        self.weight_hh = nn.Parameter(mg.randn(3 * hidden, hidden) / hidden**0.5)
        self.bias = nn.Parameter(mg.zeros(3 * hidden))

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """The state one time step later."""
        xr, xz, xn = linear(x, self.weight_ih, self.bias).chunk(3, 1)
        hr, hz, hn = linear(h, self.weight_hh).chunk(3, 1)
        r, z = sigmoid(xr + hr), sigmoid(xz + hz)
        n = tanh(xn + r * hn)
        return (1 - z) * n + z * h


def lstm(steps: int, hidden: int = 16) -> tuple[Tensor, list[tuple[str, Tensor]]]:
    """The loss of an LSTM over some steps, judged at the last."""
    model = nn.LSTM(8, hidden)
    with mg.no_grad():
        model.bias_hh_l0[hidden : 2 * hidden] += 3  # the forget gate begins open
    output, _ = model(mg.randn(steps, 2, 8))
    return (output[-1] ** 2).sum(), list(model.named_parameters())


def rnn(steps: int, hidden: int = 16, scale: float = 0.6) -> tuple[Tensor, list[tuple[str, Tensor]]]:
    """The same task, for an RNN whose state contracts."""
    cell = RNNCell(8, hidden, scale)
    h = mg.zeros(2, hidden)
    for t in range(steps):
        with mg.step(t, layer=0, direction="forward"):
            h = cell(mg.randn(2, 8), h)
    return (h**2).sum(), list(cell.named_parameters())


def truncated(steps: int = 6, window: int = 3) -> tuple[Tensor, list[tuple[str, Tensor]]]:
    """An RNN whose state is detached after every window: the loss sees all steps, each gradient only its window."""
    cell = RNNCell(8, 16)
    h, losses = mg.zeros(2, 16), []
    for t in range(steps):
        if t and t % window == 0:
            h = h.detach()
        with mg.step(t, layer=0, direction="forward"):
            h = cell(mg.randn(2, 8), h)
        losses.append((h**2).mean())
    return mg.stack(losses).mean(), list(cell.named_parameters())


def bidirectional_packed(layers: int = 2, sizes: tuple[int, ...] = (4, 4, 3, 1)) -> tuple[Tensor, list[tuple[str, Tensor]]]:
    """Layers of GRUs in both directions over a batch whose sequences end one after the other."""
    cells = nn.ModuleList([GRUCell(12 if layer else 5, 6) for layer in range(layers) for _ in range(2)])
    inputs = [mg.randn(rows, 5) for rows in sizes]
    for layer in range(layers):
        forward = run(cells[2 * layer], inputs, layer, "forward")
        reverse = run(cells[2 * layer + 1], inputs, layer, "reverse")
        inputs = [mg.cat(both, 1) for both in zip(forward, reverse, strict=True)]
    return (mg.cat(inputs) ** 2).mean(), list(cells.named_parameters())


def run(cell: nn.Module, inputs: list[Tensor], layer: int, direction: str) -> list[Tensor]:
    """One direction of one layer; in reverse, rows begin with zeros where their sequence ends."""
    order = range(len(inputs)) if direction == "forward" else reversed(range(len(inputs)))
    outputs: list[Tensor] = [inputs[0]] * len(inputs)
    h = mg.zeros(0 if direction == "reverse" else inputs[0].shape[0], 6)
    for t in order:
        rows = inputs[t].shape[0]
        if rows < h.shape[0]:
            h = h[:rows]
        elif rows > h.shape[0]:
            h = mg.cat([h, mg.zeros(rows - h.shape[0], 6)])
        with mg.step(t, layer=layer, direction=direction, rows=rows):
            h = outputs[t] = cell(inputs[t], h)
    return outputs


class Translator(nn.Module):
    """An encoder, and a decoder that looks back at all of the encoder's states."""

    def __init__(self, words: int = 12, size: int = 8) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, size)
        self.encoder, self.decoder = GRUCell(size, size), GRUCell(2 * size, size)
        self.scores = nn.Linear(size, words)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """(T, B) and (T', B) → the mean loss of predicting each word of the target from those before it."""
        h, states = mg.zeros(source.shape[1], 8), []
        with mg.scope("encode"):
            for t, word in enumerate(source.unbind(0)):
                with mg.step(t):
                    h = self.encoder(self.embedding(word), h)
                states.append(h)
        memory, losses = mg.stack(states, 1), []  # (B, T, H)
        with mg.scope("decode"):
            for t, (word, answer) in enumerate(zip(target[:-1].unbind(0), target[1:].unbind(0), strict=True)):
                with mg.step(t):
                    with mg.scope("attention"):
                        weights = (memory @ h.unsqueeze(2)).squeeze(2).softmax(1)  # (B, T)
                        context = (weights.unsqueeze(1) @ memory).squeeze(1)  # (B, H)
                    h = self.decoder(mg.cat([self.embedding(word), context], 1), h)
                    losses.append(nn.functional.cross_entropy(self.scores(h), answer))
        return mg.stack(losses).mean()


def main(folder: str) -> None:
    """Write every picture of the gallery."""
    into = Path(folder)
    into.mkdir(parents=True, exist_ok=True)
    mg.manual_seed(0)
    viz.graph(*lstm(4), heat="grad").save(into / "lstm.svg")
    long = lstm(100)
    viz.graph(*long, heat="grad", max_steps=4).save(into / "lstm_100.svg")
    for view in ("rolled", "module"):
        viz.graph(*long, view=view).save(into / f"lstm_100_{view}.svg")
    pair = {"RNN": viz.graph(*rnn(60), heat="grad", max_steps=4), "LSTM": viz.graph(*lstm(60), heat="grad", max_steps=4)}
    viz.beside(pair).save(into / "rnn_lstm.svg")
    viz.graph(*truncated(), heat="grad").save(into / "truncated.svg")
    viz.graph(*bidirectional_packed()).save(into / "bidirectional_packed.svg")
    model = Translator()
    loss = model(mg.randint(12, (4, 2)), mg.randint(12, (4, 2)))
    viz.graph(loss, model.named_parameters()).save(into / "seq2seq_attention.svg")
    viz.graph(loss, model.named_parameters(), view="module").save(into / "seq2seq_module.svg")


if __name__ == "__main__":
    with nn.path("stepwise"):  # every step on the tape
        main(sys.argv[1] if len(sys.argv) > 1 else "docs/gallery")
