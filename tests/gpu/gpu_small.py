"""A few training steps on small shapes, with every kernel that serves them: what compute-sanitizer watches."""

from __future__ import annotations

import sys

import minigrad as mg
import minigrad_nn as nn
from minigrad_nn.kernels.choose import DESIGNS
from minigrad_nn.utils import clip_grad_norm_
from minigrad_nn.utils.rnn import pack_padded_sequence


def step(layer: nn.Module, given: object, kernel: str) -> None:
    """Forward, backward, clipping, Adam."""
    with nn.path("fused", kernel=kernel):
        output = layer(given)[0]
    y = output if isinstance(output, mg.Tensor) else output.data
    y.square().mean().backward()
    clip_grad_norm_(layer.parameters(), 1.0)
    mg.optim.Adam(layer.parameters()).step()


def main(where: str = "cuda") -> None:
    """Every cell, padded and packed, in both directions; a kernel that does not serve a layer is passed over by its own word."""
    mg.set_default_device(where)
    for kernel in DESIGNS:
        for kind in ("RNN", "LSTM", "GRU"):
            for H in (3, 33, 260):  # the last is for d2
                print(kind, H, kernel, flush=True)  # how far it came, if it is stopped
                layer, x = getattr(nn, kind)(5, H, bidirectional=True), mg.randn(4, 3, 5)
                for given in (x, pack_padded_sequence(x, [4, 2, 1])):
                    try:
                        step(layer, given, kernel)
                    except ValueError as refused:
                        if "none computes this" not in str(refused):
                            raise
                        print(refused, flush=True)
    mg.cuda.synchronize() if where == "cuda" else None
    print("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
