"""Which part of Python's library does a documentation string come from? A GRU reads it word by word; all of its states are pooled.

    python examples/classify.py                      # about 90 CPU seconds; --quick: 9
    python examples/classify.py --load out/classify/model.safetensors --ask "Return the next cookie the server sent."
    python examples/classify.py --data FILE.tsv      # other data: a label, a tab and a text on each line

Read down to the line across: the model, the mask that keeps padding out of the mean, the training loop, the measure. Beside it:
docstrings.py (where the texts come from), labelled.py (each text once; a fifth held out), naive_bayes.py (what there is to beat),
confusion.py, classifying.py, running.py, saved_model.py.

So few texts are no match for what a network can learn by heart: half of the words and pairs are hidden at random in training, the GRU is
small, its states are pooled beside the vectors of words and pairs themselves, and five networks vote. What the GRU is worth stands in the
table at the end, beside the same networks without it and naive Bayes, whose smoothing a part of the training texts chooses. Other parts of
them chose the settings of the networks, as --validate does.

Held out, seeds 0, 1, 2: GRU .867 .867 .864; without it .854 .857 .857; naive Bayes on words .839, on words and pairs .863, on 1 to 3 words
.858. With --quick: GRU .849 .856 .857, beside naive Bayes on words. One in a hundred is about the luck of which texts are held out.
So the order of words is worth one in a hundred to the network, and only with it does the network reach naive Bayes on pairs.

Sizes: T words of the longest text, B texts, I embedding, H hidden, V labels, K networks.
"""

from __future__ import annotations

import argparse

import minigrad as mg
import minigrad_nn as nn
from minigrad_nn import optim
from minigrad_nn.masks import masked_mean, sequence_mask
from minigrad_nn.utils.data import BucketSampler, DataLoader
from minigrad_nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

import classifying
import running
from classifying import UNKNOWN, Batch, Example
from docstrings import documentation, words
from naive_bayes import runs


class TextClassifier(nn.Module):
    """Scores for each label, from the states of a GRU that reads the words, and from the vectors of words and pairs as such."""

    def __init__(self, tokens: int, labels: int, embedding: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, embedding, padding_idx=0)
        nn.init.normal_(self.embedding.weight, std=0.1)  # what is seldom read says little, instead of something at random
        self.gru = nn.GRU(embedding, hidden, bidirectional=True)
        self.dropout = nn.Dropout(0.5)
        self.scores = nn.Linear(2 * embedding + 4 * hidden, labels)

    def forward(self, x: mg.Tensor, lengths: mg.Tensor) -> mg.Tensor:
        """(B, V) for the texts `x` (T, B, 2), words and pairs, each as long as its entry of `lengths` (B,)."""
        mask = sequence_mask(lengths, len(x)).t().to(x.device)  # (T, B), True where there is a word
        vectors = self.dropout(self.embedding(x))  # (T, B, 2, I)
        packed, _ = self.gru(pack_padded_sequence(vectors[:, :, 0], lengths, enforce_sorted=False))
        h, _ = pad_packed_sequence(packed, padding_value=-1.0)  # (T, B, 2H), all above -1 but behind the last word
        pooled = [bag(vectors, mask), masked_mean(h, mask, dim=0), h.amax(dim=0)]
        return self.scores(self.dropout(mg.cat(pooled, dim=1)))


def bag(vectors: mg.Tensor, mask: mg.Tensor) -> mg.Tensor:
    """(B, 2I): the mean over each text of `vectors` (T, B, 2, I), longer for a longer text, which has said more: times √its length."""
    return masked_mean(vectors.flatten(2), mask, dim=0) * mask.sum(dim=0).unsqueeze(1).sqrt()


def pad(examples: list[Example]) -> Batch:
    """A batch of texts of different lengths, side by side: what a DataLoader calls `collate_fn`."""
    texts, labels = zip(*examples)
    pairs = [text.reshape(-1, 2) for text in texts]  # (T, 2): each word with the pair it begins
    return pad_sequence(pairs), mg.tensor([len(each) for each in pairs]), mg.tensor(labels)


