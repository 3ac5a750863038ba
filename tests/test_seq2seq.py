"""Encoder and decoder: against plain loops, padding, teacher forcing, fit, pictures, and learning."""

import itertools

import numpy as np
import pytest
import strict
from compare import host, settle

import minigrad as mg
import minigrad_nn as nn
import minigrad_nn.functional as F
from minigrad_nn import decoding
from minigrad_nn.seq2seq import Decoder, DecoderState, Encoded, Encoder, EncoderDecoder, Memory, last_state, mean_state

KINDS = ("rnn", "lstm", "gru")
PAD, BOS, EOS = 0, 1, 2
rng = np.random.default_rng(0)


def tokens(*shape, low=0, high=7):
    return mg.tensor(np.random.default_rng(sum(shape)).integers(low, high, shape))


def attention_of(name, query, key):
    return {None: None, "additive": nn.AdditiveAttention(query, key, 5), "dot": nn.DotProductAttention(query, key)}[name]


def model_of(kind="gru", attention=None, looks="before", layers=1, both=False, context=True, H=6, dropout=0.0, **options):
    mg.manual_seed(0)
    encoder = Encoder(7, 4, H, layers, kind, bidirectional=both, dropout=dropout)
    size = encoder.output_size
    decoder = Decoder(
        8, 5, H, layers, kind, context_size=size if context else 0, attention=attention_of(attention, H, size), looks=looks, dropout=dropout
    )
    return EncoderDecoder(encoder, decoder, bridge=both, **options)


CONFIGURATIONS = [
    (kind, attention, looks, layers, both, context)
    for kind, (attention, looks), (layers, both), context in itertools.product(
        KINDS,
        [(None, "before"), ("additive", "before"), ("dot", "before"), ("additive", "after"), ("dot", "after")],
        [(1, False), (2, True)],
        [False, True],
    )
]


# ---------------------------------------------------------------------------------------------------------------- values


def by_hand(model, source, input, lengths):
    """The logits (T', B, V) and weights in plain NumPy beside the recurrent layers, one sequence and one token at a time."""
    encoder, decoder = model.encoder, model.decoder
    logits, weights = [], []
    for b in range(source.shape[1]):
        x = encoder.embedding(source[: lengths[b], b]).unsqueeze(1)
        output, state = encoder.rnn(x)
        D, H = (2 if encoder.rnn.bidirectional else 1), encoder.rnn.hidden_size
        h = state[0] if isinstance(state, tuple) else state
        context = np.concatenate([host(h)[row - D, 0] for row in range(D)])
        state = model.bridge(state) if model.bridge is not None else state
        keys = host(output)[:, 0]
        assert keys.shape[1] == D * H
        logits.append([])
        weights.append([])
        for token in host(input)[:, b]:
            parts = [host(decoder.embedding.weight)[token], *([context] if decoder.context_size else [])]
            h = host(state[0] if isinstance(state, tuple) else state)[-1, 0]
            if decoder.attention is not None and decoder.looks == "before":
                a, w = attend(decoder.attention, h, keys)
                parts.append(a)
            shown, state = decoder.rnn(mg.tensor(np.concatenate(parts)).reshape(1, 1, -1), state)
            shown = host(shown)[0, 0]
            if decoder.attention is not None:
                a, w = attend(decoder.attention, shown, keys) if decoder.looks == "after" else (a, w)
                shown = np.concatenate([shown, a])
                weights[-1].append(np.append(w, np.zeros(len(source) - lengths[b])))
            logits[-1].append(host(decoder.scores.weight) @ shown + host(decoder.scores.bias))
    return np.array(logits).transpose(1, 0, 2), np.array(weights).swapaxes(0, 1) if decoder.attention is not None else None


def attend(module, query, keys):
    W = {name: host(each) for name, each in module.named_parameters()}
    if "v" in W:
        scores = np.tanh(W["query.weight"] @ query + keys @ W["key.weight"].T) @ W["v"]
    else:
        scores = keys @ W["key.weight"].T @ query / np.sqrt(len(query))
    e = np.exp(scores - scores.max())
    return e / e.sum() @ keys, e / e.sum()


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=str)
def test_logits_against_a_loop(configuration):
    model = model_of(*configuration).double()
    source, input, lengths = tokens(5, 3), tokens(4, 3), [2, 5, 1]
    with mg.no_grad():
        expected, looked = by_hand(model, source, input, lengths)
        logits, weights = model(source, input, lengths, need_weights=True)
        assert np.allclose(host(logits), expected, atol=1e-12)
        assert weights is None if looked is None else np.allclose(host(weights), looked, atol=1e-12)
        state, stepped = model.start(source, lengths), []
        for t in range(4):
            logits, state = model.step(input[t], state)
            stepped.append(host(logits))
        assert np.allclose(stepped, expected, atol=1e-12)


