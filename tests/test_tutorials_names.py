"""Names classified and names written, letter by letter, as PyTorch's two tutorials on names do it, with only the imports changed.

Source: https://docs.pytorch.org/tutorials/intermediate/char_rnn_classification_tutorial.html
Source: https://docs.pytorch.org/tutorials/intermediate/char_rnn_generation_tutorial.html

The scripts are written for PyTorch's names alone, and make the calls that the tutorials make, with arguments of the same form:
`LAYER` those of the classifier as it has been since 2024 (a Dataset, its random split, nn.RNN, SGD, clipping), `BY_HAND` those of
the one before (a recurrent step of linear layers, parameters changed by hand), `WRITER` those of the generator. Each runs on
minigrad, and where PyTorch is installed on PyTorch too, with the same weights and names, and both must give the same numbers.
"""

import math
import random
import types
from collections import Counter
from typing import Any

import numpy as np
import pytest

import minigrad

pytestmark = pytest.mark.host_only("the tutorials name the device cpu")
MINIGRAD = """
import minigrad as torch
import minigrad_nn as nn
import minigrad_nn.functional as F
from minigrad_nn.utils.data import Dataset
"""
PYTORCH = """
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import Dataset
"""
LETTERS = """
import glob
import os
import random
import string
import unicodedata

import numpy as np

device = torch.device("cpu")
gpu = torch.cuda.is_available()


def to_ascii(name):
    decomposed = unicodedata.normalize("NFD", name)
    return "".join(each for each in decomposed if unicodedata.category(each) != "Mn" and each in alphabet)


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return [to_ascii(line) for line in file.read().strip().split("\\n")]


def one_hot(line):
    tensor = torch.zeros(len(line), 1, n_letters)
    for i, letter in enumerate(line):
        tensor[i][0][alphabet.find(letter)] = 1
    return tensor
"""
LAYER = (
    LETTERS
    + """
alphabet = string.ascii_letters + " .,;'" + "_"
n_letters = len(alphabet)
torch.set_default_device(device)


class Names(Dataset):
    def __init__(self, folder):
        self.names, self.tensors, self.labels, self.label_tensors = [], [], [], []
        for path in sorted(glob.glob(os.path.join(folder, "*.txt"))):
            label = os.path.splitext(os.path.basename(path))[0]
            for name in read_lines(path):
                self.names.append(name)
                self.tensors.append(one_hot(name))
                self.labels.append(label)
        self.classes = sorted(set(self.labels))
        for label in self.labels:
            self.label_tensors.append(torch.tensor([self.classes.index(label)], dtype=torch.long))

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        return self.label_tensors[index], self.tensors[index], self.labels[index], self.names[index]


class Classifier(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super(Classifier, self).__init__()
        self.rnn = nn.RNN(input_size, hidden_size)
        self.h2o = nn.Linear(hidden_size, output_size)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, line):
        rnn_out, hidden = self.rnn(line)
        output = self.h2o(hidden[0])
        return self.softmax(output)


def parted(names):
    return torch.utils.data.random_split(names, [.85, .15], generator=torch.Generator(device=device).manual_seed(2024))


def label_of(output, classes):
    top_n, top_i = output.topk(1)
    label_i = top_i[0].item()
    return classes[label_i], label_i


def train(rnn, names, n_epoch=10, n_batch_size=64, learning_rate=0.2, criterion=nn.NLLLoss()):
    current_loss, all_losses, report = 0, [], []
    rnn.train()
    optimizer = torch.optim.SGD(rnn.parameters(), lr=learning_rate)
    for epoch in range(1, n_epoch + 1):
        rnn.zero_grad()
        batches = list(range(len(names)))
        random.shuffle(batches)
        batches = np.array_split(batches, len(batches) // n_batch_size)
        for idx, batch in enumerate(batches):
            batch_loss = 0
            for i in batch:
                (label_tensor, text_tensor, label, text) = names[i]
                output = rnn.forward(text_tensor)
                loss = criterion(output, label_tensor)
                batch_loss += loss
            batch_loss.backward()
            nn.utils.clip_grad_norm_(rnn.parameters(), 3)
            optimizer.step()
            optimizer.zero_grad()
            current_loss += batch_loss.item() / len(batch)
        all_losses.append(current_loss / len(batches))
        report.append(f"{epoch} ({epoch / n_epoch:.0%}): \\t average batch loss = {all_losses[-1]:.4f}")
        current_loss = 0
    return all_losses, report


def evaluate(rnn, names, classes):
    confusion = torch.zeros(len(classes), len(classes))
    rnn.eval()
    with torch.no_grad():
        for i in range(len(names)):
            (label_tensor, text_tensor, label, text) = names[i]
            output = rnn(text_tensor)
            guess, guess_i = label_of(output, classes)
            confusion[classes.index(label)][guess_i] += 1
    for i in range(len(classes)):
        denom = confusion[i].sum()
        if denom > 0:
            confusion[i] = confusion[i] / denom
    return confusion.cpu().numpy()
"""
)
BY_HAND = (
    LETTERS
    + """
alphabet = string.ascii_letters + " .,;'"
n_letters = len(alphabet)


class Classifier(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super(Classifier, self).__init__()
        self.hidden_size = hidden_size
        self.i2h = nn.Linear(input_size, hidden_size)
        self.h2h = nn.Linear(hidden_size, hidden_size)
        self.h2o = nn.Linear(hidden_size, output_size)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, input, hidden):
        hidden = F.tanh(self.i2h(input) + self.h2h(hidden))
        output = self.h2o(hidden)
        output = self.softmax(output)
        return output, hidden

    def initHidden(self):
        return torch.zeros(1, self.hidden_size)


class OneProduct(Classifier):
    def __init__(self, input_size, hidden_size, output_size):
        super(Classifier, self).__init__()
        self.hidden_size = hidden_size
        self.i2h = nn.Linear(input_size + hidden_size, hidden_size)
        self.i2o = nn.Linear(input_size + hidden_size, output_size)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, input, hidden):
        combined = torch.cat((input, hidden), 1)
        hidden = self.i2h(combined)
        output = self.i2o(combined)
        output = self.softmax(output)
        return output, hidden


criterion = nn.NLLLoss()


def category_from_output(output, categories):
    top_n, top_i = output.topk(1)
    category_i = top_i[0].item()
    return categories[category_i], category_i


def random_example(lines):
    categories = list(lines)
    category = categories[random.randint(0, len(categories) - 1)]
    line = lines[category][random.randint(0, len(lines[category]) - 1)]
    category_tensor = torch.tensor([categories.index(category)], dtype=torch.long)
    return category, line, category_tensor, one_hot(line)


def read(rnn, line_tensor):
    hidden = rnn.initHidden()
    for i in range(line_tensor.size()[0]):
        output, hidden = rnn(line_tensor[i], hidden)
    return output


def step(rnn, category_tensor, line_tensor, learning_rate):
    rnn.zero_grad()
    output = read(rnn, line_tensor)
    loss = criterion(output, category_tensor)
    loss.backward()
    for p in rnn.parameters():
        p.data.add_(p.grad.data, alpha=-learning_rate)
    return output, loss.item()


def train(rnn, lines, n_iters, learning_rate=0.005, average=100):
    current_loss, all_losses = 0, []
    for i in range(1, n_iters + 1):
        category, line, category_tensor, line_tensor = random_example(lines)
        output, loss = step(rnn, category_tensor, line_tensor, learning_rate)
        current_loss += loss
        if i % average == 0:
            all_losses.append(current_loss / average)
            current_loss = 0
    return all_losses


def confused(rnn, lines, n):
    confusion = torch.zeros(len(lines), len(lines))
    for i in range(n):
        category, line, category_tensor, line_tensor = random_example(lines)
        guess, guess_i = category_from_output(read(rnn, line_tensor), list(lines))
        confusion[list(lines).index(category)][guess_i] += 1
    for i in range(len(lines)):
        confusion[i] = confusion[i] / confusion[i].sum()
    return confusion.numpy()


def predict(rnn, name, categories, n_predictions=3):
    with torch.no_grad():
        output = read(rnn, one_hot(name))
        topv, topi = output.topk(n_predictions, 1, True)
        return ["(%.2f) %s" % (topv[0][i].item(), categories[topi[0][i].item()]) for i in range(n_predictions)]
"""
)
WRITER = (
    LETTERS
    + """
alphabet = string.ascii_letters + " .,;'-"
n_letters = len(alphabet) + 1


class Writer(nn.Module):
    def __init__(self, n_categories, input_size, hidden_size, output_size):
        super(Writer, self).__init__()
        self.hidden_size = hidden_size
        self.i2h = nn.Linear(n_categories + input_size + hidden_size, hidden_size)
        self.i2o = nn.Linear(n_categories + input_size + hidden_size, output_size)
        self.o2o = nn.Linear(hidden_size + output_size, output_size)
        self.dropout = nn.Dropout(0.1)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, category, input, hidden):
        input_combined = torch.cat((category, input, hidden), 1)
        hidden = self.i2h(input_combined)
        output = self.i2o(input_combined)
        output_combined = torch.cat((hidden, output), 1)
        output = self.o2o(output_combined)
        output = self.dropout(output)
        output = self.softmax(output)
        return output, hidden

    def initHidden(self):
        return torch.zeros(1, self.hidden_size)


def category_tensor_of(category, categories):
    tensor = torch.zeros(1, len(categories))
    tensor[0][categories.index(category)] = 1
    return tensor


def target_of(line):
    indexes = [alphabet.find(line[i]) for i in range(1, len(line))]
    indexes.append(n_letters - 1)
    return torch.LongTensor(indexes)


def random_example(lines):
    category = random.choice(list(lines))
    line = random.choice(lines[category])
    return category_tensor_of(category, list(lines)), one_hot(line), target_of(line)


criterion = nn.NLLLoss()


def step(rnn, category_tensor, input_line_tensor, target_line_tensor, learning_rate):
    target_line_tensor.unsqueeze_(-1)
    hidden = rnn.initHidden()
    rnn.zero_grad()
    loss = torch.Tensor([0])
    for i in range(input_line_tensor.size(0)):
        output, hidden = rnn(category_tensor, input_line_tensor[i], hidden)
        l = criterion(output, target_line_tensor[i])
        loss += l
    loss.backward()
    for p in rnn.parameters():
        p.data.add_(p.grad.data, alpha=-learning_rate)
    return output, loss.item() / input_line_tensor.size(0)


def train(rnn, lines, n_iters, learning_rate=0.0005, average=100):
    total_loss, all_losses = 0, []
    for i in range(1, n_iters + 1):
        output, loss = step(rnn, *random_example(lines), learning_rate)
        total_loss += loss
        if i % average == 0:
            all_losses.append(total_loss / average)
            total_loss = 0
    return all_losses


def sample(rnn, category, categories, start_letter="A", max_length=20):
    with torch.no_grad():
        category_tensor = category_tensor_of(category, categories)
        input = one_hot(start_letter)
        hidden = rnn.initHidden()
        output_name = start_letter
        for i in range(max_length):
            output, hidden = rnn(category_tensor, input[0], hidden)
            topv, topi = output.topk(1)
            topi = topi[0][0]
            if topi == n_letters - 1:
                break
            else:
                letter = alphabet[topi]
                output_name += letter
            input = one_hot(letter)
        return output_name
"""
)
NAMES = {  # common surnames, romanized
    "Greek": """Alexopoulos Anagnostou Antoniou Athanasiadis Christodoulou Dimitriadis Dimopoulos Economou Fotopoulos Georgiadis
        Georgiou Giannopoulos Ioannidis Ioannou Karagiannis Konstantinidis Konstantinou Kostopoulos Koutsopoulos Makris Mavridis
        Michailidis Nikolaidis Nikolaou Oikonomou Panagiotopoulos Papadakis Papadimitriou Papadopoulos Papageorgiou Papaioannou
        Pappas Pavlidis Petridis Petropoulos Samaras Savvidis Sotiropoulos Spyropoulos Stavropoulos Stefanidis Theodorou Tsakiris
        Vasileiou Vasilopoulos Vlachos Xenakis Zacharopoulos""",
    "Italian": """Barbieri Bellini Bianchi Bianco Bruno Caputo Caruso Colombo Conti Costa Costantini Esposito Fabbri Ferrara Ferrari
        Ferraro Fiore Fontana Galli Gallo Gatti Gentile Giordano Grassi Greco Leone Lombardi Lombardo Longo Mancini Marchetti Mariani
        Marini Marino Martinelli Martini Mazza Monti Moretti Pellegrini Ricci Rinaldi Rizzo Romano Rossetti Rossi Russo Sanna
        Santoro Serra Silvestri Valentini Villa Vitale""",
    "Japanese": """Abe Aoki Arai Endo Fujii Fujita Fujiwara Fukuda Goto Hara Harada Hasegawa Hashimoto Hayashi Hirano Honda Ikeda
        Inoue Ishida Ishii Ishikawa Ito Iwasaki Kato Kimura Kinoshita Kobayashi Kondo Kudo Maeda Masuda Matsuda Matsui Matsumoto
        Miura Miyazaki Mori Murakami Nakagawa Nakajima Nakamura Nakano Nishimura Ogawa Okada Okamoto Ono Ota Saito Sakai Sakamoto
        Sasaki Sato Shibata Shimizu Suzuki Takahashi Takeuchi Tamura Tanaka Ueda Uchida Wada Watanabe Yamada Yamaguchi Yamamoto
        Yamashita Yamazaki Yokoyama Yoshida""",
    "Russian": """Abramov Alekseev Andreev Antonov Baranov Belov Belyaev Bogdanov Borisov Chernov Danilov Davydov Egorov Ershov
        Fedorov Filippov Fomin Frolov Gerasimov Golubev Grigoriev Gusev Ilyin Ivanov Kalinin Karpov Kiselev Komarov Konovalov Korolev
        Kovalev Kozlov Krylov Kuzmin Kuznetsov Lebedev Makarov Markov Martynov Matveev Maksimov Medvedev Melnikov Mikhailov Morozov
        Nikitin Nikolaev Novikov Orlov Osipov Pavlov Petrov Polyakov Ponomarev Popov Romanov Semenov Sergeev Sidorov Smirnov Sokolov
        Solovyov Sorokin Stepanov Tarasov Titov Vasiliev Vinogradov Volkov Vorobyov Yakovlev Zaitsev Zakharov""",
    "Vietnamese": """Bùi Châu Chu Cao Diệp Dương Giang Hà Hồ Hoàng Huỳnh Khổng Kiều La Lâm Lê Lục Lương
        Lưu Lý Mạc Mai Ngô Nguyễn Nghiêm Ông Phạm Phan Phùng Quách Tạ Tăng Thái Thạch Tô Tống Trần Triệu Trịnh Trương Từ Văn Vi Võ
        Vũ Vương""",
}


