"""Which language does a name come from? A bidirectional GRU reads it letter by letter, forwards and backwards.

    pip install "minigrad-nn[examples]"              # real names of 15 languages, from the faker package
    python examples/names.py                         # about 105 CPU seconds; --quick: 15
    python examples/names.py --load out/names/model.safetensors --name Kowalczyk Virtanen "Di Stefano"
    python examples/names.py --data FILE.tsv         # other data: a name, a tab and its label on each line

Read down to the line across: the models, batches of names of different lengths, the training loop, the measure. Beside it: name_data.py
(where names come from), labelled.py (each name once; a fifth held out), naive_bayes.py (what there is to beat), confusion.py,
classifying.py, running.py, saved_model.py. All languages are written in Latin letters, with the accents each of them uses.

Three networks vote: two read letters alone, one has a table of runs of two and three letters beside them. They err on different names, and
one of each kind was better than two of a kind where settings were chosen: with --validate, on a part of the training names.

Held out, seeds 0, 1, 2: GRU .768 .771 .775; naive Bayes on letters .481, on 1 to 2 .688, to 3 .742, to 4 .764, to 5 .763. With --quick: GRU
.748 .752 .742, beside naive Bayes on 1 to 2 letters. One in a hundred is about the luck of which names are held out.

Sizes: T letters of the longest name, B names, I embedding, H hidden, V languages, K networks.
"""

from __future__ import annotations

import argparse

import minigrad as mg
import minigrad_nn as nn
from minigrad_nn import optim
from minigrad_nn.masks import masked_mean, sequence_mask
from minigrad_nn.utils.data import DataLoader
from minigrad_nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

import classifying
import running
from classifying import UNKNOWN, Batch, Example
from naive_bayes import Reading, character_ngrams
from name_data import faker_names


class NameClassifier(nn.Module):
    """Scores for each language, from the states of a GRU that reads a name forwards and one that reads it backwards."""

    def __init__(self, tokens: int, languages: int, embedding: int, hidden: int) -> None:
        super().__init__()
        self.letters = nn.Embedding(tokens, embedding, padding_idx=0)
        self.some_of_a_vector = nn.Dropout(0.2)
        self.gru = nn.GRU(embedding, hidden, bidirectional=True)
        self.dropout = nn.Dropout(0.5)
        self.scores = nn.Linear(4 * hidden, languages)

    def features(self, x: mg.Tensor, lengths: mg.Tensor) -> mg.Tensor:
        """(B, 4H) for the names `x` (T, B, 3), each as long as its entry of `lengths` (B,); of what is read at a letter, the letter."""
        letters = self.some_of_a_vector(self.letters(x[:, :, 0]))  # (T, B, I)
        packed = pack_padded_sequence(letters, lengths, enforce_sorted=False)  # no step is spent on padding
        states, h = self.gru(packed)  # h (2, B, H): each direction's state after its last letter
        states, _ = pad_packed_sequence(states, padding_value=-1.0)  # (T, B, 2H), all above -1 but where a name has ended
        largest = states.amax(dim=0)  # (B, 2H): what was seen anywhere in the name
        return mg.cat([h[0], h[1], largest], dim=1)

    def forward(self, x: mg.Tensor, lengths: mg.Tensor) -> mg.Tensor:
        """(B, V), the scores."""
        return self.scores(self.dropout(self.features(x, lengths)))


class WithRuns(NameClassifier):
    """The same, with the vectors of the name's runs of two and three letters beside the states. It errs elsewhere, so the two vote."""

    def __init__(self, tokens: int, languages: int, embedding: int, hidden: int) -> None:
        super().__init__(tokens, languages, embedding, hidden)
        self.runs = nn.Embedding(tokens, embedding, padding_idx=0)
        nn.init.normal_(self.runs.weight, std=0.1)  # a run that is seldom read says little, instead of something at random
        self.scores = nn.Linear(4 * hidden + 2 * embedding, languages)

    def features(self, x: mg.Tensor, lengths: mg.Tensor) -> mg.Tensor:
        """(B, 4H + 2I)"""
        mask = sequence_mask(lengths, len(x)).t().to(x.device)  # (T, B), True where there is a letter
        runs = self.some_of_a_vector(self.runs(x[:, :, 1:])).flatten(2)  # (T, B, 2I)
        bag = masked_mean(runs, mask, dim=0) * mask.sum(dim=0).unsqueeze(1).sqrt()  # a longer name has said more
        return mg.cat([super().features(x, lengths), bag], dim=1)