@pytest.mark.parametrize("configuration", CONFIGURATIONS[::3], ids=str)
def test_padding_changes_nothing(configuration):
    model = model_of(*configuration).double()
    source, target, lengths, real = host(tokens(5, 3)), host(tokens(6, 3)), [2, 5, 1], [6, 2, 3]
    found = []
    for padding in (0, 6, 99, -1):  # ids that no embedding has among them
        for b in range(3):
            source[lengths[b] :, b], target[real[b] :, b] = padding, padding
        model.zero_grad()
        loss = model.loss(mg.tensor(source), mg.tensor(target), lengths, real)
        loss.backward()
        found.append([host(loss.detach()), *[host(each.grad) for each in model.parameters()]])
    for other in found[1:]:
        assert all(np.array_equal(*pair) for pair in zip(found[0], other, strict=True))
    alone = 0.0
    for b in range(3):
        pair = mg.tensor(source[: lengths[b], b : b + 1]), mg.tensor(target[: real[b], b : b + 1])
        alone += model.loss(*pair, reduction="sum").item()
    assert np.isclose(alone / (sum(real) - 3), found[0][0])


@pytest.mark.parametrize("configuration", CONFIGURATIONS[::5], ids=str)
def test_paths_agree_and_gradients_are_right(configuration):
    model = model_of(*configuration, H=3).double()
    source, target = tokens(3, 2), tokens(4, 2)
    loss = lambda: model.loss(source, target, [3, 2], [4, 3])
    loss().backward()
    fused = [host(each.grad) for each in model.parameters()]
    model.zero_grad()
    with nn.path("stepwise"):
        loss().backward()
    assert all(np.allclose(one, host(each.grad), atol=1e-12) for one, each in zip(fused, model.parameters(), strict=True))
    pick = np.random.default_rng(1)
    for weight, gradient in zip(model.parameters(), fused, strict=True):
        direction = pick.standard_normal(weight.shape)
        ends = []
        with mg.no_grad():
            for step in (1e-6, -2e-6):
                weight += mg.tensor(direction) * step
                ends.append(loss().item())
            weight += mg.tensor(direction) * 1e-6
        assert np.isclose((ends[0] - ends[1]) / 2e-6, (gradient * direction).sum(), rtol=1e-5, atol=1e-8)


def test_contexts():
    model = model_of("lstm", both=True)
    encoded = model.encoder(tokens(5, 3), [2, 5, 1])
    assert mg.equal(last_state(encoded), mg.cat([encoded.state[0][0], encoded.state[0][1]], 1))
    means = [host(encoded.output.detach())[:length, b].mean(0) for b, length in enumerate([2, 5, 1])]
    assert np.allclose(host(mean_state(encoded).detach()), means, atol=1e-6)
    assert mg.allclose(mean_state(model.encoder(tokens(5, 3))), model.encoder(tokens(5, 3)).output.mean(0))
    first = lambda encoded: encoded.output[0, :, :2]
    other = EncoderDecoder(Encoder(7, 4, 6), Decoder(8, 5, 6, context_size=2), context=first)
    assert other(tokens(5, 3), tokens(4, 3)).shape == (4, 3, 8)
    wrong = EncoderDecoder(Encoder(7, 4, 6), Decoder(8, 5, 6, context_size=3), context=first)
    with pytest.raises(RuntimeError, match=r"\(3, 3\).*\(3, 2\)"):
        wrong(tokens(5, 3), tokens(4, 3))


