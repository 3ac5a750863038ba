"""The graph of back-propagation through three steps of an LSTM, as a picture: python examples/draw_bptt.py [FILE.svg]"""

from __future__ import annotations

import sys

import minigrad as mg
import minigrad_nn as nn


def main(path: str) -> None:
    """Run one window after another, as truncated training does, and draw the second."""
    lstm, scores = nn.LSTM(8, 16, path="stepwise"), nn.Linear(16, 5)
    x, y = mg.randn(3, 2, 8), mg.randint(5, (6,))  # (T, B, I), (T*B,)
    _, state = lstm(x)
    state = tuple(each.detach() for each in state)  # the state goes on, the gradient does not
    h, _ = lstm(x, state)  # (T, B, H)
    loss = nn.functional.cross_entropy(scores(h).flatten(0, 1), y)
    parameters = [*lstm.named_parameters(prefix="lstm"), *scores.named_parameters(prefix="scores")]
    mg.viz.graph(loss, params=parameters).save(path)
    print(path)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "bptt.svg")
