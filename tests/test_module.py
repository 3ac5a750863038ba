"""Module: registering, naming, moving, saving, hooks, printing."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

import minigrad as mg
import minigrad_nn as nn


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(5, 3)
        self.rnn = nn.LSTM(3, 4)
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 5)])
        self.register_buffer("seen", mg.zeros(2))

    def forward(self, ids):
        output, _ = self.rnn(self.embed(ids))
        for layer in self.layers:
            output = layer(output)
        return output


def test_names_come_in_the_order_of_registration():
    model = Model()
    assert [name for name, _ in model.named_parameters()][:2] == ["embed.weight", "rnn.weight_ih_l0"]
    assert [name for name, _ in model.named_modules()] == ["", "embed", "rnn", "layers", "layers.0", "layers.1"]
    assert [name for name, _ in model.named_children()] == ["embed", "rnn", "layers"]
    assert list(model.state_dict())[-1] == "layers.1.bias" and "seen" in model.state_dict()


def test_a_module_called_opens_its_own_scope():
    with nn.path("stepwise"):
        loss = Model()(mg.tensor([[1], [2]])).sum()
    scopes, waiting = set(), [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        scopes.add((node.place.scope, node.place.step))
        waiting.extend(parent for parent in node.parents if isinstance(parent, mg.tape.Node) and parent.rule is not None)
    assert {(("Model", "rnn"), 0), (("Model", "rnn"), 1), (("Model", "layers.1"), None)} <= scopes


def test_shared_parameters_count_once_and_are_saved_under_both_names():
    model = Model()
    model.layers[0].weight = model.layers[1].weight = nn.Parameter(mg.ones(4, 4))
    names = [name for name, _ in model.named_parameters()]
    assert "layers.0.weight" in names and "layers.1.weight" not in names
    assert {"layers.0.weight", "layers.1.weight"} <= set(model.state_dict())


def test_load_state_dict_names_everything_wrong_and_changes_nothing():
    model = Model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    wrong = {name: value * 2 for name, value in before.items()}
    del wrong["embed.weight"]
    wrong["extra"] = mg.ones(1)
    wrong["rnn.bias_ih_l0"] = mg.ones(3)
    with pytest.raises(RuntimeError, match=r"missing: embed\.weight.*unexpected: extra.*rnn\.bias_ih_l0 is \(16,\) here and \(3,\) there"):
        model.load_state_dict(wrong)
    assert all(mg.equal(value, before[name]) for name, value in model.state_dict().items())
    del wrong["rnn.bias_ih_l0"]
    keys = model.load_state_dict(wrong, strict=False)
    assert keys.unexpected_keys == ["extra"] and set(keys.missing_keys) == {"embed.weight", "rnn.bias_ih_l0"}


def test_assigning_another_kind_to_a_registered_name_is_refused():
    model = Model()
    with pytest.raises(TypeError, match="registered as another kind"):
        model.embed = 3
    model.embed = nn.Linear(1, 1)
    with pytest.raises(AttributeError, match="super"):
        type("Early", (nn.Module,), {"__init__": lambda self: setattr(self, "a", nn.Linear(1, 1))})()
    with pytest.raises(KeyError, match="dot"):
        model.register_buffer("a.b", mg.zeros(1))
    with pytest.raises(KeyError, match="already"):
        model.register_buffer("forward", mg.zeros(1))


def test_moving_keeps_the_parameter_objects():
    model = Model()
    parameter = model.rnn.weight_ih_l0
    model.double()
    assert model.rnn.weight_ih_l0 is parameter and parameter.dtype == mg.float64 and model.seen.dtype == mg.float64
    model(mg.tensor([[1]])).sum().backward()
    assert parameter.grad.dtype == mg.float64
    with pytest.raises(TypeError, match="floating-point"):
        model.to(mg.int64)


def test_train_and_eval_reach_everything_inside():
    model = nn.Sequential(nn.Dropout(0.5), nn.Sequential(nn.Dropout(0.5)))
    model.eval()
    assert not any(module.training for module in model.modules())
    assert mg.equal(model(mg.ones(3)), mg.ones(3))
    model.train()
    assert set(model(mg.ones(1000)).tolist()) == {0.0, 2.0, 4.0} or set(model(mg.ones(1000)).tolist()) == {0.0, 4.0}


def test_hooks_see_and_replace():
    layer, seen = nn.Linear(2, 2), []
    before = layer.register_forward_pre_hook(lambda module, args: (args[0] * 0,))
    after = layer.register_forward_hook(lambda module, args, result: seen.append(result) or result + 1)
    result = layer(mg.ones(1, 2))
    assert mg.allclose(result, layer.bias + 1) and len(seen) == 1
    before.remove(), after.remove()
    layer(mg.ones(1, 2))
    assert len(seen) == 1


def test_copies_and_pickles_are_independent_and_keep_ties():
    model = Model()
    model.layers[1].weight = nn.Parameter(mg.ones(4, 4))
    model.layers[0].weight = model.layers[1].weight
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin.layers[0].weight is twin.layers[1].weight and isinstance(twin.layers[0].weight, nn.Parameter)
        with mg.no_grad():
            twin.layers[0].weight.fill_(7)
        assert model.layers[0].weight[0, 0].item() == 1


def test_repr_reads_like_pytorchs():
    text = repr(nn.Sequential(nn.Linear(2, 3, bias=False), nn.Embedding(4, 2, padding_idx=0), nn.LSTM(2, 3, 2, bidirectional=True)))
    assert text == (
        "Sequential(\n  (0): Linear(in_features=2, out_features=3, bias=False)\n  (1): Embedding(4, 2, padding_idx=0)\n"
        "  (2): LSTM(2, 3, num_layers=2, bidirectional=True)\n)"
    )


def test_a_model_is_gone_without_the_collector():
    gc.disable()
    try:
        model = Model()
        model(mg.tensor([[1]])).sum().backward()
        watch = [weakref.ref(model.rnn.weight_ih_l0), weakref.ref(model.rnn.weight_ih_l0.node)]
        del model
        assert [each() for each in watch] == [None, None]
    finally:
        gc.enable()


def test_state_dicts_pass_to_and_from_pytorch():
    torch = pytest.importorskip("torch")
    theirs, ours = torch.nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2), nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2)
    assert str(ours.load_state_dict(theirs.state_dict())) == "<All keys matched successfully>"
    x = np.random.default_rng(0).standard_normal((5, 2, 3)).astype("float32")
    assert np.allclose(ours(mg.tensor(x))[0].detach().cpu().numpy(), theirs(torch.tensor(x))[0].detach().cpu().numpy(), atol=1e-6)
    theirs.load_state_dict({name: torch.tensor(value.cpu().numpy()) for name, value in ours.state_dict().items()})