def program(imports: str, script: str) -> Any:
    """The tutorial's names, made by one of the two libraries."""
    module = types.ModuleType("tutorial")
    exec(compile(imports + script, "tutorial", "exec"), vars(module))  # the same text for both
    return module


@pytest.fixture
def folder(tmp_path):
    """A folder with a file of names for each language, as the tutorials' archive has it."""
    for language, names in NAMES.items():
        (tmp_path / f"{language}.txt").write_text("\n".join(names.split()) + "\n", encoding="utf-8")
    return tmp_path


def lines_of(tutorial, folder, left_out=None):
    """({language: names}, {language: names left out}), in plain letters; every sixth is left out, or none."""
    every = {path.stem: tutorial.read_lines(path) for path in sorted(folder.glob("*.txt"))}
    kept = {language: [name for i, name in enumerate(names) if i % 6 != left_out] for language, names in every.items()}
    return kept, {language: names[left_out::6] for language, names in every.items()} if left_out is not None else {}


def seeded(*libraries):
    """The same numbers from Python's stream; NumPy's plays no part, each library's own only where nothing is compared."""
    random.seed(0)
    for library in libraries:
        library.manual_seed(0)


@pytest.fixture(autouse=True)
def default_device():
    yield
    minigrad.set_default_device(None)


