"""Pictures against the tape: what is drawn is what was computed, where a reader expects it, and nothing is kept alive."""

import gc
import os
import re
import subprocess
import sys
import time
import tracemalloc
import weakref
import xml.etree.ElementTree as ElementTree

import pytest

import minigrad
from minigrad import tape, viz
from minigrad.ops import linear

SVG = "{http://www.w3.org/2000/svg}"


def lstm(steps, layers=1, B=2, inputs=3, H=4):
    """A loss and its parameters: an LSTM as readable code, its first state cut from an earlier window."""
    minigrad.manual_seed(0)
    params = {}
    for layer in range(layers):
        params[f"weight_ih_l{layer}"] = minigrad.randn(4 * H, H if layer else inputs).requires_grad_()
        params[f"weight_hh_l{layer}"] = minigrad.randn(4 * H, H).requires_grad_()
        params[f"bias_l{layer}"] = minigrad.randn(4 * H).requires_grad_()
    sequence = [minigrad.randn(B, inputs) for _ in range(steps)]
    with minigrad.scope("lstm"):
        for layer in range(layers):
            sequence = lstm_layer(sequence, layer, *(params[f"{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias")))
    return minigrad.stack(sequence).mean(), params


def lstm_layer(sequence, layer, W_ih, W_hh, bias):
    B, H = sequence[0].shape[0], W_hh.shape[1]
    h, c = minigrad.randn(B, H, requires_grad=True).tanh().detach(), minigrad.zeros(B, H)
    outputs = []
    for t, x in enumerate(sequence):
        with minigrad.step(t, layer=layer, direction="forward"), minigrad.scope("cell"):
            i, f, g, o = (linear(x, W_ih, bias) + linear(h, W_hh)).chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        outputs.append(h)
    return outputs


def on_tape(tensor):
    """Everything `tensor` was computed from, in tape order, without what only tells outputs apart."""
    found, waiting = {}, [tensor.node]
    while waiting:
        node = waiting.pop()
        if node.number not in found:
            found[node.number] = node
            waiting.extend(parent for parent in node.parents if isinstance(parent, tape.Node))
    return [found[number] for number in sorted(found) if not isinstance(found[number], tape.Branch)]


def chain(length):
    x = minigrad.ones(1, requires_grad=True)
    for _ in range(length):
        x = x + 1
    return x


def centres(graph):
    return {box.node: (box.x, box.y) for box in graph.picture.boxes}


def wires(graph, kind):
    """The wires of all edges of one kind."""
    return [wire for wire in graph.picture.wires if graph.scene.edges[wire.edge].kind == kind]


def by_step(graph):
    """Step -> [(op, x, y)] of its operations, in tape order."""
    steps, at = {}, centres(graph)
    for node in graph.scene.nodes:
        if node.step is not None and node.id in at:
            steps.setdefault(node.step, []).append((node.op, *at[node.id]))
    return steps


# ---------------------------------------------------------------------------------------------------- against the tape


def test_a_snapshot_is_the_tape():
    loss, params = lstm(3)
    snapshot = viz.graph(loss, params).snapshot
    assert [node.id for node in snapshot.nodes] == list(range(len(snapshot.nodes)))
    recorded = [node for node in snapshot.nodes if node.kind in ("op", "output", "param")]
    nodes = on_tape(loss)
    assert [node.op for node in recorded] == [node.op for node in nodes]
    assert [node.step for node in recorded] == [node.place.step for node in nodes]
    assert [node.scope for node in recorded] == [node.place.scope for node in nodes]
    ids = {node.number: mine.id for node, mine in zip(nodes, recorded, strict=True)}
    for node, mine in zip(nodes, recorded, strict=True):
        parents = [parent.parents[0] if isinstance(parent, tape.Branch) else parent for parent in node.parents]
        of_nodes = [ids[parent.number] for parent in parents if isinstance(parent, tape.Node)]
        assert [each for each in mine.inputs if snapshot.nodes[each].kind in ("op", "param")] == of_nodes
    assert [edge for edge in snapshot.edges if edge.source >= edge.target] == []


