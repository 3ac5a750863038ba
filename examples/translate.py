"""A recurrent encoder reads a sentence, a recurrent decoder with attention writes it in another language.

    python examples/translate.py                                 # numbers in words, English to French
    python examples/translate.py --to ru --cell lstm --attention additive
    python examples/translate.py --task countries --to de        # names of countries and languages, letter by letter
    python examples/translate.py --pairs fra.txt --lower         # sentences of your own, as Tatoeba has them
    python examples/translate.py --load out/translate/model.safetensors --sentence "ninety-nine thousand and one"

Read the first hundred lines: the model, the training loop, greedy and beam search, where the decoder looked. Beside it:
sentence_pairs.py (tokens, parts, batches), number_pairs.py and country_pairs.py, translate_options.py and running.py,
translate_baselines.py (what there is to beat), translate_plots.py and fonts.py, saved_model.py.

Sizes: T steps of the source and T' of the target, B sentences, E embedding, H hidden, L layers, V tokens of the target.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import NamedTuple

import minigrad as mg
import minigrad_nn as nn
import numpy as np
from minigrad_nn import optim
from minigrad_nn.utils.data import BucketSampler, DataLoader

import running
import translate_options as command_line
from saved_model import load_model, save_model
from sentence_pairs import BOS, EOS, SPECIALS, Corpus, columns, encode, join, tokens
from translate_baselines import nearest_pair, word_by_word
from translate_plots import attention_maps, loss_curve


def translator(sources: int, targets: int, options: argparse.Namespace) -> nn.EncoderDecoder:
    """Encoder and decoder for vocabularies of these sizes.

    The decoder starts from the encoder's last state, which is also the context that every one of its steps reads. With
    attention it looks at all states of the encoder besides: before a step (additive, Bahdanau), or after it (dot, Luong).
    """
    E, H, L = options.embedding, options.hidden, options.layers
    encoder = nn.Encoder(sources, E, H, L, options.cell, bidirectional=True, dropout=options.dropout)
    attention: nn.Attention | None = None
    if options.attention == "additive":
        attention = nn.AdditiveAttention(H, encoder.output_size, H)  # (query size, key size, hidden size)
    elif options.attention == "dot":
        attention = nn.DotProductAttention(H, encoder.output_size)
    looks = "before" if options.attention == "additive" else "after"
    decoder = nn.Decoder(
        targets, E, H, L, options.cell, context_size=encoder.output_size, attention=attention, looks=looks, dropout=options.dropout
    )
    return nn.EncoderDecoder(encoder, decoder, bridge=True)  # the bridge makes one direction's first state of two directions' last


def train(model: nn.EncoderDecoder, examples: list[tuple[list[int], list[int]]], options: argparse.Namespace) -> list[float]:
    """Train the model in place on (source, target) numbers; returns the loss of each batch.

    The decoder reads what it should have written: teacher forcing, which a ratio below 1 gives up here and there.
    """
    similar = BucketSampler([len(source) + len(target) for source, target in examples], options.batch)  # so that little is padded
    loader = DataLoader(examples, batch_sampler=similar, collate_fn=list)
    steps = options.epochs * len(loader)
    optimizer = optim.Adam(model.parameters(), lr=options.lr)
    schedule = optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    losses: list[float] = []
    with running.progress(options.epochs * len(examples), "pair") as bar:
        for _ in range(options.epochs):
            for batch in loader:
                source, lengths = columns([source for source, _ in batch], options.device)  # (T, B)
                target, written = columns([target for _, target in batch], options.device)  # (T' + 1, B), <bos> … <eos>
                logits = model(source, target[:-1], lengths, options.teacher_forcing)  # (T', B, V)
                loss = nn.masked_cross_entropy(logits, target[1:], [length - 1 for length in written])  # padding counts for nothing

                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                schedule.step()

                losses.append(loss.item())
                bar.set_postfix_str(f"loss {losses[-1]:.4f}", refresh=False)
                bar.update(len(batch))
    return losses


def translate(model: nn.EncoderDecoder, sources: list[list[int]], options: argparse.Namespace, width: int) -> list[list[int]]:
    """What the model writes for each source until <eos>: with width 1 always the likeliest token, else the best of a beam search."""
    model.eval()
    found: list[list[int]] = [[] for _ in sources]
    for rows in BucketSampler([len(source) for source in sources], 200, shuffle=False):
        source, lengths = columns([sources[row] for row in rows], options.device)  # (T, B)
        beams = model.decode(source, lengths, bos=BOS, eos=EOS, max_length=options.longest + 1, width=width, length_penalty=1.0)
        for row, (best, *_) in zip(rows, beams.sequences(), strict=True):
            found[row] = best
    return found


@mg.no_grad()
def attention_weights(model: nn.EncoderDecoder, source: list[int], written: list[int], device: str) -> np.ndarray:
    """(T', T): how much of each token of the source was in what the decoder saw when it wrote each token, <eos> included."""
    model.eval()
    x, y = columns([source], device)[0], columns([[BOS, *written]], device)[0]  # (T, 1), (T', 1)
    _, weights = model(x, y, need_weights=True)  # (T', 1, T)
    return weights[:, 0].cpu().numpy()


# ------------------------------------------------------------------------around it: what is asked for, what is shown


class Languages(NamedTuple):
    """How texts become numbers and back."""

    level: str
    source: nn.Vocabulary
    target: nn.Vocabulary

    @classmethod
    def of(cls, train: list[tuple[str, str]], level: str, min_freq: int) -> Languages:
        """The tokens of these pairs."""
        sides = ([token for pair in train for token in tokens(pair[side], level)] for side in (0, 1))
        return cls(level, *(nn.Vocabulary(side, min_freq, SPECIALS) for side in sides))

    def read(self, sentences: list[str]) -> list[list[int]]:
        """The numbers of sentences to translate."""
        return [self.source.encode(tokens(sentence, self.level)) for sentence in sentences]

    def write(self, numbers: list[int]) -> str:
        """The sentence that these numbers are."""
        return join(self.target.decode(numbers), self.level)


def marks(answers: list[str], held_out: list[tuple[str, list[str]]], level: str) -> tuple[float, float]:
    """(share of answers that are one of the right ones, BLEU), token by token."""
    given = [tokens(answer, level) for answer in answers]
    right = [[tokens(target, level) for target in targets] for _, targets in held_out]
    exact = sum(answer in several for answer, several in zip(given, right, strict=True)) / len(right)
    return exact, nn.metrics.bleu(given, right).score


def measure(model: nn.EncoderDecoder, found: Corpus, languages: Languages, options: argparse.Namespace) -> None:
    """Print the table of held-out results, a few translations, and last the line that matters."""
    sources = [source for source, _ in found.held_out]
    name = f"{options.cell.upper()}, {options.attention} attention"
    answers = {"nearest pair": nearest_pair(found.train, sources, options.level), "word by word": word_by_word(found.train, sources)}
    for kind, width in (("greedy", 1), (f"beam of {options.beam}", options.beam)):
        answers[f"{name}, {kind}"] = [languages.write(each) for each in translate(model, languages.read(sources), options, width)]
    scores = {each: marks(texts, found.held_out, options.level) for each, texts in answers.items()}
    unit = "words" if options.level == "word" else "characters"
    rows = [[each, f"{exact:.1%}", f"{bleu:.1f}"] for each, (exact, bleu) in scores.items()]
    print(running.table([f"held out: {len(sources):,}", "exact", f"BLEU of {unit}"], rows))
    best = list(answers)[2]
    for (source, targets), answer in list(zip(found.held_out, answers[best], strict=True))[:5]:
        right = any(tokens(answer, options.level) == tokens(target, options.level) for target in targets)
        print(f"    {source} = {answer}" + ("" if right else f"   (right: {targets[0]})"))
    (exact, bleu), (least, least_bleu) = scores[best], max(scores["nearest pair"], scores["word by word"])
    print(f"{len(sources):,} held-out sources: exact match {exact:.1%}, BLEU {bleu:.1f}; best baseline {least:.1%}, {least_bleu:.1f}")


def show_attention(model: nn.EncoderDecoder, sentences: list[str], languages: Languages, options: argparse.Namespace) -> None:
    """Draw where the decoder looked while it wrote the translations of `sentences`."""
    if options.attention == "none":
        return
    sources = languages.read(sentences)
    maps = []
    for sentence, source, written in zip(sentences, sources, translate(model, sources, options, 1), strict=True):
        weights = attention_weights(model, source, written, options.device)
        maps.append((tokens(sentence, options.level), [*languages.target.decode(written), SPECIALS[EOS]], weights))
    print(attention_maps(Path(options.out) / "attention.png", maps))


def say(model: nn.EncoderDecoder, languages: Languages, options: argparse.Namespace) -> None:
    """Translate --sentence, greedily and by beam search."""
    sentence = options.sentence.lower() if options.lower else options.sentence
    unknown = [token for token in tokens(sentence, options.level) if token not in languages.source]
    if unknown:
        print(f"not in the vocabulary, read as <unk>: {' '.join(dict.fromkeys(unknown))}")
    show_attention(model, [sentence], languages, options)
    for kind, width in ((f"beam of {options.beam}", options.beam), ("greedy", 1)):
        print(f"{kind:<18} {languages.write(translate(model, languages.read([sentence]), options, width)[0])}")


def prepare(arguments: list[str] | None) -> tuple[argparse.Namespace, Corpus, Languages, nn.EncoderDecoder]:
    """(options, pairs, vocabularies, model); exits with one line where something is not as it must be, before any work."""
    lines = command_line.parser(__doc__)
    options = running.begin(lines, arguments)
    found, facts, weights = Corpus([], []), {}, None
    try:
        if options.sentence is not None and not options.load:
            raise ValueError("--sentence needs a trained model: --load FILE")
        if options.load:
            weights, facts = load_model(options.load, options.device, "sources", "targets", *command_line.FACTS)
        command_line.complete(lines, options, {name: facts[name] for name in command_line.FACTS if name in facts})
        if options.sentence is None:
            found = command_line.corpus(options)
            options.level = options.level or command_line.choose_level(found)
        options.longest = options.longest or (40 if options.level == "word" else 80)
        if options.sentence is None:
            found = command_line.shorter(found, options.level, options.longest)
        else:
            command_line.require_sentence(options)
    except ValueError as error:
        lines.error(str(error))
    if weights is None:
        languages = Languages.of(found.train, options.level, options.min_freq if options.level == "word" else 1)
    else:
        languages = Languages(options.level, *(nn.Vocabulary([], specials=facts[side]) for side in ("sources", "targets")))
    mg.manual_seed(options.seed)
    model = translator(len(languages.source), len(languages.target), options).to(options.device)
    if weights is not None:
        model.load_state_dict(weights)
    return options, found, languages, model


def learn(model: nn.EncoderDecoder, found: Corpus, languages: Languages, options: argparse.Namespace) -> None:
    """Train, save, draw the loss."""
    parameters = sum(each.numel() for each in model.parameters())
    V, unit = (len(languages.source), len(languages.target)), "words" if options.level == "word" else "characters"
    print(f"{len(found.train):,} pairs to learn from, {V[0]:,} and {V[1]:,} different {unit}; {parameters:,} parameters", flush=True)
    options.epochs = options.epochs or command_line.choose_epochs(options, len(found.train))
    examples = encode(found.train, options.level, languages.source, languages.target)
    losses = train(model, examples, options)
    facts = {name: getattr(options, name) for name in command_line.FACTS}
    save_model(options.save, model, sources=list(languages.source), targets=list(languages.target), **facts)
    print(f"model              {options.save}")
    print(loss_curve(Path(options.out) / "loss.png", losses, len(losses) // options.epochs))


def main(arguments: list[str] | None = None) -> None:
    """Do what the command line asks."""
    options, found, languages, model = prepare(arguments)
    if options.sentence is not None:
        say(model, languages, options)
        return
    if not options.load:
        learn(model, found, languages, options)
    show_attention(model, [source for source, _ in found.held_out[:4]], languages, options)
    measure(model, found, languages, options)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted")
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
