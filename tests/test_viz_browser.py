"""The replay page in a real browser, where one is installed: what is lit, what is held, keys, search, zoom and tooltips."""

import json
import os
import re
import select
import shutil
import subprocess
import sys

import pytest

import minigrad
import minigrad_nn as nn
from minigrad import tape, viz

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")

START = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"
LOADED = 'if (document.readyState !== "complete") await new Promise((done) => addEventListener("load", done));'
TOOLS = """
const by = (id) => document.getElementById(id), svg = document.querySelector("main > svg"), stage = by("stage");
const painted = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
const count = (what) => svg.querySelectorAll(what).length;
const seen = () => [+by("slider").value, count("g.node.lit[data-node]"), count("g.node.passed"), +by("held").dataset.bytes];
const press = async (key) => {
  document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
  await painted();
};
const pointer = async (target, type, x, y) => {
  target.dispatchEvent(new PointerEvent(type, {clientX: x, clientY: y, pointerId: 1, bubbles: true}));
  await painted();
};
"""


class Browser:
    """A headless Chromium, spoken to in its DevTools protocol over two pipes, which it finds as files 3 and 4."""

    def __init__(self, folder):
        for_it, self.to_it = os.pipe()
        self.from_it, by_it = os.pipe()
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,800", "--remote-debugging-pipe"]
        options.append(f"--user-data-dir={folder}")
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, str(for_it), str(by_it), BROWSER, *options], pass_fds=(for_it, by_it),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(for_it), os.close(by_it)
        self.told, self.number = b"", 0

    def ask(self, method, session=None, **params):
        """The browser's answer."""
        self.number += 1
        question = {"id": self.number, "method": method, "params": params, **({"sessionId": session} if session else {})}
        os.write(self.to_it, json.dumps(question).encode() + b"\0")
        while True:
            answer = self.next_message()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def next_message(self):
        while b"\0" not in self.told:
            ready, _, _ = select.select([self.from_it], [], [], 120)
            part = os.read(self.from_it, 1 << 20) if ready else b""
            assert part, "the browser says nothing any more"
            self.told += part
        message, self.told = self.told.split(b"\0", 1)
        return json.loads(message)

    def run(self, path, script):
        """What `script`, the body of an async function, returns when it runs in the page at `path`."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.ask("Page.bringToFront", session)  # a page that nobody sees is painted once a second
        self.ask("Page.navigate", session, url=path.as_uri())
        code = f"(async () => {{{LOADED}{TOOLS}await painted();{script}}})().then(JSON.stringify)"  # nodes are lit by then
        found = self.ask("Runtime.evaluate", session, expression=code, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return json.loads(found["result"]["value"])

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.to_it), os.close(self.from_it)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


def in_browser(browser, page, script, folder):
    path = folder / "page.html"
    path.write_text(page, encoding="utf-8")
    return browser.run(path, script)


class Counter(minigrad.trace):
    """The engine's own count of bytes held, after each node that it made and each that it gave back."""

    def __init__(self):
        super().__init__()
        self.after = {}

    def made(self, node, tensors, inputs):
        super().made(node, tensors, inputs)
        self.after[node.number] = self.held

    def freed(self, node):
        super().freed(node)
        self.after[-node.number] = self.held


def small_lstm():
    minigrad.manual_seed(0)
    model = nn.LSTM(3, 4, path="stepwise")
    with Counter() as counter:
        loss = (model(minigrad.randn(3, 2, 3))[0] ** 2).sum()
        graph = viz.graph(loss, model.named_parameters(), view="op", heat="grad")
        numbers = [node.number for node in on_tape(loss)]
        loss.backward()
    return graph, numbers, counter.after


def on_tape(tensor):
    found, waiting = {}, [tensor.node]
    while waiting:
        node = waiting.pop()
        if node.number not in found:
            found[node.number] = node
            waiting.extend(parent for parent in node.parents if isinstance(parent, tape.Node))
    return [found[number] for number in sorted(found) if not isinstance(found[number], tape.Branch)]