def test_kinds():
    loss, params = lstm(2)
    nodes = viz.graph(loss, params).snapshot.nodes
    kinds = [node.kind for node in nodes]
    assert kinds.count("cut") == 1 and kinds.count("input") == 3 and kinds.count("param") == 3 and kinds.count("output") == 1
    assert {node.name for node in nodes if node.kind == "param"} == set(params)
    assert next(node.label for node in nodes if node.op == "split") == "split 4×(2, 4)"
    assert next(node.label for node in nodes if node.op == "tanh") == "tanh (2, 4)"
    w = minigrad.ones(2, requires_grad=True)
    nodes = viz.graph(w * minigrad.ones(2) + 2).snapshot.nodes
    assert [(node.kind, node.name) for node in nodes] == [("param", "leaf"), ("constant", "constant"), ("op", "mul"), ("output", "add")]


def test_every_edge_is_drawn_and_no_other():
    loss, params = lstm(3, layers=2)
    graph = viz.graph(loss, params)
    drawn = re.findall(r'data-edge="(\d+)-(\d+)"', graph.to_svg())
    assert sorted({(int(source), int(target)) for source, target in drawn}) == sorted(set(graph.snapshot.edges))
    assert len(drawn) == len(set(drawn))
    assert len(re.findall("data-node=", graph.to_svg())) == len(graph.snapshot.nodes)


def test_a_tensor_without_a_tape_is_refused():
    with pytest.raises(ValueError, match="requires_grad=True"):
        viz.graph(minigrad.ones(2))
    for most in (0, -1, True, 2.5):
        with pytest.raises(ValueError, match="max_steps"):
            viz.graph(minigrad.ones(2, requires_grad=True).sum(), max_steps=most)


def test_a_leaf_alone_and_one_output_of_several():
    w = minigrad.ones(4, requires_grad=True)
    assert "data-node" in viz.graph(w, {"w": w}).to_svg()
    assert [node.kind for node in viz.graph(w.chunk(2)[0]).snapshot.nodes] == ["param", "output"]


def test_the_tape_is_left_as_it_was():
    loss, params = lstm(3)
    viz.graph(loss, params).to_svg()
    loss.backward()
    before = {name: tensor.grad.cpu().numpy().copy() for name, tensor in params.items()}
    again, fresh = lstm(3)
    again.backward()
    assert all((before[name] == fresh[name].grad.cpu().numpy()).all() for name in fresh)


# ----------------------------------------------------------------------------------------------------------- layout


@pytest.mark.parametrize("layers", [1, 2])
def test_time_runs_right_and_every_step_looks_the_same(layers):
    steps = by_step(viz.graph(*lstm(5, layers)))
    assert sorted(steps) == [0, 1, 2, 3, 4]
    for t in range(4):
        assert max(x for _, x, _ in steps[t]) < min(x for _, x, _ in steps[t + 1])
    relative = [[(op, round(x - steps[t][0][1], 6), y) for op, x, y in steps[t]] for t in range(5)]
    assert all(other == relative[0] for other in relative)


def test_the_gates_stand_side_by_side_and_the_cell_state_runs_straight():
    graph = viz.graph(*lstm(3))
    first = by_step(graph)[0]
    gates = [(x, y) for op, x, y in first if op in ("sigmoid", "tanh")][:4]
    assert len({y for _, y in gates}) == 1 and len({x for x, _ in gates}) == 4
    states = wires(graph, "state")
    straight = [wire for wire in states if {y for _, y in wire.points} == {min(y for _, _, y in first)}]
    assert len(states) == 4 and len(straight) == 2  # h and c, twice; c without a bend


def test_boxes_do_not_overlap_and_nothing_is_outside():
    for graph in (viz.graph(*lstm(4)), viz.graph(*lstm(9, 2)), viz.graph(chain(5)), viz.graph(*reverse(4))):
        picture = graph.picture
        for box in picture.boxes:
            assert picture.left <= box.x - box.width / 2 and box.x + box.width / 2 <= picture.left + picture.width
            assert picture.top <= box.y - box.height / 2 and box.y + box.height / 2 <= picture.top + picture.height
        for index, a in enumerate(picture.boxes):
            for b in picture.boxes[:index]:
                assert abs(a.x - b.x) >= (a.width + b.width) / 2 or abs(a.y - b.y) >= (a.height + b.height) / 2


