"""Views, heat, formats and the command line of minigrad.viz, held against the tape and the engine."""

import importlib.util
import json
import math
import os
import re
import stat
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import minigrad
import minigrad_nn as nn
from minigrad import viz
from minigrad.ops import linear

ROOT = Path(__file__).resolve().parents[1]
VIEWS = ("module", "rolled", "unrolled", "op")


@pytest.fixture(autouse=True)
def every_step_on_the_tape():
    with nn.path("stepwise"):
        yield


def rnn(steps, scale=0.5, direction="forward", H=5, cut=None):
    """A loss and its parameters: an RNN, judged at its last step."""
    minigrad.manual_seed(1)
    W, U = (minigrad.randn(H, H) * scale / H**0.5 for _ in range(2))
    W.requires_grad_(), U.requires_grad_()
    h = minigrad.zeros(2, H)
    for t in range(steps) if direction == "forward" else reversed(range(steps)):
        if t == cut:
            h = h.detach()
        with minigrad.scope("rnn"), minigrad.step(t, layer=0, direction=direction):
            h = (linear(minigrad.randn(2, H), U) + linear(h, W)).tanh()
    return (h * h).sum(), {"W": W, "U": U}


def lstm(steps, **options):
    minigrad.manual_seed(2)
    model = nn.LSTM(3, 4, **options)
    return model(minigrad.randn(steps, 2, 3))[0].sum(), dict(model.named_parameters())


def encoder_decoder(steps=5, answers=3):
    """The decoder begins with the encoder's last state and looks at all of them."""
    minigrad.manual_seed(3)
    W = minigrad.randn(4, 4, requires_grad=True)
    h, states = minigrad.zeros(2, 4), []
    for t in range(steps):
        with minigrad.scope("encoder"), minigrad.step(t):
            h = (minigrad.randn(2, 4) + linear(h, W)).tanh()
        states.append(h)
    memory = minigrad.stack(states)
    for t in range(answers):
        with minigrad.scope("decoder"), minigrad.step(t):
            h = (linear(h, W) + (memory * h).sum(0)).tanh()
    return h.sum(), {"W": W}


# -------------------------------------------------------------------------------------------------------------- views


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_has_the_same_parameters_and_all_their_uses(view):
    loss, params = lstm(9, num_layers=2, bidirectional=True)
    whole = json.loads(viz.graph(loss, params, view=view).to_json())
    assert sorted(node["name"] for node in whole["nodes"] if node["kind"] == "param") == sorted(params)
    tape = viz.graph(loss, params).snapshot
    for node in (node for node in whole["nodes"] if node["kind"] == "param"):
        here = sum(edge["count"] for edge in whole["edges"] if edge["source"] == node["id"])
        there = sum(tape.nodes[edge.source].name == node["name"] for edge in tape.edges)
        assert here == there > 0 and node["label"].startswith(node["name"])
    assert sum(node["count"] for node in whole["nodes"]) == whole["total"]["nodes"] == len(tape.nodes)


@pytest.mark.parametrize("view", ("unrolled", "op"))
def test_json_is_the_tape(view):
    loss, params = lstm(5)
    whole = json.loads(viz.graph(loss, params, view=view).to_json())
    inside = [node for node in whole["nodes"] if node["scope"] == "LSTM" and node["step"] is not None]
    assert {node["step"] for node in inside} == set(range(5)) and len(inside) == 5 * 13
    first = {}
    for node in inside:
        first.setdefault(node["op"] + str(node["y"]), []).append((node["step"], node["x"]))
    assert all([x for _, x in sorted(each)] == sorted({x for _, x in each}) for each in first.values())


def test_shown_and_left_out_make_all():
    for most, around in ((2, None), (6, None), (7, 50), (3, 0), (4, 99)):
        scene = viz.graph(*rnn(100), max_steps=most, around=around).scene
        shown = [column for column in scene.columns if column.kind == "step"]
        assert len(shown) == most and sum(column.count for column in scene.columns) == 100
        assert around is None or any(abs(column.first - around) <= most for column in shown)