def test_the_context_reaches_every_step():
    """With a state of zeros the source reaches the logits through the context alone, and does so at all steps."""
    model = model_of(context=True)
    with mg.no_grad():
        state = model.start(tokens(5, 2))
        silent = DecoderState(mg.zeros_like(state.recurrent), state.memory)
        context = state.memory.context.detach().requires_grad_()
    logits, _, _ = model.decoder(tokens(4, 2), DecoderState(silent.recurrent, Memory(context)))
    norms = []
    for t in range(4):
        (gradient,) = mg.autograd.grad(logits[t].sum(), context, retain_graph=True)
        norms.append(gradient.norm().item())
    assert min(norms) > 0 and norms == sorted(norms), "each step adds a way"


# ------------------------------------------------------------------------------------------------------ teacher forcing


@pytest.mark.parametrize("attention", [None, "additive"])
def test_without_teacher_it_reads_what_it_wrote(attention):
    model = model_of("gru", attention)
    source, input = tokens(5, 3), tokens(6, 3)
    logits = model(source, input, teacher_forcing=0.0)
    own = mg.cat([input[:1], logits.argmax(2)[:-1]])
    assert mg.allclose(logits, model(source, own), atol=1e-5)
    assert mg.allclose(logits, model(source, mg.cat([input[:1], tokens(5, 3) * 0]), teacher_forcing=0.0)), "the teacher is not heard"
    greedy = decoding.greedy(model.step, input[0], model.start(source), eos=7, max_length=6).tokens
    for b in range(3):
        n = int((host(greedy)[b] != 7).sum())
        assert host(greedy)[b, :n].tolist() == host(logits.argmax(2))[:n, b].tolist()


def test_teacher_forcing_with_a_ratio():
    model = model_of()
    source, input = tokens(5, 400), tokens(3, 400)
    run = lambda seed: model(source, input, None, 0.3, mg.random.Generator().manual_seed(seed))
    assert mg.equal(run(1), run(1)) and not mg.equal(run(1), run(2))
    taught, alone, mixed = model(source, input), model(source, input, teacher_forcing=0.0), run(1)
    assert mg.allclose(mixed[0], taught[0], atol=1e-6), "the first input is always the teacher's"
    same = lambda other: np.isclose(host(mixed.detach())[1], host(other.detach())[1], atol=1e-5).all(1)
    decided = same(taught) != same(alone)
    assert (same(taught) | same(alone)).all() and abs(same(taught)[decided].mean() - 0.3) < 0.1
    for bad in (-0.1, 1.1):
        with pytest.raises(ValueError, match="probability"):
            model(source, input, teacher_forcing=bad)


@pytest.mark.parametrize(("attention", "looks", "fused"), [(None, "before", True), ("dot", "after", True), ("dot", "before", False)])
def test_with_a_teacher_the_decoder_runs_at_once_where_it_can(attention, looks, fused):
    model = model_of("lstm", attention, looks)
    nodes = mg.viz.graph(model(tokens(5, 2), tokens(9, 2)).sum()).snapshot.nodes
    inside = [node for node in nodes if node.scope[1:3] == ("decoder", "rnn")]
    assert {node.step for node in inside} == ({None} if fused else set(range(9)))


def test_dropout():
    model = model_of("lstm", "additive", layers=2, dropout=0.5)
    source, input = tokens(5, 2), tokens(4, 2)
    for ratio in (1.0, 0.5):
        assert not mg.equal(model(source, input, teacher_forcing=ratio), model(source, input, teacher_forcing=ratio))
    model.eval()
    assert mg.equal(model(source, input), model(source, input))


# ------------------------------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("ratio", [1.0, 0.0])
@pytest.mark.parametrize("attention", [None, "additive"])
def test_every_step_has_its_place(ratio, attention):
    model = model_of("gru", attention, layers=2)
    with nn.path("stepwise"):
        loss = model.loss(tokens(3, 2), tokens(5, 2), teacher_forcing=ratio)
    nodes = mg.viz.graph(loss, params=model.named_parameters()).snapshot.nodes
    for side, steps in (("encoder", 3), ("decoder", 4)):
        inside = [node for node in nodes if node.scope[1:] == (side, "rnn") and node.kind == "op"]
        cells = {(node.step, node.layer) for node in inside if node.step is not None}
        assert cells >= set(itertools.product(range(steps), range(2))) and {step for step, _ in cells} == set(range(steps))
    looked = {node.step for node in nodes if node.scope[1:3] == ("decoder", "attention")}
    assert looked == (set(range(4)) | {None} if attention else set())
    assert mg.viz.graph(loss).to_svg().startswith("<svg")


