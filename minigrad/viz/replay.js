// The replay: at position k of the way forward exactly k boxes are lit, in tape order; behind that, boxes are marked
// as the walk back passes them. Coordinates and numbers come from the page itself; nothing is asked of any network.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const by = (id) => document.getElementById(id);
  const svg = document.querySelector("main > svg"), stage = by("stage"), slider = by("slider"), tip = by("tip");
  const forward = data.nodes.length, last = forward + data.back.length;

  // ------------------------------------------------------------------------------------------------ what is lit

  const boxes = new Array(forward).fill(null);
  for (const box of svg.querySelectorAll("g.node[data-node]")) boxes[+box.dataset.node] = box;
  const into = Array.from({ length: forward }, () => []); // wires that are lit with their target
  const outOf = Array.from({ length: forward }, () => []); // gradients that are lit when their target was passed
  for (const wire of svg.querySelectorAll("path[data-edge]")) {
    const target = +wire.dataset.edge.split("-")[1];
    (wire.classList.contains("flow") ? outOf : into)[target].push(wire);
  }
  for (const flow of svg.querySelectorAll("path[data-grad]")) outOf[+flow.dataset.grad.split("-")[1]].push(flow);

  // A browser composes what it paints in pieces, a new one at every transform; ten thousand of them would cost more than
  // the painting. So every box is written where it stands, and gradients that are equally far aside share one group.
  for (const box of boxes) if (box) {
    const { e: x, f: y } = box.transform.baseVal.consolidate().matrix;
    for (const part of box.querySelectorAll("rect,text")) {
      part.setAttribute("x", +part.getAttribute("x") + x);
      part.setAttribute("y", +part.getAttribute("y") + y);
    }
    box.removeAttribute("transform");
  }
  const aside = new Map();
  for (const flow of svg.querySelectorAll("path.flow[transform]")) {
    const shift = flow.getAttribute("transform");
    if (!aside.has(shift)) {
      const group = document.createElementNS(svg.namespaceURI, "g");
      group.setAttribute("transform", shift);
      flow.before(group);
      aside.set(shift, group);
    }
    flow.removeAttribute("transform");
    aside.get(shift).append(flow);
  }

  let position = 0, wanted = forward, waiting = false, current = null, rest = 0;

  const light = (id, on) => {
    if (boxes[id]) boxes[id].classList.toggle("lit", on);
    for (const wire of into[id]) wire.classList.toggle("lit", on);
  };
  const pass = (id, on) => {
    if (boxes[id]) boxes[id].classList.toggle("passed", on);
    for (const wire of outOf[id]) wire.classList.toggle("lit", on);
  };
  const step = (at, on) => (at < forward ? light(at, on) : pass(data.back[at - forward], on));

  // Thousands of wires, each thinner than a tenth of a pixel, are most of the work of a frame; while the slider runs on in
  // leaps they are left out, and they come back when it rests.
  function leap() {
    clearTimeout(rest);
    svg.classList.add("leaping");
    rest = setTimeout(() => svg.classList.remove("leaping"), 200);
  }

  function paint() {
    waiting = false;
    if (position > 0 && Math.abs(wanted - position) > 20) leap();
    while (position < wanted) step(position++, true);
    while (position > wanted) step(--position, false);
    const id = position === 0 ? null : position <= forward ? position - 1 : data.back[position - forward - 1];
    if (current !== null && boxes[current]) boxes[current].classList.remove("current");
    if (id !== null && boxes[id]) boxes[id].classList.add("current");
    current = id;
    const way = position <= forward ? "forward" : "backward";
    by("position").textContent = `position ${position} of ${last} · ${way}`;
    const held = data.held === null ? null : data.held[position];
    by("held").dataset.bytes = held === null ? "" : held;
    by("held").textContent = held === null ? "bytes held: not known" : `held for backward: ${held.toLocaleString("en")} bytes`;
    by("now").textContent = id === null ? "" : data.nodes[id].facts.split("\n").join("  ·  ");
    slider.setAttribute("aria-valuetext", by("position").textContent);
  }

  function go(to) {
    wanted = Math.max(0, Math.min(last, to));
    if (+slider.value !== wanted) slider.value = wanted;
    if (!waiting) {
      waiting = true;
      requestAnimationFrame(paint);
    }
  }

  // ------------------------------------------------------------------------------------------------ playing

  let playing = null, begun = 0, from = 0;
  const speed = () => +by("speed").value;

  function frame(now) {
    if (playing === null) return;
    go(from + Math.floor(((now - begun) / 1000) * speed()));
    if (wanted >= last) return pause();
    playing = requestAnimationFrame(frame);
  }
  function pause() {
    if (playing === null) return;
    cancelAnimationFrame(playing);
    playing = null;
    by("play").textContent = "▶ play";
    by("play").setAttribute("aria-label", "Play");
  }
  function play() {
    from = wanted >= last ? 0 : wanted;
    begun = performance.now();
    by("play").textContent = "⏸ pause";
    by("play").setAttribute("aria-label", "Pause");
    go(from);
    playing = requestAnimationFrame(frame);
  }
  const toggle = () => (playing === null ? play() : pause());
  const jump = (to) => { pause(); go(to); };

  slider.addEventListener("input", () => jump(+slider.value));
  by("play").addEventListener("click", toggle);
  by("start").addEventListener("click", () => jump(0));
  by("end").addEventListener("click", () => jump(last));
  by("back").addEventListener("click", () => jump(wanted - 1));
  by("forth").addEventListener("click", () => jump(wanted + 1));
  by("speed").addEventListener("change", () => { from = wanted; begun = performance.now(); });

  // ------------------------------------------------------------------------------------------------ zoom and pan

  const width = +svg.getAttribute("width"), height = +svg.getAttribute("height");
  let scale = 1, left = 0, top = 0;
  const place = () => {
    svg.style.transform = `translate(${left}px,${top}px) scale(${scale})`;
    svg.classList.toggle("far", scale < 0.2); // words are too small to read, and most of the work of painting
    svg.classList.toggle("farther", scale < 0.08); // wires are thinner than a tenth of a pixel
  };
  function fit() {
    scale = Math.min(stage.clientWidth / width, stage.clientHeight / height, 2) || 1;
    left = (stage.clientWidth - width * scale) / 2;
    top = (stage.clientHeight - height * scale) / 2;
    place();
  }
  function zoom(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
    const next = Math.max(0.002, Math.min(8, scale * factor));
    left = x - (x - left) * (next / scale);
    top = y - (y - top) * (next / scale);
    scale = next;
    place();
  }
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = stage.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  let grip = null;
  stage.addEventListener("pointerdown", (event) => {
    grip = [event.clientX - left, event.clientY - top];
    stage.setPointerCapture(event.pointerId);
    stage.classList.add("dragging");
  });
  stage.addEventListener("pointermove", (event) => {
    if (grip !== null) {
      left = event.clientX - grip[0];
      top = event.clientY - grip[1];
      place();
    }
  });
  for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, () => { grip = null; stage.classList.remove("dragging"); });
  by("whole").addEventListener("click", fit);
  by("larger").addEventListener("click", () => zoom(1.3));
  by("smaller").addEventListener("click", () => zoom(1 / 1.3));
  window.addEventListener("resize", fit);

  // ------------------------------------------------------------------------------------------------ tooltips

  for (const box of boxes) if (box) { const title = box.querySelector("title"); if (title) title.remove(); }
  stage.addEventListener("pointerover", (event) => {
    const box = event.target.closest("g.node[data-node]");
    tip.hidden = box === null;
    if (box !== null) tip.textContent = data.nodes[+box.dataset.node].facts;
  });
  stage.addEventListener("pointermove", (event) => {
    if (tip.hidden) return;
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)}px`;
  });
  stage.addEventListener("pointerleave", () => { tip.hidden = true; });

  // ------------------------------------------------------------------------------------------------ search

  let hits = [], chosen = -1;
  function find() {
    for (const id of hits) if (boxes[id]) boxes[id].classList.remove("hit");
    const text = by("search").value.trim().toLowerCase();
    hits = text === "" ? [] : data.nodes.flatMap((node, id) => (node.facts.toLowerCase().includes(text) && boxes[id] ? [id] : []));
    chosen = -1;
    for (const id of hits) boxes[id].classList.add("hit");
    by("hits").textContent = text === "" ? "" : `${hits.length} found`;
  }
  function show(id) {
    const at = data.nodes[id], view = svg.viewBox.baseVal;
    scale = Math.max(scale, 0.8);
    left = stage.clientWidth / 2 - (at.x - view.x) * scale;
    top = stage.clientHeight / 2 - (at.y - view.y) * scale;
    place();
  }
  by("search").addEventListener("input", find);
  by("search").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && hits.length) {
      chosen = (chosen + (event.shiftKey ? hits.length - 1 : 1)) % hits.length;
      show(hits[chosen]);
      by("hits").textContent = `${chosen + 1} of ${hits.length}`;
    } else if (event.key === "Escape") {
      by("search").value = "";
      find();
      stage.focus();
    }
  });

  // ------------------------------------------------------------------------------------------------ dark mode, keys

  by("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
  const keys = {
    ArrowRight: () => jump(wanted + 1), ArrowLeft: () => jump(wanted - 1),
    PageDown: () => jump(wanted + 10), PageUp: () => jump(wanted - 10),
    Home: () => jump(0), End: () => jump(last), " ": toggle, "+": () => zoom(1.3), "=": () => zoom(1.3), "-": () => zoom(1 / 1.3),
    0: fit, d: () => by("theme").click(), "/": () => by("search").focus(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target === by("search") || event.target === by("speed")) return;
    if (event.target.tagName === "BUTTON" && (event.key === " " || event.key === "Enter")) return;
    const act = keys[event.key];
    if (act) {
      event.preventDefault();
      act();
    }
  });

  fit();
  go(forward);
})();