def reverse(steps):
    """An RNN that reads from the last step to the first."""
    W = minigrad.randn(2, 2).requires_grad_()
    h = minigrad.zeros(1, 2)
    for t in reversed(range(steps)):
        with minigrad.step(t, layer=0, direction="reverse"):
            h = (linear(h, W) + minigrad.randn(1, 2)).tanh()
    return h.sum(), {"W": W}


def test_time_that_runs_backward():
    graph = viz.graph(*reverse(4))
    steps = by_step(graph)
    assert max(x for _, x, _ in steps[0]) < min(x for _, x, _ in steps[1])
    states = wires(graph, "state")
    assert len(states) == 3 and all(wire.points[0][0] > wire.points[-1][0] for wire in states)


def test_a_wire_past_several_rows_crosses_no_box():
    w = minigrad.ones(2, requires_grad=True)
    h = w
    for t in range(3):
        with minigrad.step(t):
            a, b = (h * w).chunk(2)
            h = minigrad.cat([a.tanh().exp().tanh() + b, a.sigmoid() * b])
    graph = viz.graph(h)
    picture, inside = graph.picture, wires(graph, "data")
    for wire in inside:
        for x, y in wire.points[3:-1:3]:
            assert all(abs(box.x - x) > box.width / 2 or abs(box.y - y) > box.height / 2 for box in picture.boxes)
    assert any(len(wire.points) > 4 and wire.curved for wire in inside)


def test_layers_are_stacked_upward():
    graph = viz.graph(*lstm(2, 2))
    at = centres(graph)
    heights = [[at[node.id][1] for node in graph.snapshot.nodes if node.layer == layer] for layer in (0, 1)]
    assert min(heights[0]) > max(heights[1])


def test_modules_within_a_step_are_stacked_upward():
    w = minigrad.ones(2, requires_grad=True)
    x = w
    for t in range(3):
        with minigrad.step(t):
            for name in ("encoder", "decoder"):
                with minigrad.scope(name):
                    x = (x * w).tanh()
    graph = viz.graph(x)
    at = centres(graph)
    heights = [[at[node.id][1] for node in graph.snapshot.nodes if node.scope == (name,)] for name in ("encoder", "decoder")]
    assert min(heights[0]) > max(heights[1])


def test_a_parameter_is_drawn_once_with_its_uses():
    loss, params = lstm(5)
    graph = viz.graph(loss, params)
    svg = graph.to_svg()
    leaf = next(node for node in graph.snapshot.nodes if node.name == "weight_hh_l0")
    assert len(re.findall(rf'data-node="{leaf.id}"', svg)) == 1
    assert len(re.findall(rf'data-edge="{leaf.id}-\d+"', svg)) == 5
    assert [word.text for word in graph.picture.words if word.kind == "badge"] == ["×5"] * 3


def test_a_value_that_one_op_reads_twice_is_marked_at_the_arrow():
    a = minigrad.ones(3, requires_grad=True)
    b = a * 2
    graph = viz.graph(((b + b) * b).sum(), {"a": a}, view="op")
    (word,) = [word for word in graph.picture.words if word.kind == "times"]
    twice = next(wire for wire in graph.picture.wires if graph.scene.edges[wire.edge].count == 2)
    x, y = twice.points[-1]
    assert word.text == "×2" and abs(word.x - x) < 30 and abs(word.y - y) < 30
    loss, params = lstm(5)
    assert not [word for word in viz.graph(loss, params, view="op").picture.words if word.kind == "times"]


ALL = list(range(20))


@pytest.mark.parametrize(
    ("most", "shown"), [(1, [0]), (2, [0, 19]), (5, [0, 1, 2, 18, 19]), (6, [0, 1, 2, 17, 18, 19]), (20, ALL), (None, ALL)]
)
def test_steps_left_out_are_counted(most, shown):
    graph = viz.graph(*lstm(20), max_steps=most)
    assert sorted(by_step(graph)) == shown
    columns = graph.scene.columns
    assert [column.first for column in columns if column.kind == "step"] == shown
    assert sum(column.count for column in columns) == 20
    elisions = [node for node in graph.scene.nodes if node.kind == "elision"]
    hidden = 20 - len(shown)
    assert [node.name for node in elisions] == ([] if not hidden else [f"… {hidden} step{'s' if hidden > 1 else ''} …"])
    assert sum(node.count for node in graph.scene.nodes) == len(graph.snapshot.nodes)
    assert [word.text for word in graph.picture.words if word.kind == "badge"] == ["×20"] * 3  # uses are counted in full
    assert any(f"{hidden} step" in note for note in graph.scene.notes) == bool(hidden)