def test_the_slider_lights_as_many_nodes_as_it_says_and_counts_the_engines_bytes(browser, tmp_path):
    graph, numbers, after = small_lstm()
    nodes = graph.scene.nodes
    recorded = iter(numbers)
    number_of = {node.id: next(recorded) for node in nodes if node.kind in ("op", "output", "param")}
    held = [0]
    for node in nodes:
        held.append(after.get(number_of.get(node.id), held[-1]))
    for number in reversed(numbers):
        held.append(after.get(-number, held[-1]))
    forward, last = len(nodes), len(nodes) + len(numbers)
    places = [0, 1, 2, forward // 2, forward - 1, forward, forward + 1, (forward + last) // 2, last - 1, last, 3, forward, 0]
    script = f"""
      const told = [seen()];
      for (const at of {places}) {{
        by("slider").value = at;
        by("slider").dispatchEvent(new Event("input"));
        await painted();
        told.push(seen());
      }}
      return told;"""
    told = in_browser(browser, graph.to_html(), script, tmp_path)
    assert told == [[k, min(k, forward), max(k - forward, 0), held[k]] for k in (forward, *places)]
    assert max(held) == held[forward] > 0 == held[-1]


def test_keys_move_the_replay_and_play_runs_to_the_end(browser, tmp_path):
    graph, numbers, _ = small_lstm()
    forward, last = len(graph.scene.nodes), len(graph.scene.nodes) + len(numbers)
    script = """
      const told = [];
      for (const key of ["Home", "ArrowRight", "ArrowRight", "PageDown", "ArrowLeft", "PageUp", "End", "ArrowRight", "Home", "ArrowLeft"]) {
        await press(key);
        told.push(+by("slider").value);
      }
      by("speed").selectedIndex = 3;
      await press(" ");
      told.push(by("play").getAttribute("aria-label"));
      while (by("play").getAttribute("aria-label") === "Pause") await painted();
      await painted();
      told.push(+by("slider").value, seen()[1], seen()[2]);
      await press("d");
      return [...told, document.documentElement.dataset.theme];"""
    told = in_browser(browser, graph.to_html(), script, tmp_path)
    assert told[:10] == [0, 1, 2, 12, 11, 1, last, last, 0, 0]
    assert told[10:14] == ["Pause", last, forward, len(numbers)] and told[14] in ("dark", "light")


def test_search_zoom_pan_and_tooltips(browser, tmp_path):
    graph, _, _ = small_lstm()
    tanhs = sum(node.op == "tanh" for node in graph.scene.nodes)
    script = """
      const told = [], where = () => svg.style.transform.match(/-?[0-9.]+(e-?[0-9]+)?/g).map(Number);
      await press("/");
      told.push(document.activeElement.id);
      by("search").value = "TANH(";
      by("search").dispatchEvent(new Event("input"));
      told.push(by("hits").textContent, count("g.node.hit"));
      await press("Enter");
      const box = svg.querySelector("g.node.hit").getBoundingClientRect(), frame = stage.getBoundingClientRect();
      told.push(Math.hypot(box.x + box.width / 2 - frame.x - frame.width / 2, box.y + box.height / 2 - frame.y - frame.height / 2) < 3);
      told.push(by("hits").textContent);
      await press("Escape");
      told.push(by("hits").textContent, count("g.node.hit"), document.activeElement.id);
      await press("0");
      const [left, top, scale] = where();
      await press("+");
      told.push(where()[2] / scale);
      await press("0");
      stage.dispatchEvent(new WheelEvent("wheel", {deltaY: -400, clientX: frame.x + 50, clientY: frame.y + 60, cancelable: true}));
      const [x, y, wider] = where();
      told.push(wider / scale, (50 - x) / wider - (50 - left) / scale, (60 - y) / wider - (60 - top) / scale);
      await press("0");
      await pointer(stage, "pointerdown", 300, 300);
      await pointer(stage, "pointermove", 340, 280);
      await pointer(stage, "pointerup", 340, 280);
      await pointer(stage, "pointermove", 400, 400);
      told.push(where()[0] - left, where()[1] - top);
      const output = svg.querySelector("g.node.output[data-node] rect");
      await pointer(output, "pointerover", 500, 300);
      told.push(by("tip").hidden, by("tip").textContent.split("\\n")[1]);
      await pointer(stage, "pointerleave", 0, 0);
      return [...told, by("tip").hidden];"""
    told = in_browser(browser, graph.to_html(), script, tmp_path)
    assert told[:5] == ["search", f"{tanhs} found", tanhs, True, f"1 of {tanhs}"]
    assert told[5:8] == ["", 0, "stage"] and told[8] == pytest.approx(1.3)
    assert told[9:12] == pytest.approx([2.718281828, 0, 0], abs=0.5)  # a pointer stands at whole pixels
    assert told[12:] == [pytest.approx(40, abs=0.1), pytest.approx(-20, abs=0.1), False, "y = Σ x", True]


def test_what_a_label_contains_is_text(browser, tmp_path):
    w = minigrad.ones(2, requires_grad=True)
    name = """</script><script>window.bad = 1</script><img src=x onerror="window.bad = 1">"quoted"\n权重"""
    with minigrad.scope("</title><script>window.bad = 1</script>"):
        loss = (w * 2).sum()
    script = "return [window.bad === undefined, svg.querySelector('g.node.param text').textContent, svg.querySelectorAll('img').length];"
    bad, label, images = in_browser(browser, viz.graph(loss, {name: w}).to_html(), script, tmp_path)
    assert bad and images == 0 and label.startswith("</script><script>window")


def test_boxes_stand_where_the_picture_has_them_without_a_transform_each(browser, tmp_path):
    graph, _, _ = small_lstm()
    script = """
      const view = svg.viewBox.baseVal, scale = +svg.style.transform.match(/scale\\(([^)]*)/)[1], paper = svg.getBoundingClientRect();
      const middle = (part) => { const at = part.getBoundingClientRect(); return [at.x + at.width / 2, at.y + at.height / 2]; };
      const boxes = [...svg.querySelectorAll("g.node[data-node]")].map((box) => {
        const [x, y] = middle(box.querySelector("rect.tint"));
        const aside = middle(box.querySelector("text"))[0] - x;
        return [+box.dataset.node, (x - paper.x) / scale + view.x, (y - paper.y) / scale + view.y, aside];
      });
      const moved = svg.querySelectorAll("[data-node][transform], path[transform]").length;
      return [boxes, moved, count("path[data-grad]")];"""
    boxes, moved, gradients = in_browser(browser, graph.to_html(), script, tmp_path)
    assert [box[0] for box in boxes] == [box.node for box in graph.picture.boxes]
    for (_, x, y, aside), box in zip(boxes, graph.picture.boxes, strict=True):
        assert (x, y) == pytest.approx((box.x, box.y), abs=0.6) and abs(aside) < 1
    assert moved == 0 and gradients == len(set(re.findall(r'data-grad="([^"]*)"', graph.to_svg()))) > 0


def test_a_drag_over_many_nodes_lights_every_position_and_wires_come_back_when_it_rests(browser, tmp_path):
    a = minigrad.ones(2, requires_grad=True)
    x = a
    for _ in range(400):
        x = (x * a).tanh()
    graph = viz.graph(x.sum(), {"a": a}, view="op", heat="grad")
    forward = len(graph.scene.nodes)
    script = """
      const told = [], last = +by("slider").max, places = 40;
      const shown = () => getComputedStyle(svg.querySelector("path.wire.lit")).visibility;
      for (let at = 1; at <= places; at++) {
        for (const place of [last * (at - 0.5) / places, last * at / places]) { // two events in one frame
          by("slider").value = Math.round(place);
          by("slider").dispatchEvent(new Event("input"));
        }
        await new Promise(requestAnimationFrame); // behind the page's own, in the same frame
        told.push(seen().slice(0, 3));
      }
      const leaping = shown();
      while (svg.classList.contains("leaping")) await painted();
      return [told, last, svg.classList.contains("farther"), leaping, shown()];"""
    told, last, farther, leaping, resting = in_browser(browser, graph.to_html(), script, tmp_path)
    assert told == [[k, min(k, forward), max(k - forward, 0)] for k in (row[0] for row in told)]
    assert [row[0] for row in told] == pytest.approx([last * at / 40 for at in range(1, 41)], abs=0.6)
    assert farther and (leaping, resting) == ("hidden", "visible")
