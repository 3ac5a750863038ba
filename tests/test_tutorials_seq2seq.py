"""A translator as PyTorch's tutorial on sequence-to-sequence networks with attention builds and trains it, with only the imports changed.

Source: https://docs.pytorch.org/tutorials/intermediate/seq2seq_translation_tutorial.html

`SCRIPT` is written for PyTorch's names alone: it runs once on minigrad, and, where PyTorch is installed, once on PyTorch
with the same weights and sentences, and the two must give the same losses, weights of the attention, and translations.
"""

import types
from typing import Any

import numpy as np
import pytest

import minigrad

MINIGRAD = """
import minigrad as torch
import minigrad_nn as nn
from minigrad_nn import optim
import minigrad_nn.functional as F
from minigrad_nn.utils.data import TensorDataset, DataLoader, RandomSampler
"""
PYTORCH = """
import torch
import torch.nn as nn
from torch import optim
import torch.nn.functional as F
from torch.utils.data import TensorDataset, DataLoader, RandomSampler
"""
SCRIPT = """
import numpy as np

SOS_token, EOS_token, MAX_LENGTH = 0, 1, 6
device = torch.device("cpu")


class EncoderRNN(nn.Module):
    def __init__(self, input_size, hidden_size, dropout_p=0.1):
        super(EncoderRNN, self).__init__()
        self.hidden_size = hidden_size
        self.embedding = nn.Embedding(input_size, hidden_size)
        self.gru = nn.GRU(hidden_size, hidden_size, batch_first=True)
        self.dropout = nn.Dropout(dropout_p)

    def forward(self, input):
        embedded = self.dropout(self.embedding(input))
        output, hidden = self.gru(embedded)
        return output, hidden


class DecoderRNN(nn.Module):
    def __init__(self, hidden_size, output_size):
        super(DecoderRNN, self).__init__()
        self.embedding = nn.Embedding(output_size, hidden_size)
        self.gru = nn.GRU(hidden_size, hidden_size, batch_first=True)
        self.out = nn.Linear(hidden_size, output_size)

    def forward(self, encoder_outputs, encoder_hidden, target_tensor=None):
        batch_size = encoder_outputs.size(0)
        decoder_input = torch.empty(batch_size, 1, dtype=torch.long, device=device).fill_(SOS_token)
        decoder_hidden = encoder_hidden
        decoder_outputs = []
        for i in range(MAX_LENGTH):
            decoder_output, decoder_hidden = self.forward_step(decoder_input, decoder_hidden)
            decoder_outputs.append(decoder_output)
            if target_tensor is not None:
                decoder_input = target_tensor[:, i].unsqueeze(1)
            else:
                _, topi = decoder_output.topk(1)
                decoder_input = topi.squeeze(-1).detach()
        decoder_outputs = torch.cat(decoder_outputs, dim=1)
        decoder_outputs = F.log_softmax(decoder_outputs, dim=-1)
        return decoder_outputs, decoder_hidden, None

    def forward_step(self, input, hidden):
        output = self.embedding(input)
        output = F.relu(output)
        output, hidden = self.gru(output, hidden)
        output = self.out(output)
        return output, hidden


class BahdanauAttention(nn.Module):
    def __init__(self, hidden_size):
        super(BahdanauAttention, self).__init__()
        self.Wa = nn.Linear(hidden_size, hidden_size)
        self.Ua = nn.Linear(hidden_size, hidden_size)
        self.Va = nn.Linear(hidden_size, 1)

    def forward(self, query, keys):
        scores = self.Va(torch.tanh(self.Wa(query) + self.Ua(keys)))
        scores = scores.squeeze(2).unsqueeze(1)
        weights = F.softmax(scores, dim=-1)
        context = torch.bmm(weights, keys)
        return context, weights


class AttnDecoderRNN(nn.Module):
    def __init__(self, hidden_size, output_size, dropout_p=0.1):
        super(AttnDecoderRNN, self).__init__()
        self.embedding = nn.Embedding(output_size, hidden_size)
        self.attention = BahdanauAttention(hidden_size)
        self.gru = nn.GRU(2 * hidden_size, hidden_size, batch_first=True)
        self.out = nn.Linear(hidden_size, output_size)
        self.dropout = nn.Dropout(dropout_p)

    def forward(self, encoder_outputs, encoder_hidden, target_tensor=None):
        batch_size = encoder_outputs.size(0)
        decoder_input = torch.empty(batch_size, 1, dtype=torch.long, device=device).fill_(SOS_token)
        decoder_hidden = encoder_hidden
        decoder_outputs = []
        attentions = []
        for i in range(MAX_LENGTH):
            decoder_output, decoder_hidden, attn_weights = self.forward_step(decoder_input, decoder_hidden, encoder_outputs)
            decoder_outputs.append(decoder_output)
            attentions.append(attn_weights)
            if target_tensor is not None:
                decoder_input = target_tensor[:, i].unsqueeze(1)
            else:
                _, topi = decoder_output.topk(1)
                decoder_input = topi.squeeze(-1).detach()
        decoder_outputs = torch.cat(decoder_outputs, dim=1)
        decoder_outputs = F.log_softmax(decoder_outputs, dim=-1)
        attentions = torch.cat(attentions, dim=1)
        return decoder_outputs, decoder_hidden, attentions

    def forward_step(self, input, hidden, encoder_outputs):
        embedded = self.dropout(self.embedding(input))
        query = hidden.permute(1, 0, 2)
        context, attn_weights = self.attention(query, encoder_outputs)
        input_gru = torch.cat((embedded, context), dim=2)
        output, hidden = self.gru(input_gru, hidden)
        output = self.out(output)
        return output, hidden, attn_weights


def get_dataloader(batch_size, input_ids, target_ids, shuffle):
    train_data = TensorDataset(torch.LongTensor(input_ids).to(device), torch.LongTensor(target_ids).to(device))
    train_sampler = RandomSampler(train_data) if shuffle else None
    return DataLoader(train_data, sampler=train_sampler, batch_size=batch_size)


def train_epoch(dataloader, encoder, decoder, encoder_optimizer, decoder_optimizer, criterion):
    total_loss = 0
    for data in dataloader:
        input_tensor, target_tensor = data
        encoder_optimizer.zero_grad()
        decoder_optimizer.zero_grad()
        encoder_outputs, encoder_hidden = encoder(input_tensor)
        decoder_outputs, _, _ = decoder(encoder_outputs, encoder_hidden, target_tensor)
        loss = criterion(decoder_outputs.view(-1, decoder_outputs.size(-1)), target_tensor.view(-1))
        loss.backward()
        encoder_optimizer.step()
        decoder_optimizer.step()
        total_loss += loss.item()
    return total_loss / len(dataloader)


def train(train_dataloader, encoder, decoder, n_epochs, learning_rate=0.001):
    losses = []
    encoder_optimizer = optim.Adam(encoder.parameters(), lr=learning_rate)
    decoder_optimizer = optim.Adam(decoder.parameters(), lr=learning_rate)
    criterion = nn.NLLLoss()
    for epoch in range(1, n_epochs + 1):
        losses.append(train_epoch(train_dataloader, encoder, decoder, encoder_optimizer, decoder_optimizer, criterion))
    return losses


def evaluate(encoder, decoder, sentence):
    with torch.no_grad():
        input_tensor = torch.tensor(sentence, dtype=torch.long, device=device).view(1, -1)
        encoder_outputs, encoder_hidden = encoder(input_tensor)
        decoder_outputs, decoder_hidden, decoder_attn = decoder(encoder_outputs, encoder_hidden)
        _, topi = decoder_outputs.topk(1)
        decoded_ids = topi.squeeze()
        decoded_words = []
        for idx in decoded_ids:
            if idx.item() == EOS_token:
                break
            decoded_words.append(idx.item())
    return decoded_words, decoder_attn
"""