# ------------------------------------------------------------------------------------------------ that something is learnt


def test_the_classifier_with_a_layer_tells_names_it_never_saw(folder):
    tutorial = program(MINIGRAD, LAYER)
    seeded(minigrad)
    names = tutorial.Names(folder)
    train_set, test_set = tutorial.parted(names)
    assert len(train_set) + len(test_set) == len(names) and len(test_set) == math.floor(0.15 * len(names))
    rnn = tutorial.Classifier(tutorial.n_letters, 128, len(names.classes))
    losses, report = tutorial.train(rnn, train_set, n_epoch=25, n_batch_size=32, learning_rate=0.15)
    confusion = tutorial.evaluate(rnn, test_set, names.classes)
    assert losses[-1] < 0.1 * losses[0] and report[-1].startswith("25 (100%): ")
    np.testing.assert_allclose(confusion.sum(1), 1, rtol=1e-6)
    assert np.diag(confusion).mean() > 0.6  # of five languages


@pytest.mark.parametrize(("kind", "learning_rate", "share"), [("Classifier", 0.01, 0.7), ("OneProduct", 0.005, 0.5)])
def test_the_classifier_made_by_hand_tells_names_it_never_saw(folder, kind, learning_rate, share):
    tutorial = program(MINIGRAD, BY_HAND)
    seeded(minigrad)
    lines, unseen = lines_of(tutorial, folder, left_out=3)
    rnn = getattr(tutorial, kind)(tutorial.n_letters, 128, len(lines))
    losses = tutorial.train(rnn, lines, 2000, learning_rate)
    assert losses[-1] < 0.7 * losses[0]
    confusion = tutorial.confused(rnn, unseen, 200)
    assert confusion.shape == (5, 5) and np.diag(confusion).mean() > share
    assert len(tutorial.predict(rnn, "Satoshi", list(lines))) == 3