def test_a_cut_is_marked():
    graph = viz.graph(*lstm(3))
    assert graph.to_svg().count(">detached</text>") >= 1 and [mark.kind for mark in graph.picture.marks] == ["cut"]
    assert graph.to_svg().count('class="wire loose"') == 1


def test_a_cut_within_the_graph_leads_back_to_what_it_was_cut_from():
    w = minigrad.ones(2, requires_grad=True)
    h, total = w, 0.0
    for t in range(6):
        with minigrad.step(t):
            h = (h * w).tanh()
        total = total + h.sum()
        if t == 2:
            h = h.detach()
    graph = viz.graph(total)
    cut = next(node for node in graph.snapshot.nodes if node.kind == "cut")
    assert graph.snapshot.nodes[cut.cut_from].step == 2
    assert [(edge.source, edge.target) for edge in graph.scene.edges if edge.kind == "severed"] == [(cut.cut_from, cut.id)]


# -------------------------------------------------------------------------------------------------------------- SVG


def test_labels_are_escaped():
    w = minigrad.ones(2, requires_grad=True)
    name = """<script>alert("1")</script>' & 权重"""
    with minigrad.scope("</title><script>"):
        y = (w * 2).sum()
    graph = viz.graph(y, {name: w})
    svg = graph.to_svg()
    assert "<script" not in svg
    texts = ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter(SVG + "text")]
    assert name + " (2,)" in texts
    assert name in graph.to_text()


def test_a_long_label_is_cut_short_and_told_in_full():
    w = minigrad.ones(2, requires_grad=True)
    name = "encoder." * 40 + "权重" * 30
    graph = viz.graph((w * 2).sum(), {name: w})
    root = ElementTree.fromstring(graph.to_svg())
    assert any("…" in "".join(element.itertext()) for element in root.iter(SVG + "text"))
    assert any(name in (element.text or "") for element in root.iter(SVG + "title"))
    assert max(box.width for box in graph.picture.boxes) < 400


def test_svg_is_well_formed_and_says_what_it_shows():
    root = ElementTree.fromstring(viz.graph(*lstm(4)).to_svg())
    assert root.get("viewBox") and "max-width" in root.get("style")
    assert "4 time steps" in root.find(SVG + "title").text and "weight_hh_l0" in root.find(SVG + "desc").text
    assert not [element for element in root.iter() if element.get("id")]  # so that a page may hold the figure twice
    texts = ["".join(element.itertext()) for element in root.iter(SVG + "text")]
    assert [text for text in texts if text.startswith("t = ")] == ["t = 0", "t = 1", "t = 2", "t = 3"]


def test_two_figures_in_one_page_keep_their_own_styles():
    classes = [re.search(r'<svg class="([^"]+)"', viz.graph(*lstm(steps)).to_svg())[1] for steps in (2, 3)]
    assert classes[0] != classes[1]
    style = re.search(r"<style>(.*?)</style>", viz.graph(*lstm(2)).to_svg(), re.S)[1]
    rules = re.sub(r"@media[^{]*\{|^\}$", "", style, flags=re.M)
    assert all(each.startswith(f".{classes[0]}") for each in re.findall(r"([^{}]+)\{", rules.replace("\n", "")) for each in each.split(","))


def test_identical_graphs_give_identical_bytes():
    first, second = (viz.graph(*lstm(8, 2), heat="grad") for _ in range(2))
    for form in ("to_svg", "to_html", "to_text", "to_json"):
        assert getattr(first, form)() == getattr(second, form)()