def lanes(graph):
    """(layer, direction) -> step -> the boxes of a real layer, as JSON has them."""
    found = {}
    for node in json.loads(graph.to_json())["nodes"]:
        if node["step"] is not None and node["kind"] in ("op", "output"):
            found.setdefault((node["layer"], node["direction"]), {}).setdefault(node["step"], []).append(node)
    return found


@pytest.mark.parametrize("kind", ("RNN", "LSTM", "GRU"))
@pytest.mark.parametrize("bidirectional", (False, True))
@pytest.mark.parametrize("lengths", (None, [7, 4, 1]))
def test_real_layers_stand_in_lanes_and_steps(kind, bidirectional, lengths):
    minigrad.manual_seed(6)
    options = {"proj_size": 2} if kind == "LSTM" else {}
    model, x = getattr(nn, kind)(3, 4, 2, bidirectional=bidirectional, path="stepwise", **options), minigrad.randn(7, 3, 3)
    output, _ = model(x if lengths is None else nn.utils.rnn.pack_padded_sequence(x, lengths))
    loss, params = ((output if lengths is None else output.data) ** 2).sum(), dict(model.named_parameters())
    graph = viz.graph(loss, params, view="op", heat="grad")
    found = lanes(graph)
    assert set(found) == {(layer, way) for layer in (0, 1) for way in ("forward", "reverse")[: 1 + bidirectional]}
    for (_, way), steps in found.items():
        assert sorted(steps) == list(range(7)) and len({len(boxes) for boxes in steps.values()}) == 1
        assert all(node["scope"] == kind and node["direction"] == way for boxes in steps.values() for node in boxes)
        assert all(max(node["x"] for node in steps[t]) < min(node["x"] for node in steps[t + 1]) for t in range(6))
    at = {node.id: node for node in graph.scene.nodes}
    inner = [(at[edge.source], at[edge.target]) for edge in graph.scene.edges if edge.kind == "state"]
    inner = [(a, b) for a, b in inner if a.step is not None and (a.layer, a.direction) == (b.layer, b.direction)]
    assert inner and all((a.step > b.step) == (a.direction == "reverse") for a, b in inner)
    for band in range(len(graph.scene.bands)):
        assert sum(share.share for share in graph.scene.shares if share.band == band) == pytest.approx(1)
    parts = {name: viz.contributions(loss, tensor) for name, tensor in params.items()}
    loss.backward()
    for name, tensor in params.items():
        assert parts[name].shape[0] == 7 and np.allclose(parts[name].sum(0).cpu().numpy(), tensor.grad.cpu().numpy(), atol=1e-5)


def test_layers_are_stacked_by_number_in_second_order_graphs():
    model, x = nn.RNN(3, 4, 2, bidirectional=True), minigrad.randn(2, 2, 3, requires_grad=True)
    with nn.path("fused"):
        (dx,) = minigrad.autograd.grad(model(x)[0].sum(), [x], create_graph=True)
    bands = viz.graph((dx**2).sum(), model.named_parameters()).scene.bands
    assert [(band.layer, band.direction) for band in bands] == [(k, way) for k in (0, 1) for way in ("forward", "reverse")]
    assert {band.scope for band in bands} == {("RNN",)}


@pytest.mark.parametrize("view", ("rolled", "unrolled", "op"))
@pytest.mark.parametrize("lengths", (1, 3))
def test_no_words_or_boxes_overlap_in_small_graphs(view, lengths):
    minigrad.manual_seed(7)
    encoder, decoder = nn.LSTM(3, 4, 2), nn.LSTM(3, 4, 2)
    x = minigrad.randn(lengths, 2, 3)
    loss = decoder(x, encoder(x)[1])[0].sum()
    picture = viz.graph(loss, nn.ModuleList([encoder, decoder]).named_parameters(), view=view, heat="grad").picture
    areas = [(box.x - box.width / 2, box.y - box.height / 2, box.x + box.width / 2, box.y + box.height / 2) for box in picture.boxes]
    for word in picture.words:
        width = 6.5 * len(word.text)
        start = word.x - {"start": 0.0, "middle": 0.5, "end": 1.0}[word.anchor] * width
        areas.append((start, word.y - 9, start + width, word.y + 2))
    for index, a in enumerate(areas):
        assert not [b for b in areas[:index] if a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]]