def program(imports: str) -> Any:
    """The tutorial's names, made by one of the two libraries."""
    module = types.ModuleType("tutorial")
    exec(compile(imports + SCRIPT, "tutorial", "exec"), vars(module))  # the same text for both
    return module


def sentences(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Words 2 … 9, to be written backwards as words 12 … 19; 1 ends a sentence, and 0 fills it up, as in the tutorial."""
    chance = np.random.default_rng(seed)
    source, target = np.zeros((count, 6), np.int64), np.zeros((count, 6), np.int64)
    for a, b in zip(source, target, strict=True):
        n = chance.integers(2, 6)
        a[:n] = chance.integers(2, 10, n)
        b[:n] = a[:n][::-1] + 10
        a[n] = b[n] = 1
    return source, target


def made(tutorial: Any, decoder: str, dropout: float) -> tuple[Any, Any]:
    """(encoder, decoder)"""
    options = {"dropout_p": dropout} if decoder == "AttnDecoderRNN" else {}
    return tutorial.EncoderRNN(10, 24, dropout_p=dropout), getattr(tutorial, decoder)(24, 20, **options)


@pytest.mark.host_only("the tutorial names the device cpu")
def test_the_tutorial_learns_to_translate():
    tutorial = program(MINIGRAD)
    minigrad.manual_seed(0)
    encoder, decoder = made(tutorial, "AttnDecoderRNN", 0.1)
    loader = tutorial.get_dataloader(32, *sentences(1000, 0), shuffle=True)
    losses = tutorial.train(loader, encoder, decoder, 20, learning_rate=0.01)
    assert losses[-1] < 0.2 * losses[0]
    encoder.eval()
    decoder.eval()
    right = 0
    for source, target in zip(*sentences(50, 1), strict=True):
        words, attention = tutorial.evaluate(encoder, decoder, source.tolist())
        right += words == target[: target.tolist().index(1)].tolist()
        assert attention.shape == (1, 6, 6)
        np.testing.assert_allclose(attention.sum(-1).numpy(), 1, rtol=1e-5)
    assert right >= 40


@pytest.mark.host_only("compared with PyTorch on the CPU")
@pytest.mark.parametrize("decoder", ["DecoderRNN", "AttnDecoderRNN"])
def test_the_tutorial_gives_pytorchs_numbers(decoder):
    torch = pytest.importorskip("torch")
    theirs, ours = program(PYTORCH), program(MINIGRAD)
    torch.manual_seed(0)
    their_models, our_models = made(theirs, decoder, 0.0), made(ours, decoder, 0.0)
    for their, our in zip(their_models, our_models, strict=True):
        their.double()
        our.double()
        our.load_state_dict({name: minigrad.from_numpy(each.detach().numpy().copy()) for name, each in their.state_dict().items()})
    losses = [
        module.train(module.get_dataloader(16, *sentences(96, 0), shuffle=False), *models, 3, learning_rate=0.01)
        for module, models in ((theirs, their_models), (ours, our_models))
    ]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-7)
    for their, our in zip(their_models, our_models, strict=True):
        for name, each in their.state_dict().items():
            np.testing.assert_allclose(our.state_dict()[name].numpy(), each.numpy(), rtol=1e-5, atol=1e-8, err_msg=name)
    for source in sentences(5, 1)[0].tolist():
        (wanted, there), (got, here) = theirs.evaluate(*their_models, source), ours.evaluate(*our_models, source)
        assert got == wanted
        if there is not None:
            np.testing.assert_allclose(here.numpy(), there.numpy(), rtol=1e-6)
