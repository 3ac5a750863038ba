"""Encoder and decoder: one recurrent network reads a sequence, another writes one.

    source (T, B)  -> Encoder -> all its states (T, B, D·R), the last state -> bridge ┐
                                        └── context (B, C), and what attention looks at ──> Decoder -> logits (T', B, V)

Sequences are (time, batch). A target begins with <bos> and ends with <eos>: the decoder reads `target[:-1]` and is to
answer `target[1:]`. Reading what it should have written is called teacher forcing; with a ratio below 1 it reads, now
and then, what it has written itself.

Sizes: T steps of the source and T' of the target, E of an embedding, C of the context, K of what attention finds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import minigrad
from minigrad import Tensor, ops
from minigrad.random import Generator

from . import functional as F
from .attention import Attention
from .decoding import Decoded, beam_search, select_rows
from .layers import Dropout, Embedding, Linear
from .masks import masked_cross_entropy, sequence_mask
from .module import Module
from .recurrent import GRU, LSTM, RNN, RNNBase
from .states import StateBridge, require_matching_states, top_state
from .utils.rnn import PackedSequence, host_lengths, pack_padded_sequence, pad_packed_sequence

__all__ = ["Decoder", "DecoderState", "Encoded", "Encoder", "EncoderDecoder", "Memory", "last_state", "mean_state"]

KINDS: dict[str, Callable[..., RNNBase]] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}


def _layers(kind: str, sizes: tuple[int, int, int], dropout: float, options: dict[str, Any]) -> RNNBase:
    """The recurrent layers of an encoder or decoder: (input size, hidden size, layers)."""
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(map(repr, KINDS))}, got {kind!r}")
    if "batch_first" in options:
        raise ValueError("encoders and decoders take sequences (T, B); transpose what comes with the batch first: x.t()")
    return KINDS[kind](*sizes, dropout=dropout if sizes[2] > 1 else 0.0, **options)


# ------------------------------------------------------------------------------------------------------------- encoder


class Encoded(NamedTuple):
    """What an encoder made of its source.

    output  (T, B, D·R): the top layer's states at every step, 0 in the padding
    state   the last state of every layer and direction, (L·D, B, R), or a pair of them, each sequence's at its own end
    mask    (B, T): which steps are real; None where all are
    """

    output: Tensor
    state: Any
    mask: Tensor | None


def last_state(encoded: Encoded) -> Tensor:
    """(B, D·R): the top layer's last state, both directions side by side, as the context of every decoder step."""
    h = encoded.state[0] if isinstance(encoded.state, tuple) else encoded.state
    return top_state(h, bidirectional=h.array.shape[-1] != encoded.output.array.shape[-1])


def mean_state(encoded: Encoded) -> Tensor:
    """(B, D·R): the mean of the top layer's states at all real steps, as the context of every decoder step."""
    if encoded.mask is None:
        return encoded.output.mean(0)
    return encoded.output.sum(0) / encoded.mask.sum(1, keepdim=True).to(encoded.output.dtype)  # 0 in the padding