def test_the_writer_writes_as_the_languages_do(folder):
    tutorial = program(MINIGRAD, WRITER)
    seeded(minigrad)
    lines, unseen = lines_of(tutorial, folder, left_out=3)
    rnn = tutorial.Writer(len(lines), tutorial.n_letters, 128, tutorial.n_letters)
    losses = tutorial.train(rnn, lines, 2000, learning_rate=0.005)
    assert np.mean(losses[-3:]) < entropy_of_letters(lines) - 0.1
    assert len({tutorial.sample(rnn, "Russian", list(lines), "R") for _ in range(20)}) > 3  # dropout is left on, for variety
    rnn.eval()
    written = {each: [tutorial.sample(rnn, each, list(lines), start) for start in "AKMNRSTV"] for each in lines}
    length = {each: sum(map(len, names)) / len(names) for each, names in written.items()}
    assert length.pop("Vietnamese") < min(length.values())
    with minigrad.no_grad():
        shares = [np.mean([likeliest(tutorial, rnn, name, list(lines)) == each for name in names]) for each, names in unseen.items()]
    assert np.mean(shares) > 0.6  # of five languages: a name is likeliest in its own


def likeliest(tutorial, rnn, name, languages):
    """The language in which the writer finds the rest of a name, after its first letter, likeliest."""
    nats, x, y = [], tutorial.one_hot(name), tutorial.target_of(name).unsqueeze_(-1)
    for language in languages:
        hidden, total = rnn.initHidden(), 0
        for i in range(x.size(0)):
            output, hidden = rnn(tutorial.category_tensor_of(language, languages), x[i], hidden)
            total += tutorial.criterion(output, y[i]).item()
        nats.append(total)
    return languages[int(np.argmin(nats))]