def reading(name: str) -> list[str]:
    """What a network reads: each letter, with the pair that it ends and the three in whose middle it stands. ^ and $ are marks.

    >>> reading("Bo")
    ['^', ' ^', ' ^b', 'b', '^b', '^bo', 'o', 'bo', 'bo$', '$', 'o$', 'o$ ']
    """
    marked = f" ^{name.lower()}$ "
    return [run for t in range(1, len(marked) - 1) for run in (marked[t], marked[t - 1 : t + 1], marked[t - 1 : t + 2])]


def pad(examples: list[Example]) -> Batch:
    """A batch of names of different lengths, side by side: what a DataLoader calls `collate_fn`."""
    names, languages = zip(*examples)
    threes = [name.reshape(-1, 3) for name in names]  # (T, 3): for each letter, what is read there
    return pad_sequence(threes), mg.tensor([len(each) for each in threes]), mg.tensor(languages)


def train(voters: nn.ModuleList, examples: list[Example], options: argparse.Namespace) -> None:
    """Train networks in place, side by side. From each, other letters and runs are hidden at random, so none learns names by heart."""
    batches = DataLoader(examples, options.batch, shuffle=True, collate_fn=pad)
    optimizer = optim.AdamW(voters.parameters(), options.lr, weight_decay=0.1)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, options.lr, options.epochs * len(batches))
    share = mg.tensor([0.15, 0.5, 0.5], device=options.device)  # of the letters, pairs and threes that are hidden
    voters.train()
    with running.progress(options.epochs * len(examples), "name") as bar:
        for _ in range(options.epochs):
            for x, lengths, y in batches:
                x, y = x.to(options.device), y.to(options.device)
                optimizer.zero_grad()
                for model in voters:
                    hidden = mg.rand(x.shape, device=options.device) < share
                    scores = model(x.masked_fill(hidden, UNKNOWN), lengths)  # (B, V)
                    loss = nn.functional.cross_entropy(scores, y, label_smoothing=0.1)
                    loss.backward()
                    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                schedule.step()

                bar.set_postfix_str(f"loss {loss.item():.3f}", refresh=False)
                bar.update(len(y))


@mg.no_grad()
def probabilities(voters: nn.ModuleList, examples: list[Example], device: str) -> mg.Tensor:
    """How likely each language is for each name, (N, V): the mean of what the networks say, which err in different places."""
    voters.eval()
    found = []
    for x, lengths, _ in DataLoader(examples, 256, collate_fn=pad):
        scores = mg.stack([model(x.to(device), lengths) for model in voters])  # (K, B, V)
        found.append(scores.softmax(dim=2).mean(dim=0))
    return mg.cat(found)


# ------------------------------------------------------------------------ around it: what is asked for, what is shown


def ngrams(longest: int) -> Reading:
    """What naive Bayes sees: runs of up to so many letters."""
    return lambda name: character_ngrams(name, longest)


QUICK_READINGS = {"1 to 2 letters": ngrams(2)}  # who reads the names a few times is not asked for more
READINGS = {"single letters": ngrams(1)} | {f"1 to {n} letters": ngrams(n) for n in (2, 3, 4, 5)}


def main(arguments: list[str] | None = None) -> None:
    """Do what the command line asks."""
    lines = classifying.parser(__doc__, "out/names", epochs=(25, 8), voters=(3, 1), hidden=96, lr=6e-3, batch=128)
    lines.add_argument("--data", metavar="FILE", help="other data: name<TAB>label on each line (default: names from faker)")
    lines.add_argument("--name", dest="ask", metavar="NAME", nargs="+", help="ask a loaded model which language these names come from")
    options = classifying.begin(lines, arguments)
    task = classifying.task(lines, options, faker_names, reading, label_first=False, embedding=64, min_freq=2)
    networks = {"GRU": task.networks(WithRuns, NameClassifier, NameClassifier)}
    classifying.work(lines, options, task, networks, train, probabilities, QUICK_READINGS if options.quick else READINGS)


if __name__ == "__main__":
    classifying.run(main)