class Encoder(Module):
    """Embedded tokens, read by recurrent layers; each sequence to its own end, none through its padding.

    num_embeddings, embedding_dim   of the `Embedding`: size of the vocabulary, size of the vectors
    hidden_size, num_layers, kind   of the recurrent layers: "rnn", "lstm" or "gru"
    dropout                         after the embedding and between layers
    options                         what else the layers take: proj_size, nonlinearity, path, …

    Shapes: source (T, B) of int64, lengths (B,) or None → `Encoded`
    Raises: ValueError for an unknown kind, RuntimeError for a source or lengths that do not fit
    Source: Cho et al. 2014; Sutskever, Vinyals & Le 2014

    >>> encoded = Encoder(10, 4, 3, bidirectional=True)(minigrad.zeros(7, 2, dtype=minigrad.int64), lengths=[7, 5])
    >>> encoded.output.shape, encoded.state.shape
    (minigrad.Size([7, 2, 6]), minigrad.Size([2, 2, 3]))
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        hidden_size: int,
        num_layers: int = 1,
        kind: str = "gru",
        *,
        bidirectional: bool = False,
        dropout: float = 0.0,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.embedding = Embedding(num_embeddings, embedding_dim, padding_idx, device=device, dtype=dtype)
        self.dropout = Dropout(dropout)
        options |= {"bidirectional": bidirectional, "device": device, "dtype": dtype}
        self.rnn = _layers(kind, (embedding_dim, hidden_size, num_layers), dropout, options)

    @property
    def output_size(self) -> int:
        """D·R, the size of what it shows at every step."""
        return _shown(self.rnn) * (2 if self.rnn.bidirectional else 1)

    def forward(self, source: Tensor, lengths: Any = None) -> Encoded:
        """(T, B) → `Encoded`"""
        _require_tokens("the encoder", source)
        if lengths is None:
            output, state = self.rnn(self.dropout(self.embedding(source)))
            return Encoded(output, state, None)
        packed = pack_padded_sequence(source, lengths, enforce_sorted=False)  # before the embedding: padding may hold any ids
        output, state = self.rnn(PackedSequence(self.dropout(self.embedding(packed.data)), *packed[1:]))
        steps = source.array.shape[0]
        padded, real = pad_packed_sequence(output, total_length=steps)
        return Encoded(padded, state, sequence_mask(real, steps).to(source.device))


# ------------------------------------------------------------------------------------------------------------- decoder


class Memory(NamedTuple):
    """What a decoder keeps of the source, the same at every step; None for what it does not use.

    context  (B, C): joined to every input
    keys     (B, T, A): the encoder's states, as the attention has projected them
    values   (B, T, K): the encoder's states
    mask     (B, 1, T): where queries may look
    """

    context: Tensor | None = None
    keys: Tensor | None = None
    values: Tensor | None = None
    mask: Tensor | None = None


class DecoderState(NamedTuple):
    """Where a decoder stands: the state of its layers, (L, B, R) or a pair, and its memory of the source."""

    recurrent: Any
    memory: Memory

    def select_rows(self, rows: Tensor) -> DecoderState:
        """These rows of the batch, in this order."""
        memory = Memory(*[None if each is None else each.index_select(0, rows) for each in self.memory])
        return DecoderState(select_rows(self.recurrent, rows), memory)


class Decoder(Module):
    """Recurrent layers that write a sequence, token after token, with the scores of each token given those before it.

        (1)  x[t] = [embedding(token[t]), context, a[t] if it looks before]       side by side
        (2)  h[t], state = layers(x[t], state)
        (3)  logits[t] = W_s @ [h[t], a[t]] + b_s

    where a[t] is what `attention` finds for a query. With looks="before" the query is the top layer's h[t-1], as Bahdanau
    has it, so that what is found takes part in the step; with looks="after" it is h[t], as Luong has it, so that no step
    waits for its predecessor's attention. Without attention there is no a.

    context_size     C, the size of the context that is fed to every step; 0 for none
    attention        an `AdditiveAttention` or `DotProductAttention` for queries of size R and keys of the encoder's output size
    the others       as for `Encoder`; a decoder runs in one direction

    Shapes: input (T', B) of int64, `DecoderState` → logits (T', B, V), state after the last step, weights (T', B, T) or None
    Raises: ValueError for options that do not fit, RuntimeError for inputs that do not
    Source: Cho et al. 2014; Bahdanau, Cho & Bengio 2014; Luong, Pham & Manning 2015

    >>> decoder = Decoder(10, 4, 3, context_size=6)
    >>> state = DecoderState(minigrad.zeros(1, 2, 3), Memory(context=minigrad.zeros(2, 6)))
    >>> decoder(minigrad.zeros(5, 2, dtype=minigrad.int64), state)[0].shape
    minigrad.Size([5, 2, 10])
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        hidden_size: int,
        num_layers: int = 1,
        kind: str = "gru",
        *,
        context_size: int = 0,
        attention: Attention | None = None,
        looks: str = "before",
        dropout: float = 0.0,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
        **options: Any,
    ) -> None:
        super().__init__()
        if looks not in ("before", "after"):
            raise ValueError(f"looks must be 'before' a step (query h[t-1]) or 'after' it (query h[t]), got {looks!r}")
        if options.get("bidirectional"):
            raise ValueError("a decoder runs in one direction: what it would read backwards is not written yet")
        self.context_size, self.looks = context_size, looks
        self.embedding = Embedding(num_embeddings, embedding_dim, padding_idx, device=device, dtype=dtype)
        self.dropout = Dropout(dropout)
        found = attention.key_size if attention else 0  # size of a
        inputs = embedding_dim + context_size + (found if looks == "before" else 0)
        self.rnn = _layers(kind, (inputs, hidden_size, num_layers), dropout, options | {"device": device, "dtype": dtype})
        if attention is not None and attention.query_size != _shown(self.rnn):
            raise ValueError(f"the attention takes queries of size {attention.query_size}; this decoder's are of size {_shown(self.rnn)}")
        self.attention = attention
        self.scores = Linear(_shown(self.rnn) + found, num_embeddings, True, device, dtype)

    def remember(self, encoded: Encoded, context: Tensor | None = None) -> Memory:
        """What the steps need of the source, computed once."""
        if self.attention is None:
            return Memory(context)
        values = encoded.output.transpose(0, 1)  # (B, T, K)
        with minigrad.scope("attention"):
            keys = self.attention.project(values)
        return Memory(context, keys, values, None if encoded.mask is None else encoded.mask.unsqueeze(1))

    def forward(
        self, input: Tensor, state: DecoderState, teacher_forcing: float = 1.0, generator: Generator | None = None
    ) -> tuple[Tensor, DecoderState, Tensor | None]:
        """(T', B) → (T', B, V), `DecoderState`, (T', B, T) or None

        With teacher_forcing p, each sequence reads at each step input[t] with probability p, else the token that had the
        largest logit; at the first step always input[0]. With p = 1 and no attention that looks before a step, the layers
        run over all steps at once, on their fast path.
        """
        self._check(input, state, teacher_forcing)
        if teacher_forcing == 1 and input.array.shape[0] > 1 and (self.attention is None or self.looks == "after"):
            return self._at_once(input, state)
        return self._step_by_step(input, state, teacher_forcing, generator)

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """(B,) → (B, V), `DecoderState`: what the functions of `decoding` call."""
        logits, state, _ = self(tokens.unsqueeze(0), state)
        return logits.squeeze(0), state

    def _at_once(self, input: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState, Tensor | None]:
        """All steps, where none depends on what was found in the one before."""
        x, memory = self.dropout(self.embedding(input)), state.memory
        if memory.context is not None:
            x = ops.cat([x, memory.context.expand(x.array.shape[0], -1, -1)], 2)  # (1)
        h, recurrent = self.rnn(x, state.recurrent)  # (2)
        a, weights = self._found(h.transpose(0, 1), memory)
        logits = self.scores(h if a is None else ops.cat([h, a.transpose(0, 1)], 2))  # (3)
        return logits, DecoderState(recurrent, memory), None if weights is None else weights.transpose(0, 1)

    def _step_by_step(
        self, input: Tensor, state: DecoderState, ratio: float, generator: Generator | None
    ) -> tuple[Tensor, DecoderState, Tensor | None]:
        """One step after the other, each with its number on the tape."""
        layers, forced = _by_layer(state.recurrent), input.unbind(0)
        xs = self.dropout(self.embedding(input)).unbind(0) if ratio == 1 else None
        shown: list[Tensor] = []
        logits: list[Tensor] = []
        weights: list[Any] = []
        for t, tokens in enumerate(forced):
            with minigrad.step(t):
                if t and xs is None:
                    tokens = self._own_or(tokens, logits[-1], ratio, generator)
                x = self.dropout(self.embedding(tokens)) if xs is None else xs[t]  # (B, E)
                h, layers, looked = self._one(t, x, layers, state.memory)
                (shown if xs else logits).append(h if xs else self.scores(h))
            weights.append(looked)
        recurrent = [ops.stack(each) for each in zip(*layers)]
        after = DecoderState(recurrent[0] if len(recurrent) == 1 else tuple(recurrent), state.memory)
        found = self.scores(ops.stack(shown)) if xs else ops.stack(logits)  # (3)
        return found, after, None if self.attention is None else ops.stack(weights)

    def _own_or(self, tokens: Tensor, logits: Tensor, ratio: float, generator: Generator | None) -> Tensor:
        """Each of the tokens (B,) with probability `ratio`, else the one written last, with the largest of its logits (B, V)."""
        forced = minigrad.rand(*tokens.array.shape, generator=generator, device=tokens.device) < ratio
        return ops.where(forced, tokens, logits.detach().argmax(1))

    def _one(self, t: int, x: Tensor, layers: list[Any], memory: Memory) -> tuple[Tensor, list[Any], Tensor | None]:
        """Step t from an embedded token (B, E): what is shown to the scores, the states of the layers, the weights of the attention."""
        parts = [x] if memory.context is None else [x, memory.context]
        a = weights = None
        if self.attention is not None and self.looks == "before":
            a, weights = self._found(layers[-1][0].unsqueeze(1), memory)
            parts.append(a.squeeze(1))  # type: ignore[union-attr]
        h, layers = self._advance(t, ops.cat(parts, 1) if len(parts) > 1 else parts[0], layers)  # (1), (2)
        if self.attention is not None and self.looks == "after":
            a, weights = self._found(h.unsqueeze(1), memory)
        if a is None or weights is None:
            return h, layers, None
        return ops.cat([h, a.squeeze(1)], 1), layers, weights.squeeze(1)

    def _found(self, query: Tensor, memory: Memory) -> tuple[Tensor | None, Tensor | None]:
        """(B, T', R) → a (B, T', K) and weights (B, T', T); None twice without attention"""
        if self.attention is None or memory.keys is None or memory.values is None:
            return None, None
        with minigrad.scope("attention"):
            return self.attention.attend(query, memory.keys, memory.values, memory.mask)

    def _advance(self, t: int, x: Tensor, layers: list[Any]) -> tuple[Tensor, list[Any]]:
        """One step of all layers by their cells: for a single step these are faster than the kernels."""
        rnn, after = self.rnn, []
        with minigrad.scope("rnn"):
            for layer, states in enumerate(layers):
                x = F.dropout(x, rnn.dropout, rnn.training) if layer else x
                with minigrad.step(t, layer, "forward"):
                    after.append(list(rnn._step(x, states, rnn._weights(layer, ""), None)))
                x = after[-1][0]
        return x, after

    def _check(self, input: Tensor, state: DecoderState, teacher_forcing: float) -> None:
        """Every check of forward that the layers do not make."""
        _require_tokens("the decoder", input)
        if not 0 <= teacher_forcing <= 1:
            raise ValueError(f"teacher_forcing is a probability, in [0, 1], got {teacher_forcing!r}")
        if not isinstance(state, DecoderState):
            raise TypeError(f"the decoder takes a DecoderState, as EncoderDecoder.start makes it, got {type(state).__name__}")
        batch, (context, keys, *_) = input.array.shape[1], state.memory
        size = None if context is None else tuple(context.array.shape)
        if size != ((batch, self.context_size) if self.context_size else None):
            wanted = f"({batch}, {self.context_size})" if self.context_size else "None, since its context_size is 0,"
            raise RuntimeError(f"this decoder takes a context {wanted} for {batch} sequences, got {size}")
        if (keys is None) != (self.attention is None) or (keys is not None and keys.array.shape[0] != batch):
            raise RuntimeError(f"the memory is not one for this decoder and {batch} sequences; make it with remember(encoded, context)")
        states = self.rnn._listed(state.recurrent)
        if any(each is None for each in states):
            raise RuntimeError("the decoder needs a state to start from; zeros, if the source shall not reach it that way")
        self.rnn._check_states(states, batch, (*input.array.shape, self.rnn.input_size), True)

    def extra_repr(self) -> str:
        return f"context_size={self.context_size}" + (f", looks={self.looks!r}" if self.attention else "")