def entropy_of_letters(lines):
    """Nats per letter, or end, after the first, where only the letters' frequencies in each language are known."""
    nats, seen = 0.0, 0
    for names in lines.values():
        counts = Counter(letter for name in names for letter in [*name[1:], "the end"])
        nats -= sum(count * math.log(count / counts.total()) for count in counts.values()) / counts.total()
        seen += 1
    return nats / seen  # the tutorial draws languages equally often


# ----------------------------------------------------------------------------------------------- that it is what PyTorch does


@pytest.fixture
def torch():
    library = pytest.importorskip("torch")
    yield library
    library.set_default_device(None)


def with_weights_of(our, their):
    """`our` with the weights of a model of PyTorch's."""
    our.load_state_dict({name: minigrad.from_numpy(each.detach().numpy().copy()) for name, each in their.state_dict().items()})
    return our


def require_same_weights(our, their):
    for name, each in their.state_dict().items():
        np.testing.assert_allclose(our.state_dict()[name].numpy(), each.numpy(), rtol=1e-3, atol=1e-5, err_msg=name)


def test_the_classifier_with_a_layer_gives_pytorchs_numbers_and_texts(torch, folder):
    theirs, ours = program(PYTORCH, LAYER), program(MINIGRAD, LAYER)
    their_names, our_names = theirs.Names(folder), ours.Names(folder)
    their = theirs.Classifier(theirs.n_letters, 32, 5)
    our = with_weights_of(ours.Classifier(ours.n_letters, 32, 5), their)
    assert str(our) == str(their)
    assert f"example = {our_names[60]}" == f"example = {their_names[60]}"
    assert f"{ours.one_hot('Ab')}" == f"{theirs.one_hot('Ab')}" and f"{minigrad.tensor(3)}" == f"{torch.tensor(3)}"
    losses = []
    for tutorial, model, names in ((theirs, their, their_names), (ours, our, our_names)):
        seeded()
        losses.append(tutorial.train(model, names, n_epoch=2, learning_rate=0.15)[0])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    require_same_weights(our, their)
    here = ours.evaluate(our, our_names, our_names.classes)
    there = theirs.evaluate(their, their_names, their_names.classes)
    np.testing.assert_allclose(here, there, rtol=1e-6)
    assert list(map(len, ours.parted(our_names))) == list(map(len, theirs.parted(their_names)))


