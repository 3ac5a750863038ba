"""Which language does a name come from? A bidirectional GRU reads it letter by letter, forwards and backwards.

    pip install "minigrad-nn[examples]"              # real names of 15 languages, from the faker package
    python examples/names.py                         # about a minute on two cores
    python examples/names.py --load out/names/model.safetensors --name Kowalczyk Virtanen "Di Stefano"
    python examples/names.py --data FILE.tsv         # other data: a name, a tab and its label on each line

Read the first hundred lines: the model, batches of names of different lengths, the training loop, the measure. Beside it: name_data.py
(where names come from), labelled.py (each name once; a fifth held out), naive_bayes.py (what there is to beat), confusion.py,
classifying.py, running.py, saved_model.py. All languages are written in Latin letters, with the accents each of them uses.

Sizes: T letters of the longest name, B names, I embedding, H hidden, V languages.
"""

from __future__ import annotations

import argparse

import classifying
import running
from classifying import UNKNOWN
from labelled import Pairs
from naive_bayes import Reading, character_ngrams
from name_data import faker_names
from saved_model import save_model

import minigrad as mg
import minigrad_nn as nn
from minigrad_nn import optim
from minigrad_nn.utils.data import DataLoader
from minigrad_nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from minigrad_nn.vocabulary import Vocabulary

Example = tuple[mg.Tensor, int]  # the letters of a name, (T,), and the number of its language
Batch = tuple[mg.Tensor, mg.Tensor, mg.Tensor]  # letters (T, B), lengths (B,), languages (B,)


class NameClassifier(nn.Module):
    """Scores for each language, from the states of a GRU that reads a name forwards and one that reads it backwards."""

    def __init__(self, letters: int, languages: int, embedding: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(letters, embedding, padding_idx=0)
        self.some_of_a_letter = nn.Dropout(0.2)
        self.gru = nn.GRU(embedding, hidden, bidirectional=True)
        self.dropout = nn.Dropout(0.5)
        self.scores = nn.Linear(4 * hidden, languages)

    def forward(self, x: mg.Tensor, lengths: mg.Tensor) -> mg.Tensor:
        """(B, V) for the names `x` (T, B), each as long as its entry of `lengths` (B,)."""
        x = self.some_of_a_letter(self.embedding(x))  # (T, B, I)
        packed = pack_padded_sequence(x, lengths, enforce_sorted=False)  # no step is spent on padding
        states, h = self.gru(packed)  # h (2, B, H): each direction's state after its last letter
        states, _ = pad_packed_sequence(states, padding_value=-1.0)  # (T, B, 2H), all above -1 but where a name has ended
        largest = states.amax(dim=0)  # (B, 2H): what was seen anywhere in the name
        return self.scores(self.dropout(mg.cat([h[0], h[1], largest], dim=1)))


def pad(examples: list[Example]) -> Batch:
    """A batch of names of different lengths, side by side: what a DataLoader calls `collate_fn`."""
    names, languages = zip(*examples)
    lengths = mg.tensor([len(name) for name in names])
    return pad_sequence(names), lengths, mg.tensor(languages)


def train(model: NameClassifier, examples: list[Example], options: argparse.Namespace) -> None:
    """Train the model in place. Letters are hidden at random, so that it does not learn names by heart."""
    batches = DataLoader(examples, options.batch, shuffle=True, collate_fn=pad)
    optimizer = optim.AdamW(model.parameters(), options.lr, weight_decay=0.1)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, options.lr, options.epochs * len(batches))
    model.train()
    with running.progress(options.epochs * len(examples), "name") as bar:
        for _ in range(options.epochs):
            for x, lengths, y in batches:
                x, y = x.to(options.device), y.to(options.device)
                hidden = mg.rand(x.shape, device=options.device) < 0.15
                scores = model(x.masked_fill(hidden, UNKNOWN), lengths)  # (B, V)
                loss = nn.functional.cross_entropy(scores, y, label_smoothing=0.1)
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                schedule.step()

                bar.set_postfix_str(f"loss {loss.item():.3f}", refresh=False)
                bar.update(len(y))


@mg.no_grad()
def probabilities(model: NameClassifier, examples: list[Example], device: str) -> list[list[float]]:
    """How likely each language is, for each name: (N, V)."""
    model.eval()
    found: list[list[float]] = []
    for x, lengths, _ in DataLoader(examples, 256, collate_fn=pad):
        found += model(x.to(device), lengths).softmax(dim=1).tolist()
    return found


# ------------------------------------------------------------------------ around it: what is asked for, what is shown


def spelt(name: str) -> str:
    """Small letters, with marks for the beginning and the end."""
    return f"^{name.lower()}$"


def encode(pairs: Pairs, letters: Vocabulary, languages: list[str]) -> list[Example]:
    """Names as the numbers of their letters and marks, with the numbers of their languages."""
    return [(mg.tensor(letters.encode(spelt(name))), languages.index(language)) for name, language in pairs]


def ngrams(longest: int) -> Reading:
    """What naive Bayes sees: runs of up to so many letters."""
    return lambda name: character_ngrams(name, longest)


QUICK_READINGS = {"single letters": ngrams(1)}  # who reads but few names a few times is not asked for more
READINGS = QUICK_READINGS | {f"1 to {n} letters": ngrams(n) for n in (2, 3, 4, 5)}


def begin(arguments: list[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """The command line, read and checked."""
    lines = classifying.parser(__doc__, "out/names", epochs=(30, 5), hidden=128, lr=4e-3, batch=64)
    lines.add_argument("--data", metavar="FILE", help="other data: name<TAB>label on each line (default: names from faker)")
    lines.add_argument("--name", dest="ask", metavar="NAME", nargs="+", help="ask a loaded model which language these names come from")
    return lines, classifying.begin(lines, arguments)


def main(arguments: list[str] | None = None) -> None:
    """Do what the command line asks."""
    lines, options = begin(arguments)
    weights, facts = classifying.loaded(lines, options, "letters", "languages", "sizes")
    if not options.ask:
        data = classifying.read(lines, options, faker_names, label_first=False, known=facts.get("languages"))
    languages = facts["languages"] if facts else data.labels
    letters = classifying.vocabulary(facts["letters"]) if facts else classifying.vocabulary("".join(spelt(name) for name, _ in data.train))
    sizes = facts.get("sizes") or {"embedding": 64, "hidden": options.hidden}
    model = NameClassifier(len(letters), len(languages), **sizes).to(options.device)
    if facts:
        model.load_state_dict(weights)
    if options.ask:
        asked = encode([(name, languages[0]) for name in options.ask], letters, languages)
        print(classifying.answer(options.ask, probabilities(model, asked, options.device), languages))
        return
    print(classifying.summary(data, "names", "languages", model), flush=True)
    if not facts:
        train(model, encode(data.train, letters, languages), options)
        save_model(options.save, model, letters=letters.tokens, languages=languages, sizes=sizes)
        print(f"model              {options.save}", flush=True)
    p = probabilities(model, encode(data.held_out, letters, languages), options.device)
    classifying.report(options, data, "names", {"GRU": p}, QUICK_READINGS if options.quick else READINGS)


if __name__ == "__main__":
    classifying.run(main)
