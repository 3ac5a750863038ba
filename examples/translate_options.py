"""The command line of `translate.py`: what can be asked for, defaults by task, and refusing in one line what cannot be done."""

from __future__ import annotations

import argparse
from typing import Any

import country_pairs
import number_pairs
import running
from sentence_pairs import Corpus, read_tsv, split, split_by_sources, tokens

__all__ = ["FACTS", "choose_epochs", "choose_level", "complete", "corpus", "parser", "require_sentence", "shorter"]

DATA = ("task", "to", "seed", "quick", "most", "level", "lower", "longest")
FACTS = (*DATA, "cell", "attention", "embedding", "hidden", "layers")  # what the model's file keeps
SIZES = {"embedding": 64, "hidden": 128, "layers": 1}
DEFAULTS: dict[str, dict[str, Any]] = {  # `reads`: pairs read in all epochs together
    "numbers": {"reads": 30_000, "batch": 64, "lr": 4e-3, "dropout": 0.0, "min_freq": 1, **SIZES},
    "countries": {"reads": 52_000, "batch": 32, "lr": 4e-3, "dropout": 0.3, "min_freq": 1, "level": "char", **SIZES},
    "pairs": {"reads": 80_000, "batch": 64, "lr": 4e-3, "dropout": 0.3, "min_freq": 2, **SIZES},
}
QUICK: dict[str, dict[str, Any]] = {
    "numbers": {"reads": 21_000, "batch": 16, "lr": 1e-2, "embedding": 32, "hidden": 48},
    "countries": {"reads": 9_000, "batch": 16, "lr": 1e-2, "embedding": 32, "hidden": 64},
    "pairs": {"reads": 9_000, "batch": 16, "lr": 1e-2, "embedding": 32, "hidden": 64},
}
MOST_EPOCHS = 60
NUMBERS, QUICK_NUMBERS = (1_000_000, 10_000, 2_000), (1_000, 700, 300)  # numbers below, to learn from, held out
QUICK_PAIRS = 1_000


def parser(description: str | None) -> argparse.ArgumentParser:
    """What the command line may say. Options left out are None until `complete` fills them in."""
    lines = running.parser(description, epochs=3, out="out/translate")
    lines.set_defaults(epochs=None, reads=None)
    add = lines.add_argument
    add("--task", choices=("numbers", "countries"), help="numbers in words (the default), or names of countries and languages")
    add("--to", metavar="LANGUAGE", help="what English is translated to in a task (default: fr)")
    add("--pairs", metavar="FILE", help="sentences of your own instead of a task: lines source<TAB>target, as Tatoeba has them")
    add("--most", type=running.size, metavar="N", help="keep the N shortest pairs (default: 10000)")
    add("--lower", action="store_true", default=None, help="put the sentences of --pairs into lower case")
    add("--level", choices=("word", "char"), help="of tokens (default: char for countries, else word where most held-out ones are known)")
    add("--min-freq", type=running.size, metavar="N", help="rarer tokens are <unk> (default: 2 for words of --pairs, else 1)")
    add("--longest", type=running.size, metavar="N", help="pairs with more tokens are left out (default: 40 words, 80 characters)")
    add("--cell", choices=("rnn", "lstm", "gru"), help="default: gru")
    add("--attention", choices=("none", "additive", "dot"), help="additive looks before a step, dot after it (default: dot)")
    for name in SIZES:
        add(f"--{name}", type=running.size, metavar="N", help="default: by task; with --load, the file's")
    add("--teacher-forcing", type=_share, metavar="P", default=1.0, help="how often the decoder reads the right token (default: 1)")
    add("--dropout", type=_share, metavar="P", help="default: by task")
    add("--batch", type=running.size, metavar="B", help="sentences in a batch (default: by task)")
    add("--lr", type=running.positive, metavar="X", help="Adam's learning rate at the start; it falls to 0 (default: by task)")
    add("--beam", type=running.size, metavar="K", default=4, help="width of the beam search that is compared with greedy (default: 4)")
    add("--sentence", metavar="TEXT", help="only translate this, with the model of --load")
    return lines


def _share(text: str) -> float:
    value = running.number(float, 0, True)(text)
    if value > 1:
        raise argparse.ArgumentTypeError(f"must be in [0, 1], got {text}")
    return value