# ------------------------------------------------------------------------------------------------------------ what fits


@pytest.mark.parametrize(("encoder", "decoder"), [
    (dict(hidden_size=6), dict(hidden_size=5)), (dict(hidden_size=6, num_layers=2), dict(hidden_size=6)),
    (dict(hidden_size=6, bidirectional=True), dict(hidden_size=6)), (dict(hidden_size=6, kind="lstm"), dict(hidden_size=6, kind="gru")),
    (dict(hidden_size=6, kind="gru"), dict(hidden_size=6, kind="lstm")),
    (dict(hidden_size=6, kind="lstm", proj_size=2), dict(hidden_size=6, kind="lstm")),
])  # fmt: skip
def test_without_a_bridge_sizes_must_match(encoder, decoder):
    make = lambda **more: EncoderDecoder(Encoder(7, 4, **encoder), Decoder(8, 5, **decoder), **more)
    with pytest.raises(RuntimeError, match="StateBridge"):
        make()
    model = make(bridge=True)
    assert model(tokens(5, 3), tokens(4, 3), [1, 5, 2]).shape == (4, 3, 8)
    assert model.decode(tokens(5, 3), bos=1, eos=2, max_length=4, width=2).tokens.shape[:2] == (3, 2)
    own = make(bridge=nn.StateBridge(model.encoder.rnn, model.decoder.rnn, tanh=True))
    assert "bridge.h.weight" in dict(own.named_parameters())


def test_what_cannot_be_put_together_is_refused_at_once():
    for make, error, words in (
        (lambda: Encoder(7, 4, 6, kind="tree"), ValueError, "'rnn', 'lstm', 'gru'"),
        (lambda: Encoder(7, 4, 6, batch_first=True), ValueError, r"\(T, B\)"),
        (lambda: Decoder(7, 4, 6, bidirectional=True), ValueError, "direction"),
        (lambda: Decoder(7, 4, 6, looks="up"), ValueError, "before"),
        (lambda: Decoder(7, 4, 6, attention=nn.DotProductAttention(5)), ValueError, "size 6"),
        (lambda: EncoderDecoder(Encoder(7, 4, 6), Decoder(8, 5, 6, context_size=5)), ValueError, "context_size=6"),
        (lambda: EncoderDecoder(Encoder(7, 4, 6), Decoder(8, 5, 6, attention=nn.DotProductAttention(6, 12))), ValueError, "key_size=6"),
    ):  # fmt: skip
        with pytest.raises(error, match=words):
            make()


def test_inputs_that_do_not_fit():
    model = model_of("gru", "additive")
    source, input = tokens(5, 3), tokens(4, 3)
    state = model.start(source)
    for run, error in (
        (lambda: model(source.float(), input), RuntimeError), (lambda: model(source[:, 0], input[:, 0]), RuntimeError),
        (lambda: model(source, input[:, :2]), RuntimeError), (lambda: model(source, input[:0]), RuntimeError),
        (lambda: model(source[:0], input), RuntimeError),
        (lambda: model(source, input, [5, 0, 1]), RuntimeError), (lambda: model(source, input, [5, 1]), RuntimeError),
        (lambda: model(source, [[1]]), TypeError), (lambda: model.loss(source, input, None, [5, 1, 1]), RuntimeError),
        (lambda: model.loss(source, input, None, [4, 1]), RuntimeError), (lambda: model.loss(source, input[:1]), RuntimeError),
        (lambda: model(source, input + 50), IndexError), (lambda: model.decoder(input, state.recurrent), TypeError),
        (lambda: model.decoder(input, DecoderState(None, state.memory)), RuntimeError),
        (lambda: model.decoder(input, DecoderState(state.recurrent[:, :2], state.memory)), RuntimeError),
        (lambda: model.decoder(input, DecoderState(state.recurrent, Memory())), RuntimeError),
        (lambda: model.decoder(input, DecoderState(state.recurrent, Memory(state.memory.context))), RuntimeError),
        (lambda: model.decode(source, bos=1, eos=8, max_length=3), ValueError),
    ):  # fmt: skip
        with pytest.raises(error):
            run()
            settle()