@pytest.mark.parametrize("kind", ("RNN", "LSTM", "GRU"))
@pytest.mark.parametrize("layers", (1, 2))
def test_windows_of_truncated_bptt_stand_side_by_side(kind, layers):
    model, state, losses = getattr(nn, kind)(3, 4, layers), None, []
    for _ in range(3):
        output, state = model(minigrad.randn(2, 2, 3), state)
        state = tuple(each.detach() for each in state) if kind == "LSTM" else state.detach()
        losses.append(output.sum())
    scene = viz.graph(minigrad.stack(losses).sum(), model.named_parameters(), heat="grad").scene
    assert [band.section for band in scene.bands] == [section for section in range(3) for _ in range(layers)]
    assert len(scene.columns) == 6 and [node.kind for node in scene.nodes].count("cut") >= 2


def test_rolled_is_one_step_with_loops():
    whole = json.loads(viz.graph(*rnn(30), view="rolled").to_json())
    loops = [edge for edge in whole["edges"] if edge["kind"] == "loop"]
    assert [edge["count"] for edge in loops] == [29]
    assert {node["steps"] for node in whole["nodes"] if node["scope"] == "rnn"} == {30}


def test_a_decoder_stands_right_of_its_encoder():
    graph = viz.graph(*encoder_decoder())
    at = {box.node: box.x for box in graph.picture.boxes}
    xs = {name: [at[node.id] for node in graph.scene.nodes if node.scope == (name,)] for name in ("encoder", "decoder")}
    assert max(xs["encoder"]) < min(xs["decoder"])
    assert [column.section for column in graph.scene.columns] == [0] * 5 + [1] * 3


@pytest.mark.parametrize("nest", ("step", "module"))
def test_nesting_frames_every_step_or_every_lane(nest):
    graph = viz.graph(*lstm(4, num_layers=2), nest=nest)
    around = [frame for frame in graph.picture.frames if frame.kind == "around"]
    assert len(around) == (4 if nest == "step" else 2)
    inner = [frame for frame in graph.picture.frames if frame.kind == "step"]
    for outer in around:
        inside = [each for each in inner if outer.x <= each.x and each.x + each.width <= outer.x + outer.width
                  and outer.y <= each.y and each.y + each.height <= outer.y + outer.height]  # fmt: skip
        assert len(inside) == (2 if nest == "step" else 4)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(
    "make", (lambda: rnn(9), lambda: rnn(9, cut=4), lambda: lstm(5, num_layers=2, bidirectional=True), encoder_decoder)
)
def test_boxes_are_apart_and_wires_cross_none_of_them(view, make):
    graph = viz.graph(*make(), view=view)
    boxes = graph.picture.boxes
    for index, a in enumerate(boxes):
        for b in boxes[:index]:
            assert abs(a.x - b.x) >= (a.width + b.width) / 2 or abs(a.y - b.y) >= (a.height + b.height) / 2
    for wire in graph.picture.wires:
        edge = graph.scene.edges[wire.edge]
        others = [box for box in boxes if box.node not in (edge.source, edge.target)]
        for x, y in along(wire):
            assert not [box.node for box in others if abs(box.x - x) < box.width / 2 - 1 and abs(box.y - y) < box.height / 2 - 1], edge


