"""Snippets as the subject's texts have them, only their imports changed; what they print is held against PyTorch's shapes."""

import numpy as np
import pytest

import minigrad as torch
import minigrad_nn as nn

pytestmark = pytest.mark.host_only("snippets that ask tensors for NumPy arrays, as they were printed")


@pytest.mark.parametrize("kind", ["RNN", "GRU"])
def test_a_layer_called_on_a_sequence_with_zero_states(kind, capsys):
    rnn = getattr(nn, kind)(2, 3, 1)
    inputs = torch.randint(0, 10, size=[5, 1, 2]).float()
    h0 = torch.zeros(1, 1, 3)
    output, hn = rnn(inputs, h0)
    print(inputs.shape)
    print(output.shape)
    print(hn.shape)
    print("output:", output.data)
    print("hn:", hn.data.numpy())
    printed = capsys.readouterr().out
    assert printed.startswith("torch.Size([5, 1, 2])\ntorch.Size([5, 1, 3])\ntorch.Size([1, 1, 3])\n".replace("torch", "minigrad"))
    assert "output: tensor([[[" in printed and "grad_fn" not in printed
    assert (output[-1].data == hn[0].data).all() and np.array_equal(output.data.numpy()[-1], hn.data.numpy()[0])


def test_an_lstm_called_on_a_sequence_with_zero_states(capsys):
    lstm = nn.LSTM(input_size=2, hidden_size=3, num_layers=2)
    inputs = torch.randn(5, 1, 2)
    h0 = torch.zeros(2, 1, 3)
    c0 = torch.zeros(2, 1, 3)
    output, (hn, cn) = lstm(inputs, (h0, c0))
    print(tuple(output.shape), tuple(hn.shape), tuple(cn.shape))
    assert capsys.readouterr().out == "(5, 1, 3) (2, 1, 3) (2, 1, 3)\n"
    assert (output[-1] == hn[-1]).all()
    for again in (lstm(inputs), lstm(inputs, [h0, c0])):
        assert np.array_equal(again[0].data.numpy(), output.data.numpy())


def test_random_integers_below_one_are_zeros():
    assert not torch.randint(0, 1, size=[5, 1, 2]).any()


def test_one_linear_layer_on_input_and_state_side_by_side():
    X, W_xh = torch.randn(3, 1), torch.randn(1, 4)
    H, W_hh = torch.randn(3, 4), torch.randn(4, 4)
    two = torch.matmul(X, W_xh) + torch.matmul(H, W_hh)
    one = torch.matmul(torch.cat((X, H), 1), torch.cat((W_xh, W_hh), 0))
    assert two.shape == (3, 4) and torch.allclose(one, two, atol=1e-5)
    assert torch.equal(torch.cat((X, H), dim=1), torch.cat([X, H], 1))


def test_their_products_and_one_bias_are_ours_transposed_and_two():
    X, H, W_xh, W_hh, b_h = (torch.randn(*shape) for shape in [(3, 2), (3, 4), (2, 4), (4, 4), (4,)])
    cell = nn.RNNCell(2, 4)
    cell.load_state_dict({"weight_ih": W_xh.T, "weight_hh": W_hh.T, "bias_ih": b_h, "bias_hh": torch.zeros(4)})
    assert torch.allclose(cell(X, H), torch.tanh(torch.matmul(X, W_xh) + torch.matmul(H, W_hh) + b_h), atol=1e-5)


def sequence_mask(X, valid_len, value=0):
    maxlen = X.size(1)
    mask = torch.arange((maxlen), dtype=torch.float32, device=X.device)[None, :] < valid_len[:, None]
    X[~mask] = value
    return X


def test_a_mask_in_place():
    X = torch.tensor([[1, 2, 3], [4, 5, 6]])
    assert sequence_mask(X, torch.tensor([1, 2])).tolist() == [[1, 0, 0], [4, 5, 0]]
    assert X.tolist() == [[1, 0, 0], [4, 5, 0]]
    ones = sequence_mask(torch.ones(2, 3, 4), torch.tensor([1, 2]), value=-1)
    assert ones[:, :, 0].tolist() == [[1, -1, -1], [1, 1, -1]]


@pytest.mark.parametrize("trailing", [(), (4,), (2, 3)])
def test_a_mask_in_place_lets_gradients_through_where_it_holds(trailing):
    x = torch.randn(2, 3, *trailing, requires_grad=True)
    y = x * 1
    y.data[1, 2] = float("nan")  # whatever stands in the padding
    (sequence_mask(y, torch.tensor([1, 2])) ** 2).sum().backward()
    real = nn.sequence_mask([1, 2], 3)
    assert not x.grad[~real].any() and torch.allclose(x.grad[real], 2 * x.detach()[real])
    assert torch.equal(nn.sequence_mask_(x.detach().clone(), [1, 2], batch_first=True), sequence_mask(x.detach(), torch.tensor([1, 2])))


class MaskedSoftmaxCELoss(nn.CrossEntropyLoss):
    def forward(self, pred, label, valid_len):
        weights = torch.ones_like(label)
        weights = sequence_mask(weights, valid_len)
        self.reduction = "none"
        unweighted_loss = super(MaskedSoftmaxCELoss, self).forward(pred.permute(0, 2, 1), label)  # noqa: UP008, as printed there
        weighted_loss = (unweighted_loss * weights).mean(dim=1)
        return weighted_loss


def test_a_loss_in_which_padding_counts_for_nothing():
    loss = MaskedSoftmaxCELoss()
    pred, label, valid_len = torch.ones(3, 4, 10), torch.ones((3, 4), dtype=torch.long), torch.tensor([4, 2, 0])
    found = loss(pred, label, valid_len)
    assert torch.allclose(found, torch.tensor([2.302585, 1.1512925, 0.0]))
    ours = nn.masked_cross_entropy(pred, label, lengths=valid_len, batch_first=True, reduction="none")
    assert torch.allclose(ours.mean(dim=1), found)