@pytest.mark.parametrize("attention", [None, "dot"])
def test_one_step_one_sequence_and_none(attention):
    model = model_of("lstm", attention)
    assert model(tokens(1, 1), tokens(1, 1), [1]).shape == (1, 1, 8)
    assert model(tokens(3, 0), tokens(2, 0)).shape == (2, 0, 8)
    assert model.decode(tokens(1, 1), [1], bos=1, eos=2, max_length=1).tokens.shape == (1, 1, 1)
    assert model.decode(tokens(2, 0), bos=1, eos=2, max_length=3, width=2).sequences() == []


def test_it_is_saved_and_loaded_by_name():
    model = model_of("lstm", "additive", both=True)
    twin = model_of("lstm", "additive", both=True)
    with mg.no_grad():
        for each in twin.parameters():
            each.zero_()
    twin.load_state_dict(model.state_dict())
    assert mg.equal(model(tokens(5, 3), tokens(4, 3)), twin(tokens(5, 3), tokens(4, 3)))
    halves = {name.split(".")[0] for name in model.state_dict()}
    assert halves == {"encoder", "decoder", "bridge"}


def test_rows_of_a_decoders_state():
    model = model_of("lstm", "additive")
    state = model.start(tokens(5, 3), [1, 5, 3])
    rows = mg.tensor([2, 2, 0, 1])
    whole, _ = model.step(tokens(4, 3)[0][rows], state.select_rows(rows))
    parts, _ = model.step(tokens(4, 3)[0], state)
    assert mg.allclose(whole, parts[rows], atol=1e-6)
    bare = DecoderState(state.recurrent, Memory()).select_rows(rows)
    assert bare.memory == Memory() and bare.recurrent[1].shape == (1, 4, 6)
    assert isinstance(Encoded(None, None, None), tuple)


# ------------------------------------------------------------------------------------------------------------- learning


def pairs(chance, B, V=8, most=4, reverse=True):
    """Words of 1 to `most` symbols and the same words turned round: (most, B) and (most + 2, B), and their lengths."""
    lengths = chance.integers(1, most + 1, B)
    source, target = np.full((most, B), PAD), np.full((most + 2, B), PAD)
    target[0] = BOS
    for b, n in enumerate(lengths):
        word = chance.integers(3, V, n)
        source[:n, b], target[1 : n + 1, b], target[n + 1, b] = word, word[::-1] if reverse else word, EOS
    return mg.tensor(source), mg.tensor(target), lengths


def exact(model, source, target, lengths, width):
    """The share of words that are written without any mistake."""
    found = model.decode(source, lengths, bos=BOS, eos=EOS, max_length=8, width=width).sequences()
    wanted = [host(target)[1 : n + 1, b].tolist() for b, n in enumerate(lengths)]
    return np.mean([best == want for (best, *_), want in zip(found, wanted, strict=True)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("attention", "looks"), [(None, "before"), ("additive", "before"), ("dot", "after")])
def test_it_learns_to_turn_words_round(kind, attention, looks):
    mg.manual_seed(0)
    chance, H = np.random.default_rng(0), 32
    encoder = Encoder(8, 12, H, kind=kind, bidirectional=attention is not None)
    decoder = Decoder(
        8, 12, H, kind=kind, context_size=encoder.output_size, attention=attention_of(attention, H, encoder.output_size), looks=looks
    )
    model = EncoderDecoder(encoder, decoder, bridge=attention is not None)
    adam, test = nn.optim.Adam(model.parameters(), lr=0.01), pairs(np.random.default_rng(99), 100)
    for step in range(1500):
        source, target, lengths = pairs(chance, 32)
        adam.zero_grad()
        model.loss(source, target, lengths, lengths + 2, teacher_forcing=1.0 if step % 2 else 0.7).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        if step % 50 == 49 and exact(model, *test, width=1) == 1:
            break
    assert exact(model, *test, width=1) == 1 and exact(model, *test, width=3) == 1


# -------------------------------------------------------------------------------------------------------- on a device


@pytest.mark.parametrize("attention", [None, "additive", "dot"])
def test_a_training_step_waits_for_no_device(attention):
    mg.set_default_device("strict")
    model = model_of("lstm", attention, both=True)
    source, target = tokens(5, 3), tokens(4, 3)
    with strict.counting() as counted:
        logits = model(source, target[:-1])
        F.cross_entropy(logits.flatten(0, 1), target[1:].reshape(-1)).backward()
    assert counted.waits == [] and counted.copies == []