@pytest.mark.parametrize("kind", ["Classifier", "OneProduct"])
def test_the_classifier_made_by_hand_gives_pytorchs_numbers(torch, folder, kind):
    theirs, ours = program(PYTORCH, BY_HAND), program(MINIGRAD, BY_HAND)
    lines, _ = lines_of(ours, folder)
    their = getattr(theirs, kind)(theirs.n_letters, 32, 5)
    our = with_weights_of(getattr(ours, kind)(ours.n_letters, 32, 5), their)
    found = []
    for tutorial, model in ((theirs, their), (ours, our)):
        seeded()
        losses = tutorial.train(model, lines, 150, learning_rate=0.005, average=10)
        found.append((losses, tutorial.confused(model, lines, 100), tutorial.predict(model, "Jackson", list(lines))))
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-4)
    np.testing.assert_allclose(found[1][1], found[0][1], rtol=1e-6)
    assert found[1][2] == found[0][2]
    require_same_weights(our, their)


OLD = [("add_(p.grad.data, alpha=-learning_rate)", "add_(-learning_rate, p.grad.data)"), ("loss = torch.Tensor([0])", "loss = 0")]


@pytest.mark.filterwarnings("ignore:This overload of add_:UserWarning", "ignore:x.add_:UserWarning")
@pytest.mark.parametrize("old", [False, True])
def test_the_writer_gives_pytorchs_numbers_and_names(torch, folder, old):
    script = WRITER
    for now, before in OLD if old else []:  # as the tutorial was written until 2020
        assert now in script
        script = script.replace(now, before)
    theirs, ours = program(PYTORCH, script), program(MINIGRAD, script)
    lines, _ = lines_of(ours, folder)
    their = theirs.Writer(5, theirs.n_letters, 32, theirs.n_letters).eval()  # without dropout, which each draws in its own way
    our = with_weights_of(ours.Writer(5, ours.n_letters, 32, ours.n_letters).eval(), their)
    found = []
    for tutorial, model in ((theirs, their), (ours, our)):
        seeded()
        losses = tutorial.train(model, lines, 200, learning_rate=0.005, average=10)
        found.append((losses, [tutorial.sample(model, each, list(lines), start) for each in lines for start in "RUS"]))
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-4)
    assert found[1][1] == found[0][1]
    require_same_weights(our, their)