def along(wire):
    points = wire.points
    if wire.curved:
        for start in range(0, len(points) - 3, 3):
            for t in np.linspace(0, 1, 12):
                weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
                yield tuple(sum(w * p[axis] for w, p in zip(weights, points[start : start + 4], strict=True)) for axis in (0, 1))
    else:
        for (x, y), (u, v) in pairwise(points):
            for t in np.linspace(0, 1, 2 + int((abs(u - x) + abs(v - y)) / 8)):
                yield x + (u - x) * t, y + (v - y) * t


def test_packed_rows_make_a_staircase():
    w = minigrad.ones(2, requires_grad=True)
    h = minigrad.zeros(3, 2)
    for t, rows in enumerate((3, 2, 1)):
        h = h[:rows]
        with minigrad.step(t, layer=0, direction="forward", rows=rows):
            h = (h * w).tanh()
    graph = viz.graph(h.sum())
    kinds = [mark.kind for mark in graph.picture.marks]
    assert (kinds.count("live"), kinds.count("ended")) == (6, 3)
    assert [word.text for word in graph.picture.words if word.kind == "rows"] == ["3 of 3 rows", "2 of 3 rows", "1 of 3 rows"]
    assert not [node for node in graph.scene.nodes if node.op == "getitem" and node.column is None]


# --------------------------------------------------------------------------------------------------------------- heat


def test_heat_leaves_gradients_and_tape_as_they_were():
    loss, params = lstm(4)
    params["weight_hh_l0"].register_hook(lambda gradient: pytest.fail("a hook ran"))
    viz.graph(loss, params, heat="grad").to_svg()
    assert all(tensor.grad is None for tensor in params.values())
    fresh, others = lstm(4)
    fresh.backward()
    again, params = lstm(4)
    viz.graph(again, params, heat="grad")
    again.backward()
    for name in params:
        assert (params[name].grad.cpu().numpy() == others[name].grad.cpu().numpy()).all()


def test_norms_are_the_engines():
    loss, params = rnn(6)
    graph = viz.graph(loss, params, heat="grad")
    loss.backward()
    for node in graph.scene.nodes:
        if node.kind == "param":
            assert math.isclose(node.norm, float((params[node.name].grad ** 2).sum() ** 0.5), rel_tol=1e-5)


@pytest.mark.parametrize(
    "make", (lambda: rnn(20), lambda: rnn(7, direction="reverse"), lambda: lstm(12, num_layers=2), lambda: rnn(9, cut=4))
)
def test_shares_sum_to_one(make):
    scene = viz.graph(*make(), heat="grad", max_steps=3).scene
    for band in range(len(scene.bands)):
        assert abs(sum(share.share for share in scene.shares if share.band == band) - 1) < 1e-6


@pytest.mark.parametrize("path", ("stepwise", "fused"))
@pytest.mark.parametrize("bidirectional", (False, True))
def test_a_checkpointed_layer_has_the_heat_of_its_gradients(path, bidirectional):
    with nn.path(path):
        loss, params = lstm(7, checkpoint=3, bidirectional=bidirectional)
        graph = viz.graph(loss, params, heat="grad")
        assert all(tensor.grad is None for tensor in params.values())
        with pytest.raises(ValueError, match="without checkpoint"):
            viz.contributions(loss, params["weight_hh_l0"])
        loss.backward()
    norms = {node.name: node.norm for node in graph.scene.nodes if node.kind == "param"}
    assert norms == pytest.approx({name: float((tensor.grad**2).sum() ** 0.5) for name, tensor in params.items()}, rel=1e-5)
    squares = {graph.snapshot.nodes[weight].name: square**0.5 for weight, square in graph.snapshot.squares.items()}
    assert squares == pytest.approx(norms)


def test_a_fused_layer_below_steps_is_no_weight_prepared_for_them():
    minigrad.manual_seed(4)
    below, cell = nn.RNN(3, 8, path="fused"), nn.RNNCell(8, 4)
    with nn.path("fused"):
        output, _ = below(minigrad.randn(3, 2, 3))
    loss = nn.Scan(cell)(output)[0].sum()
    assert viz.contributions(loss, cell.weight_hh).shape == (3, 4, 4)
    with pytest.raises(ValueError, match="path='stepwise'"):
        viz.contributions(loss, below.weight_hh_l0)