def train(voters: nn.ModuleList, examples: list[Example], options: argparse.Namespace) -> None:
    """Train networks in place, side by side. From each, other words and pairs are hidden at random, so none learns texts by heart."""
    order = BucketSampler([len(text) for text, _ in examples], options.batch)  # texts of similar lengths, so that little is padded
    batches = DataLoader(examples, batch_sampler=order, collate_fn=pad)
    optimizer = optim.AdamW(voters.parameters(), options.lr, weight_decay=0.1)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, options.lr, options.epochs * len(batches))
    voters.train()
    with running.progress(options.epochs * len(examples), "text") as bar:
        for _ in range(options.epochs):
            for x, lengths, y in batches:
                x, y = x.to(options.device), y.to(options.device)
                optimizer.zero_grad()
                for model in voters:
                    hidden = mg.rand(x.shape, device=options.device) < 0.5
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
    """How likely each label is for each text, (N, V): the mean of what the networks say, which err in different places."""
    voters.eval()
    found = []
    for x, lengths, _ in DataLoader(examples, 64, collate_fn=pad):
        scores = mg.stack([model(x.to(device), lengths) for model in voters])  # (K, B, V)
        found.append(scores.softmax(dim=2).mean(dim=0))
    return mg.cat(found)


# ------------------------------------------------------------------------ around it: what is asked for, what is shown


class BagOfVectors(nn.Module):
    """Scores for each label, from the vectors of words and pairs alone: what is left of the classifier without its GRU."""

    def __init__(self, tokens: int, labels: int, embedding: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, embedding, padding_idx=0)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.dropout = nn.Dropout(0.5)
        self.scores = nn.Linear(2 * embedding, labels)

    def forward(self, x: mg.Tensor, lengths: mg.Tensor) -> mg.Tensor:
        """(B, V) for the texts `x` (T, B, 2), each as long as its entry of `lengths` (B,)."""
        mask = sequence_mask(lengths, len(x)).t().to(x.device)  # (T, B)
        return self.scores(self.dropout(bag(self.dropout(self.embedding(x)), mask)))


LONGEST = 150  # words of a text that are read; of the documentation strings, one in a hundred has more


def reading(text: str) -> list[str]:
    """What a network reads: the words of a text, each followed by the pair it begins.

    >>> reading("Next, please")
    ['next', 'next please', 'please', 'please .']
    """
    found = words(text)[:LONGEST] or [""]  # a text without words is one unknown word
    return [each for word, after in zip(found, [*found[1:], "."]) for each in (word, f"{word} {after}")]


QUICK_READINGS = {"words": words}  # who reads the texts a few times is not asked for more
READINGS = QUICK_READINGS | {"words and pairs": lambda text: runs(words(text), 2), "1 to 3 words": lambda text: runs(words(text), 3)}


def main(arguments: list[str] | None = None) -> None:
    """Do what the command line asks."""
    lines = classifying.parser(__doc__, "out/classify", epochs=(20, 10), voters=(5, 1), hidden=32, lr=1e-2, batch=64)
    lines.add_argument("--data", metavar="FILE", help="other data: label<TAB>text on each line (default: documentation strings)")
    lines.add_argument("--ask", metavar="TEXT", nargs="+", help="ask a loaded model which labels these texts have")
    options = classifying.begin(lines, arguments)
    task = classifying.task(lines, options, documentation, reading, label_first=True, embedding=64, min_freq=2)
    networks = {"GRU": task.networks(TextClassifier)}
    if not options.quick:
        networks["vectors alone, no GRU"] = task.networks(BagOfVectors)
    classifying.work(lines, options, task, networks, train, probabilities, QUICK_READINGS if options.quick else READINGS)


if __name__ == "__main__":
    classifying.run(main)