def test_bytes_do_not_depend_on_the_hash_seed():
    code = (
        "import sys; sys.path.insert(0, 'tests'); import test_viz, hashlib; "
        "print(hashlib.sha256(test_viz.viz.graph(*test_viz.lstm(8, 2)).to_svg().encode()).hexdigest())"
    )
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    environments = [{**os.environ, "PYTHONHASHSEED": seed} for seed in ("1", "2")]
    runs = [subprocess.run([sys.executable, "-c", code], cwd=here, env=each, capture_output=True, check=True) for each in environments]
    assert runs[0].stdout == runs[1].stdout


# ------------------------------------------------------------------------------------------------------------- size


def test_a_long_chain_needs_no_recursion():
    graph = viz.graph(chain(20_000))
    assert graph.to_svg().count("data-node=") == 20_001
    assert graph.to_text().count("\n") == 20_005


def test_ten_thousand_nodes_are_quick():
    loss, params = lstm(770)
    graph = viz.graph(loss, params, max_steps=None)
    assert len(graph.snapshot.nodes) > 10_000
    start = time.perf_counter()
    graph.to_svg()
    assert time.perf_counter() - start < 5  # about 0.4 s; the bound is for a busy machine, and catches what is quadratic


def test_memory_grows_with_the_number_of_nodes():
    def peak(steps):
        loss, params = lstm(steps)
        tracemalloc.start()
        try:
            viz.graph(loss, params, max_steps=None).to_svg()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)
    assert 3 < peak(400) / peak(100) < 5


def test_nothing_is_kept_alive():
    gc.disable()
    try:
        loss, params = lstm(3)
        nodes = [weakref.ref(node) for node in on_tape(loss)]
        tensors = [weakref.ref(tensor) for tensor in (loss, *params.values())]
        graph = viz.graph(loss, params)
        graph.to_svg()
        del loss, params
        assert [each for each in (*tensors, *nodes) if each() is not None] == []
        assert graph.to_text()
    finally:
        gc.enable()


# ----------------------------------------------------------------------------------------------------- files and text


def test_save(tmp_path):
    graph = viz.graph(*lstm(2))
    graph.save(tmp_path / "lstm.svg")
    graph.save(str(tmp_path / "lstm.txt"))
    assert (tmp_path / "lstm.svg").read_text(encoding="utf-8") == graph.to_svg() == graph._repr_svg_()
    assert (tmp_path / "lstm.txt").read_text(encoding="utf-8") == graph.to_text()
    assert sorted(os.listdir(tmp_path)) == ["lstm.svg", "lstm.txt"]


def test_save_says_what_it_can_write(tmp_path):
    with pytest.raises(ValueError, match=r"\.svg, .*\.pdf"):
        viz.graph(*lstm(2)).save(tmp_path / "lstm.docx")
    assert os.listdir(tmp_path) == []


def test_save_writes_the_whole_file_or_none(tmp_path, monkeypatch):
    graph = viz.graph(*lstm(2))
    graph.save(tmp_path / "lstm.svg")
    before = (tmp_path / "lstm.svg").read_bytes()

    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        viz.graph(*lstm(3)).save(tmp_path / "lstm.svg")
    assert os.listdir(tmp_path) == ["lstm.svg"] and (tmp_path / "lstm.svg").read_bytes() == before


def test_explain_tells_values_and_gradients():
    with minigrad.trace(values=True):
        loss, params = lstm(1, B=1, inputs=1, H=1)
        loss.backward()
    told = viz.explain(loss, params)
    forward, backward = told.split("backward")
    assert "lstm/cell t=0" in forward and "weight_ih_l0" in forward and "weight_hh_l0: " in backward
    value = f"{float(loss):.4g}"
    assert value in forward
    numbers = [int(line.split()[0]) for line in backward.splitlines()[2:] if line]
    assert numbers == sorted(numbers, reverse=True) and len(numbers) > 10
    norm = float((params["weight_ih_l0"].grad ** 2).sum() ** 0.5)
    assert f"weight_ih_l0: {norm:.4g}" in backward


def test_explain_without_a_trace_says_how_to_get_one():
    assert "minigrad.trace(values=True)" in viz.explain(lstm(1)[0])


def test_importing_minigrad_imports_no_viz():
    code = (
        "import sys, minigrad; assert not {'graphviz', 'minigrad.viz'} & set(sys.modules); "
        "minigrad.viz.graph; assert 'graphviz' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