@pytest.mark.parametrize("kind", ("RNN", "LSTM", "GRU"))
@pytest.mark.parametrize("lengths", (None, [7, 5, 2]))
@pytest.mark.parametrize("freed", (False, True))
def test_a_fused_layer_says_how_many_steps_it_is_and_how_to_open_it(kind, lengths, freed):
    model, x = getattr(nn, kind)(3, 4, bidirectional=True), minigrad.randn(7, 3, 3)
    with nn.path("fused"):
        output, _ = model(x if lengths is None else nn.utils.rnn.pack_padded_sequence(x, lengths))
    loss = (output if lengths is None else output.data).sum()
    if freed:
        loss.backward()
    for view in ("rolled", "unrolled", "op"):
        graph = viz.graph(loss, model.named_parameters(), view=view)
        boxes = [node for node in graph.scene.nodes if node.op == kind.lower()]
        assert len(boxes) == 2 and all(box.steps == 7 and "7 steps" in box.label for box in boxes)
        assert [note for note in graph.scene.notes if "7 time steps" in note and "path='stepwise'" in note]
        svg = graph.to_svg()
        assert svg.count(">7 steps") == svg.count("7 time steps of a layer in one node: path=") == 2
    boxes = viz.graph(loss, view="module").scene.nodes
    assert [node.steps for node in boxes if node.kind == "module"] == [7]


def test_a_fused_layer_inside_a_step_keeps_its_own_steps():
    model = nn.GRU(3, 4)
    with nn.path("fused"), minigrad.step(0):
        output, _ = model(minigrad.randn(7, 2, 3))
    box = next(node for node in viz.graph(output.sum(), view="rolled").scene.nodes if node.op == "gru")
    assert box.steps == 7 and "7 steps" in box.label


def test_a_checkpoint_is_named():
    assert any("without" in note for note in viz.graph(*lstm(4, checkpoint=2)).scene.notes)


def test_a_step_to_look_around_is_a_whole_number():
    for around in ("3", 2.5, True):
        with pytest.raises(ValueError, match="around must be"):
            viz.graph(*rnn(3), around=around)


def test_contributions_sum_to_the_gradient():
    loss, params = rnn(8)
    parts = viz.contributions(loss, params["W"])
    assert parts.shape == (8, 5, 5) and params["W"].grad is None
    loss.backward()
    assert np.allclose(parts.sum(0).cpu().numpy(), params["W"].grad.cpu().numpy(), atol=1e-6)
    share = (parts.cpu().numpy() * params["W"].grad.cpu().numpy()).sum((1, 2)) / (params["W"].grad.cpu().numpy() ** 2).sum()
    assert abs(share.sum() - 1) < 1e-4 and (np.abs(parts.cpu().numpy()).sum((1, 2))[1:] > 0).all()


def test_contributions_of_windows_come_one_after_the_other():
    cell, h, losses = nn.RNN(3, 4), None, []
    for _ in range(3):
        output, h = cell(minigrad.randn(2, 2, 3), h)
        losses.append((output**2).sum())
        h = h.detach()
    loss = losses[0] + losses[1] + losses[2]
    parts = viz.contributions(loss, cell.weight_hh_l0)
    alone = [viz.contributions(each, cell.weight_hh_l0) for each in losses]
    assert parts.shape == (6, 4, 4) and np.allclose(parts.cpu().numpy(), np.concatenate([each.cpu().numpy() for each in alone]), atol=1e-6)


def test_contributions_go_through_what_was_prepared_before_the_steps():
    W = minigrad.randn(3, 3, requires_grad=True)
    turned, h = W.T * 2, minigrad.ones(1, 3)
    for t in range(4):
        with minigrad.step(t):
            h = (h @ turned).tanh()
    loss = h.sum()
    parts = viz.contributions(loss, W)
    loss.backward()
    assert parts.shape == (4, 3, 3) and np.allclose(parts.sum(0).cpu().numpy(), W.grad.cpu().numpy(), atol=1e-6)


