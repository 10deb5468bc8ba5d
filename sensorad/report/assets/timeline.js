// The timeline with its controls: zoom by dragging or by buttons, read values off, open events by a click.

function timelineLegend(hasLabels) {
  const item = (mark, text) => h("li", null, h("i", { class: mark, "aria-hidden": "true" }), text);
  return h(
    "ul",
    { class: "keys" },
    item("key-line", "lowest to highest " + levelName()),
    threshold !== null && item("key-threshold", "alarm line"),
    item("key-event", "event"),
    report.kinds.point > 0 && item("key-point", "point event"),
    nFindings > 0 && item("key-quality", "data-quality finding"),
    hasLabels && item("key-label", "known fault"),
    item("key-gap", "no score"),
  );
}

// Dragging selects a stretch, a click opens the nearest event, moving reads values off.
function attachPointer(svg, x, margin, line, bottom, within) {
  const overlay = s("g", { class: "pointer" });
  svg.append(overlay);
  const timeAt = (pointer) => {
    const box = svg.getBoundingClientRect();
    const at = ((pointer.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
    return Math.min(view.range[1], Math.max(view.range[0], x.invert(at)));
  };
  svg.addEventListener("pointerdown", (pointer) => {
    if (pointer.button) return;
    timelineState.drag = { from: timeAt(pointer), to: null };
    svg.setPointerCapture(pointer.pointerId);
  });
  svg.addEventListener("pointermove", (pointer) => {
    const at = timeAt(pointer);
    const drag = timelineState.drag;
    if (drag) drag.to = at;
    const isWide = drag && Math.abs(x(drag.to) - x(drag.from)) > 6;
    overlay.replaceChildren(
      s("line", { x1: x(at), x2: x(at), y1: margin.top, y2: bottom }),
      ...(isWide
        ? [
            shade(
              x,
              Math.min(drag.from, drag.to),
              Math.max(drag.from, drag.to),
              margin.top,
              bottom - margin.top,
              "selection",
            ),
          ]
        : []),
    );
    showReading(line, at);
  });
  svg.addEventListener("pointerup", (pointer) => {
    const drag = timelineState.drag;
    timelineState.drag = null;
    if (!drag) return;
    if (drag.to !== null && Math.abs(x(drag.to) - x(drag.from)) > 6)
      zoomTo(Math.min(drag.from, drag.to), Math.max(drag.from, drag.to));
    else {
      const box = svg.getBoundingClientRect();
      openNearest(drag.from, x, within(((pointer.clientY - box.top) / box.height) * svg.viewBox.baseVal.height));
    }
  });
  svg.addEventListener("pointercancel", () => (timelineState.drag = null));
  svg.addEventListener("pointerleave", () => overlay.replaceChildren());
  svg.addEventListener("dblclick", () => zoomTo(...report.span));
}

function openNearest(time, x, candidates) {
  const distance = (event) => Math.max(0, x(event.start) - x(time), x(time) - x(event.end));
  const near = candidates
    .filter((event) => distance(event) < 8)
    .sort((a, b) => distance(a) - distance(b) || b.rank - a.rank)[0];
  if (near) location.hash = "event=" + encodeURIComponent(near.id);
}

function showReading(line, time) {
  let best = 0;
  for (let i = 0; i < line.start.length; i++) {
    const off = (k) => Math.max(0, line.start[k] - time, time - line.end[k]);
    if (off(i) < off(best)) best = i;
  }
  const from = toLevel(line.low[best]),
    to = toLevel(line.high[best]);
  const isInside = time >= line.start[best] - line.maxPause && time <= line.end[best] + line.maxPause;
  const value = !isInside
    ? "no rows"
    : to === null
      ? "no score"
      : from === to
        ? levelName() + " " + formatNumber(to)
        : levelName() + " " + formatNumber(from) + " to " + formatNumber(to);
  document.getElementById("reading").textContent =
    formatTime(isInside ? line.start[best] : time, rowStep) + " UTC: " + value;
}

function zoomTo(from, to) {
  const [first, last] = report.span;
  const least = Math.min(
    last - first,
    Math.max(20 * SECOND * (rowStep < MINUTE ? rowStep / MINUTE : 1), (last - first) / 5000),
  );
  const middle = (from + to) / 2;
  const length = Math.min(last - first, Math.max(to - from, least));
  const start = Math.min(last - length, Math.max(first, middle - length / 2));
  view.set({ range: [start, start + length] });
}

function zoomBy(factor, shift) {
  const [from, to] = view.range;
  const middle = (from + to) / 2 + shift * (to - from);
  const half = ((to - from) / 2) * factor;
  zoomTo(middle - half, middle + half);
}

function machineSelect(id) {
  const select = h(
    "select",
    { id, onchange: () => view.set({ group: select.value }) },
    report.groups.map((group) => h("option", { value: group }, shortened(group))),
  );
  const sync = () => (select.value = view.group);
  sync();
  view.onChange(sync);
  return h("label", { for: id }, "Machine ", select);
}

function timelineSection() {
  if (!report.timeline.length || !view.range) return null;
  if (!report.timeline.some((line) => line.group === view.group)) view.group = report.timeline[0].group;
  const { box, redraw } = responsive("timeline", drawTimeline);
  const isLog = h("input", {
    type: "checkbox",
    id: "log-axis",
    onchange: () => {
      timelineState.isLog = isLog.checked;
      redraw();
    },
  });
  isLog.checked = useLog(report.timeline.find((line) => line.group === view.group));
  const button = (text, label, action) =>
    h("button", { type: "button", "aria-label": label, title: label, onclick: action }, text);
  const reading = h("p", { id: "reading", class: "reading" });
  const describe = () => (reading.textContent = formatSpan(view.range[0], view.range[1], rowStep) + " UTC");
  describe();
  view.onChange((changes) => {
    redraw();
    if (changes.range) describe();
  });
  return section(
    "timeline",
    "Timeline",
    hasSeverity
      ? "Severity is the score divided by the threshold: 1 is the alarm line. Drag across the chart to look closer, click an event to open it."
      : "The score over time. Drag across the chart to look closer, click an event to open it.",
    fleetStrip(),
    h(
      "div",
      { class: "tools" },
      hasGroups && machineSelect("timeline-machine"),
      h(
        "span",
        { class: "buttons" },
        button("\u2190", "Earlier", () => zoomBy(1, -0.5)),
        button("\u2192", "Later", () => zoomBy(1, 0.5)),
        button("+", "Closer", () => zoomBy(0.5, 0)),
        button("\u2212", "Wider", () => zoomBy(2, 0)),
        button("Whole span", "Show the whole span", () => zoomTo(...report.span)),
      ),
      h("label", { for: "log-axis" }, isLog, " logarithmic"),
    ),
    reading,
    box,
    timelineLegend(report.labels.length > 0),
  );
}