def _shown(rnn: RNNBase) -> int:
    """R, the size of what one direction shows."""
    return rnn.proj_size or rnn.hidden_size


def _by_layer(recurrent: Any) -> list[list[Tensor]]:
    """The states (L, B, R) of all layers → per layer its states (B, R)"""
    kinds = recurrent if isinstance(recurrent, (tuple, list)) else [recurrent]
    return [list(each) for each in zip(*[kind.unbind(0) for kind in kinds])]


def _require_tokens(who: str, tokens: Any) -> None:
    """TypeError or RuntimeError for anything but (T, B) of integers, with T at least 1."""
    if not isinstance(tokens, Tensor):
        raise TypeError(f"{who} takes a tensor of tokens (T, B), got {type(tokens).__name__}")
    shape = tuple(tokens.array.shape)
    if len(shape) != 2 or tokens.array.dtype.kind not in "iu" or shape[0] == 0:
        raise RuntimeError(f"{who} takes tokens (T, B) of integers with at least one step, got shape {shape} of {tokens.dtype}")


def _real_tokens(tokens: Tensor, lengths: Any) -> Tensor:
    """(T, B) of bools; RuntimeError for lengths that are not B numbers from 0 to T."""
    if lengths is None:
        return ops.ones_like(tokens, dtype=bool)
    (T, B), sizes = tokens.array.shape, host_lengths(lengths)
    if sizes.size != B or ((sizes < 0) | (sizes > T)).any():
        raise RuntimeError(f"a target of shape {(T, B)} needs {B} lengths from 0 to {T}, got {sizes.size}: {sizes.tolist()}")
    return sequence_mask(sizes, T).t().to(tokens.device)