def test_contributions_say_what_they_cannot_do():
    w = minigrad.ones(2, requires_grad=True)
    with pytest.raises(ValueError, match="outside of time steps"):
        viz.contributions((w * 2).sum(), w)
    with pytest.raises(ValueError, match="a leaf"):
        viz.contributions((w * 2).sum(), minigrad.ones(2, requires_grad=True))
    with pytest.raises(ValueError, match="single number"):
        viz.contributions(w * 2, w)


def test_a_freed_graph_is_drawn_without_heat_and_says_so():
    loss, params = rnn(3)
    loss.backward()
    graph = viz.graph(loss, params, heat="grad")
    assert not graph.scene.heat and any("freed" in note for note in graph.scene.notes) and "freed" in graph.to_svg()


@pytest.mark.parametrize(("value", "mark", "word"), [(math.nan, "nan", "NaN"), (math.inf, "inf", "∞"), (0.0, "nil", "0")])
def test_gradients_that_are_no_usual_numbers_are_marked(value, mark, word):
    w = minigrad.ones(2, requires_grad=True)
    svg = viz.graph((w * value).sum(), {"w": w}, heat="grad").to_svg()
    assert re.search(rf'class="flow {mark}"', svg) and f"‖dW‖ {word}" in svg
    json.loads(viz.graph((w * value).sum(), {"w": w}, heat="grad").to_json(), parse_constant=lambda name: pytest.fail(name))


def test_one_scale_for_two():
    figure = viz.beside({"RNN": viz.graph(*rnn(30), heat="grad"), "LSTM": viz.graph(*lstm(30), heat="grad")})
    ElementTree.fromstring(figure.to_svg())
    scales = re.findall(r"‖∂L/∂·‖ ([^<]+)</text>", figure.to_svg())
    assert len(scales) == 2 and len(set(scales)) == 1


# ------------------------------------------------------------------------------------------------------------ formats


@pytest.mark.parametrize("view", VIEWS)
def test_saved_json_is_drawn_again_to_the_same_bytes(view, tmp_path):
    graph = viz.graph(*lstm(8, num_layers=2), view=view, heat="grad")
    graph.save(tmp_path / "graph.json")
    again = viz.load(tmp_path / "graph.json")
    assert again.to_json() == graph.to_json() and again.to_svg() == graph.to_svg() and again.to_html() == graph.to_html()
    (tmp_path / "other.json").write_text('{"nodes": []}')
    with pytest.raises(ValueError, match="no graph saved as JSON"):
        viz.load(tmp_path / "other.json")


def test_the_page_asks_nothing_of_any_network_and_counts_the_engines_bytes():
    with minigrad.trace() as seen:
        loss, params = rnn(5)
        held = seen.held
    page = viz.graph(loss, {"</script><script>alert(1)</script>": params["W"]}, view="op", heat="grad").to_html()
    assert page.count("<script") == 2 and not re.search(r"(?:src|href)\s*=|url\((?!#)|@import|fetch\(|XMLHttp", page)
    assert set(re.findall(r"https?://[^\s\"'<]+", page)) <= {"http://www.w3.org/2000/svg"}
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])
    assert max(data["held"]) == held and data["held"][0] == data["held"][-1] == 0
    assert len(data["held"]) == 1 + len(data["nodes"]) + len(data["back"]) and data["back"] == sorted(data["back"], reverse=True)


