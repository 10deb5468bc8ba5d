// Several machines at once: one row each, darker where the score comes near the alarm line, accent above it.

const FLEET_BINS = 240;

function fleetBins(line) {
  const [from, to] = report.span;
  const bins = new Array(FLEET_BINS).fill(null);
  for (let i = 0; i < line.start.length; i++) {
    if (line.high[i] === null) continue;
    const first = Math.floor(((line.start[i] - from) / (to - from || 1)) * (FLEET_BINS - 1e-6));
    // A bucket reaches to the next one, unless there is a gap between them.
    const next = line.start[i + 1];
    const end = next !== undefined && next - line.end[i] <= line.maxPause ? next : line.end[i];
    const last = Math.floor(((end - from) / (to - from || 1)) * (FLEET_BINS - 1e-6));
    const level = toLevel(line.high[i]);
    for (let k = first; k <= last; k++) if (bins[k] === null || level > bins[k]) bins[k] = level;
  }
  return bins;
}

function drawFleet(width) {
  const left = Math.min(150, width * 0.3),
    rowHeight = 22;
  const alarm = alarmLevel();
  const [, top] = extent(report.timeline.flatMap((line) => line.high.map(toLevel)));
  const full = alarm === null ? top : alarm;
  const x = linearScale(0, FLEET_BINS, left, width - 12);
  const rows = report.timeline.map((line, i) => {
    const y = i * rowHeight + 4;
    const isChosen = line.group === view.group;
    const cells = fleetBins(line).map((level, k) => {
      if (level === null) return null;
      const isAlarm = alarm !== null && level > alarm;
      const strength = isAlarm ? 1 : Math.max(0.04, Math.min(1, level / (full || 1))) ** 2 * 0.7;
      return s("rect", {
        class: isAlarm ? "cell alarm" : "cell",
        "fill-opacity": strength.toFixed(2),
        x: x(k).toFixed(1),
        y: isAlarm ? y : y + 2,
        width: (x(1) - x(0) + 0.3).toFixed(2),
        height: isAlarm ? 16 : 12,
      });
    });
    const label = shortened(line.group, 17);
    const choose = () => view.set({ group: line.group });
    const n = eventsOf(line.group).length;
    const row = s(
      "g",
      {
        class: "machine" + (isChosen ? " chosen" : ""),
        role: "button",
        tabindex: "0",
        "aria-pressed": String(isChosen),
        "aria-label": line.group + ", " + plural(n, "event"),
        onclick: choose,
      },
      s("rect", { class: "hit", x: 0, y: y - 3, width, height: rowHeight }),
      s("text", { x: left - 10, y: y + 8, dy: "0.34em", "text-anchor": "end" }, label),
      cells,
    );
    row.addEventListener("keydown", (key) => {
      if (key.key === "Enter" || key.key === " ") {
        key.preventDefault();
        choose();
      }
    });
    return row;
  });
  const height = report.timeline.length * rowHeight + 8;
  return s(
    "svg",
    {
      class: "chart fleet",
      viewBox: `0 0 ${width} ${height}`,
      width,
      height,
      role: "group",
      "aria-label": "Machines, one row each",
    },
    rows,
  );
}

function fleetStrip() {
  if (report.timeline.length < 2) return null;
  const { box, redraw } = responsive("fleet-box", drawFleet);
  view.onChange((changes) => {
    if (!("group" in changes)) return;
    const hadFocus = box.contains(document.activeElement);
    redraw();
    if (hadFocus) box.querySelector(".machine.chosen")?.focus();
  });
  return h(
    "div",
    null,
    h("h3", null, "All machines"),
    h("p", { class: "aside" }, "Tall marks crossed the alarm line. Choose a machine to see it below."),
    box,
  );
}