# ---------------------------------------------------------------------------------------------------------------- both


class EncoderDecoder(Module):
    """An encoder, a decoder that starts from its last state, and what the decoder is told of the source at every step.

    bridge   True for a `StateBridge`, or a Module of your own, from the encoder's last state to the decoder's first; needed
             where their sizes differ
    context  any function of what was encoded, `Encoded` → (B, decoder.context_size), fed to every decoder step:
             `last_state` (the default), `mean_state`, or your own; not called where context_size is 0

    Shapes: source (T, B), input (T', B), lengths (B,) of the sources or None → logits (T', B, V)
    Raises: RuntimeError at construction where the two do not fit, ValueError for sizes of context or attention that do not
    Source: Cho et al. 2014; Sutskever, Vinyals & Le 2014

    >>> encoder = Encoder(10, 4, 8, kind="lstm", bidirectional=True)
    >>> decoder = Decoder(12, 4, 8, kind="lstm", context_size=16)
    >>> model = EncoderDecoder(encoder, decoder, bridge=True)
    >>> source, target = minigrad.ones(7, 2, dtype=minigrad.int64), minigrad.ones(5, 2, dtype=minigrad.int64)
    >>> model(source, target[:-1], lengths=[7, 3]).shape
    minigrad.Size([4, 2, 12])
    """

    def __init__(self, encoder: Encoder, decoder: Decoder, bridge: Any = None, context: Callable[[Encoded], Tensor] = last_state) -> None:
        super().__init__()
        if bridge is None or bridge is False:
            require_matching_states(encoder.rnn, decoder.rnn)
        if context is last_state and decoder.context_size not in (0, encoder.output_size):
            raise ValueError(
                f"the context is the encoder's last state, of size {encoder.output_size}, and the decoder's context_size is "
                f"{decoder.context_size}; give the decoder context_size={encoder.output_size}, or 0 for no context"
            )
        if decoder.attention is not None and decoder.attention.key_size != encoder.output_size:
            raise ValueError(
                f"the decoder's attention takes keys of size {decoder.attention.key_size}, and the encoder shows {encoder.output_size} "
                f"at every step; give the attention key_size={encoder.output_size}"
            )
        self.encoder, self.decoder, self.context = encoder, decoder, context
        weight = decoder.scores.weight
        made = StateBridge(encoder.rnn, decoder.rnn, device=weight.device, dtype=weight.dtype) if bridge is True else bridge
        self.bridge = None if made is False else made

    def start(self, source: Tensor, lengths: Any = None) -> DecoderState:
        """The state before the first token, after the source (T, B) was read."""
        encoded = self.encoder(source, lengths)
        recurrent = encoded.state if self.bridge is None else self.bridge(encoded.state)
        context = self.context(encoded) if self.decoder.context_size else None
        with minigrad.scope("decoder"):
            return DecoderState(recurrent, self.decoder.remember(encoded, context))

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """(B,) → logits (B, V) of the next token, and the state after: what the functions of `decoding` call."""
        return self.decoder.step(tokens, state)

    def forward(
        self,
        source: Tensor,
        input: Tensor,
        lengths: Any = None,
        teacher_forcing: float = 1.0,
        generator: Generator | None = None,
        need_weights: bool = False,
    ) -> Any:
        """(T, B), (T', B) → (T', B, V), with need_weights also those of the attention, (T', B, T)

        `input` is the target without its last token, and `teacher_forcing` how likely it is to be read, see `Decoder.forward`.
        """
        if isinstance(source, Tensor) and isinstance(input, Tensor) and source.array.shape[1:] != input.array.shape[1:]:
            raise RuntimeError(f"source and input must be (T, B) and (T', B), got shapes {tuple(source.shape)} and {tuple(input.shape)}")
        logits, _, weights = self.decoder(input, self.start(source, lengths), teacher_forcing, generator)
        return (logits, weights) if need_weights else logits

    def loss(
        self,
        source: Tensor,
        target: Tensor,
        source_lengths: Any = None,
        target_lengths: Any = None,
        teacher_forcing: float = 1.0,
        generator: Generator | None = None,
        **options: Any,
    ) -> Tensor:
        """-ln p of target[1:] given target[:-1], averaged over its real tokens

        Lengths count <bos> and <eos>; `options` are those of `masked_cross_entropy`: reduction, label_smoothing, …

        Shapes: source (T, B), target (T'+1, B), lengths (B,) or None → ()
        """
        _require_tokens("the loss", target)
        real = _real_tokens(target, target_lengths)
        input = target.masked_fill(~real, 0)[:-1]  # padding may hold any ids
        logits = self(source, input, source_lengths, teacher_forcing, generator)
        return masked_cross_entropy(logits, target[1:], mask=real[1:], **options)

    def decode(
        self, source: Tensor, lengths: Any = None, *, bos: int, eos: int, max_length: int, width: int = 1, length_penalty: float = 0.0
    ) -> Decoded:
        """What is written for each source, by `decoding.beam_search`; greedily with width 1

        Shapes: source (T, B), lengths (B,) or None → tokens (B, width, T') and the rest of `Decoded`
        """
        with minigrad.no_grad():
            state = self.start(source, lengths)
            first = ops.full((source.array.shape[1],), bos, dtype="int64", device=source.device)
            return beam_search(
                self.step, first, state, eos=eos, max_length=max_length, width=width, length_penalty=length_penalty,
                reorder=DecoderState.select_rows,
            )  # fmt: skip