def fake(folder, name, script):
    path = folder / name
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.skipif(sys.platform == "win32", reason="the fake programs are shell scripts")
@pytest.mark.parametrize(
    ("script", "told"),
    [(None, "no program"), ("kill -9 $$", "signal 9"), ("/bin/sleep 60", "did not finish"), ("exit 3", "status 3")],
)
def test_a_dot_that_is_missing_crashes_or_hangs_loses_no_picture(script, told, tmp_path, monkeypatch):
    programs = tmp_path / "bin"
    programs.mkdir()
    if script is not None:
        fake(programs, "dot", script)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(viz.graph.__globals__["Graph"].save.__globals__["engine"], "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match=told) as error:
        viz.graph(*rnn(2)).save(tmp_path / "graph.png", seconds=0.5)
    assert "\n" not in str(error.value)
    assert sorted(os.listdir(tmp_path)) == ["bin", "graph.dot", "graph.svg"]
    ElementTree.parse(tmp_path / "graph.svg")


def test_to_dot_is_a_digraph_with_pinned_positions():
    graphviz = pytest.importorskip("graphviz")
    w = minigrad.ones(2, requires_grad=True)
    digraph = viz.graph((w * 2).sum(), {'a "quoted"\nname <b>\\': w}).to_dot()
    assert isinstance(digraph, graphviz.Digraph) and digraph.source.count('!"') == 3
    assert '\\"quoted\\"' in digraph.source and "subgraph cluster_0_0" in viz.graph(*rnn(3)).to_dot().source


def test_gates_over_a_text():
    loss, _ = lstm(6)
    found = viz.gates(loss, labels="对 text")
    assert [each.name.split(",")[0] for each in found.maps] == ["i", "f", "g", "o", "tanh(c)"] or len(found.maps) == 5
    assert all(len(each.values) == 4 and len(each.values[0]) == 6 for each in found.maps) and "对" in found.to_svg()
    ElementTree.fromstring(found.to_svg())


def test_a_graph_over_a_text(tmp_path):
    loss, _ = lstm(3)
    graph = viz.graph(loss, labels="对 <x>")
    headings = ["t = 0: 对", "t = 1:  ", "t = 2: <"]
    texts = ["".join(element.itertext()) for element in ElementTree.fromstring(graph.to_svg()).iter("{http://www.w3.org/2000/svg}text")]
    assert [text for text in texts if text.startswith("t = ")] == headings
    if importlib.util.find_spec("graphviz") is not None:
        assert headings[0] in graph.to_dot().source
    graph.save(tmp_path / "graph.json")
    assert viz.load(tmp_path / "graph.json").to_svg() == graph.to_svg()
    few = viz.graph(lstm(9)[0], max_steps=3, labels="012345678")
    assert [column.heading for column in few.scene.columns] == ["t = 0: 0", "t = 1: 1", "t = 2 … 7", "t = 8: 8"]
    assert [column.heading for column in viz.graph(loss, view="rolled", labels="abc").scene.columns] == ["t = 0 … 2  (×3)"]
    with pytest.raises(ValueError, match="2 labels for 3 time steps"):
        viz.graph(loss, labels="ab")


# ------------------------------------------------------------------------------------------------------- command line


def run(*args, cwd):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-m", "minigrad.viz", *args], cwd=cwd, env=environment, capture_output=True, text=True)


def test_the_command_line_stops_at_the_first_backward(tmp_path):
    script = "import sys, minigrad\nmodel_w = minigrad.ones(2, requires_grad=True)\n(model_w * int(sys.argv[1])).sum().backward()\n"
    (tmp_path / "train.py").write_text(script + "print('past it')\n")
    done = run("-o", "train.json", "train.py", "7", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "train.json\n"), done.stderr
    assert '"name": "model_w"' in (tmp_path / "train.json").read_text()
    assert run("-o", "train.svg", "train.json", cwd=tmp_path).returncode == 0
    ElementTree.parse(tmp_path / "train.svg")
    (tmp_path / "failing.py").write_text("raise ValueError('of the script')\n")
    done = run("failing.py", cwd=tmp_path)
    assert done.returncode == 1 and "Traceback" in done.stderr and "failing.py failed before it called backward()" in done.stderr
    (tmp_path / "idle.py").write_text("1\n")
    done = run("idle.py", cwd=tmp_path)
    assert done.returncode == 1 and "without calling backward()" in done.stderr