def complete(lines: argparse.ArgumentParser, options: argparse.Namespace, loaded: dict[str, Any]) -> None:
    """Fill in what was left out: the loaded file's facts if there is one, then the defaults. Exits where they disagree."""
    if options.pairs and (options.task or options.to):
        lines.error("--pairs brings its own languages: leave --task and --to out")
    if options.lower and not (options.pairs or options.load):
        lines.error("--lower is for the sentences of --pairs")
    if options.most and not loaded and not options.pairs and options.task != "countries":
        lines.error(f"--most is for --pairs and names; of the numbers {NUMBERS[1]:,} are learnt, and {QUICK_NUMBERS[1]} with --quick")
    options.task = "pairs" if options.pairs else options.task
    for name, value in loaded.items():
        asked = getattr(options, name)
        if name not in ("seed", "quick") and asked not in (None, value):
            lines.error(f"--{name} {asked}, but the model in {options.load} has {value}; leave --{name} out")
        setattr(options, name, value)  # the seed too: what was held out from the model stays held out
    options.task = options.task or "numbers"
    if options.task == "pairs" and not options.pairs and not options.sentence:
        lines.error(f"the model in {options.load} was trained on --pairs FILE: name the file again to measure it, or give --sentence")
    to = "" if options.task == "pairs" else "fr"
    defaults = {"to": to, "most": 10_000, "lower": False, "cell": "gru", "attention": "dot"} | DEFAULTS[options.task]
    for name, default in (defaults | (QUICK[options.task] if options.quick else {})).items():
        if getattr(options, name) is None:
            setattr(options, name, default)


def corpus(options: argparse.Namespace) -> Corpus:
    """What is asked for, split; ValueError with one line where it is not to be had."""
    if options.task == "pairs":
        pairs, what = read_tsv(options.pairs, options.lower), options.pairs
        if len(set(pairs)) < 10:
            raise ValueError(f"{options.pairs} has {len(set(pairs))} different pairs; at least 10 are needed to learn and to measure")
    else:
        module = number_pairs if options.task == "numbers" else country_pairs
        known, what = module.languages(), f"--task {options.task}"
        if options.to not in known:
            raise ValueError(f"--to {options.to}: {what} knows {', '.join(known)}")
        if options.task == "numbers":
            below, learnt, held_out = QUICK_NUMBERS if options.quick else NUMBERS
            return split(number_pairs.numbers(options.to, learnt + held_out, below, options.seed), held_out)
        pairs = country_pairs.names(options.to)
    most = min(options.most, QUICK_PAIRS) if options.quick else options.most
    return split_by_sources(pairs, options.seed, most, held_out=200 if options.quick else 1000)


def choose_epochs(options: argparse.Namespace, pairs: int) -> int:
    """As many passes over so many pairs as the task's number of reads asks for."""
    return min(max(options.reads // pairs, 1), MOST_EPOCHS)


def choose_level(found: Corpus) -> str:
    """Words, unless a third of the words of the held-out answers never occur in training: then characters."""
    known = {word for _, target in found.train for word in tokens(target, "word")}
    words = [word for _, targets in found.held_out for word in tokens(targets[0], "word")]
    return "char" if sum(word not in known for word in words) * 3 > len(words) else "word"


def shorter(found: Corpus, level: str, longest: int) -> Corpus:
    """Without the pairs that have more than `longest` tokens on one side; ValueError where nothing is left."""
    short = lambda text: len(tokens(text, level)) <= longest
    train = [(source, target) for source, target in found.train if short(source) and short(target)]
    held_out = [(source, targets) for source, targets in found.held_out if short(source) and all(map(short, targets))]
    if not train or not held_out:
        raise ValueError(f"nothing is left to {'measure' if train else 'learn'}: all pairs are longer than --longest {longest} ({level}s)")
    return Corpus(train, held_out)


def require_sentence(options: argparse.Namespace) -> None:
    """ValueError with one line if --sentence cannot be translated."""
    count = len(tokens(options.sentence, options.level))
    if not count:
        raise ValueError("--sentence is empty")
    if count > options.longest:
        raise ValueError(f"--sentence has {count} tokens; the model was trained on at most {options.longest}")
