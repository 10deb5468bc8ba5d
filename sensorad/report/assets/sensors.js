// All sensors as small charts: mean and range over time, the events that blame them, and what is missing.

const PAGE_SENSORS = 48;

function drawSensor(width, trace, line, events, findings) {
  const margin = { left: 44, right: 4, top: 6 };
  const plotHeight = 78;
  const bottom = margin.top + plotHeight;
  const right = width - margin.right;
  const x = linearScale(report.span[0], report.span[1], margin.left, right);
  const { low, high, normal } = sensorOf(line.sensor);
  const range = padded(extentBeside(extent(line.high, extent(line.low)), normal));
  const y = linearScale(...range, bottom, margin.top);
  const buckets = [];
  const xs = [],
    means = [];
  for (let i = 0; i < trace.start.length; i++) {
    if (i && trace.start[i] - trace.end[i - 1] > trace.maxPause) {
      buckets.push(null);
      xs.push(x(trace.end[i - 1]));
      means.push(null);
    }
    xs.push((x(trace.start[i]) + x(trace.end[i])) / 2);
    means.push(line.mean[i] === null ? null : y(line.mean[i]));
    if (line.low[i] === null) buckets.push(null);
    else
      buckets.push({
        x0: x(trace.start[i]),
        x1: Math.max(x(trace.end[i]), x(trace.start[i]) + 0.3),
        low: y(line.low[i]),
        high: y(line.high[i]),
      });
  }
  const pattern = uniqueId("hatch");
  const limits = [low, high].filter((limit) => isNumber(limit) && limit > range[0] && limit < range[1]);
  return chart(
    width,
    bottom + 28,
    sensorOf(line.sensor).name + ": values over the whole span",
    s("defs", null, hatch(pattern)),
    normal && s("rect", { class: "normal-range", ...clippedBox(normal, range, y, margin.left, right) }),
    yAxis(y, linearTicks(...range, 3), margin.left, right),
    events.map((event) => shade(x, event.start, event.end, margin.top, plotHeight, "event-shade")),
    missingMarks(trace, line, x, margin.top, plotHeight, pattern),
    limits.map((limit) => s("line", { class: "limit", x1: margin.left, x2: right, y1: y(limit), y2: y(limit) })),
    s("path", { class: "band", d: bandPath(buckets) }),
    s("path", { class: "trace", d: linePath(xs, means) }),
    findings.map((event) => findingMark(event, x, bottom - 1, 7, pattern)),
    events.map((event) => shade(x, event.start, event.end, bottom, 4, "event-mark interval", 3)),
    xTimeAxis(x, bottom + 4, right - margin.left),
  );
}

function clippedBox([low, high], range, y, left, right) {
  const shown = [Math.max(low, range[0]), Math.min(high, range[1])];
  return rangeBox(shown, y, left, right);
}

// Stretches without any usable value, and gaps in the log.
function missingMarks(trace, line, x, top, height, pattern) {
  const marks = [];
  const mark = (from, to) => {
    const rect = shade(x, from, to, top, height, "gap", 1.5);
    rect.setAttribute("fill", `url(#${pattern})`);
    marks.push(rect);
  };
  for (let i = 0; i < trace.start.length; i++) {
    if (line.missing && line.missing[i] >= 0.5) mark(trace.start[i], trace.end[i]);
    if (i && trace.start[i] - trace.end[i - 1] > trace.maxPause) mark(trace.end[i - 1], trace.start[i]);
  }
  return marks;
}

// The first sensor of an event, and every other one that carries a tenth of the blame.
function isBlamed([, share], rank) {
  return rank === 0 || (isNumber(share) && share >= 0.1);
}

function sensorCard(trace, line) {
  const { name, unit, low, high, kind, normal } = sensorOf(line.sensor);
  const blamedIn = eventsOf(trace.group).filter((event) =>
    event.sensors.some((blamed, rank) => blamed[0] === line.sensor && isBlamed(blamed, rank)),
  );
  const findings = findingsOf(trace.group).filter((event) => event.sensors.some(([sensor]) => sensor === line.sensor));
  const [lowest] = extent(line.low);
  const [, highest] = extent(line.high);
  const facts = [];
  if (highest >= lowest) facts.push("from " + formatNumber(lowest) + " to " + withUnit(formatNumber(highest), unit));
  else facts.push("no usable values");
  if (normal) facts.push("normally " + formatNumber(normal[0]) + " to " + formatNumber(normal[1]));
  if (isNumber(low) && isNumber(high)) facts.push("declared " + formatNumber(low) + " to " + formatNumber(high));
  if (kind === "state") facts.push("state");
  return h(
    "article",
    { class: "sensor" },
    h("h3", null, nameOf(name), unit && h("span", { class: "unit" }, formatUnit(unit))),
    h("p", { class: "aside" }, facts.join(" \u00b7 ")),
    responsive("sensor-box", (width) => drawSensor(width, trace, line, blamedIn, findings)).box,
    h(
      "p",
      { class: "blamed" + (blamedIn.length ? " alarm" : "") },
      blamedIn.length ? "Blamed in " + plural(blamedIn.length, "event") : "Blamed in no event",
      findings.length > 0 &&
        h("span", { class: "aside" }, " \u00b7 " + plural(findings.length, "data-quality finding")),
    ),
  );
}

function sensorsSection() {
  if (!report.traces.length || !report.span || report.span[1] <= report.span[0]) return null;
  const grid = h("div", { class: "sensors" });
  const state = { byBlame: false, isAll: false };
  const blame = (group, sensor) =>
    eventsOf(group).reduce((sum, event) => sum + (event.sensors.find((blamed) => blamed[0] === sensor)?.[1] || 0), 0);
  const byBlame = h("input", {
    type: "checkbox",
    id: "by-blame",
    onchange: () => {
      state.byBlame = byBlame.checked;
      draw();
    },
  });
  const more = h(
    "button",
    {
      type: "button",
      onclick: () => {
        state.isAll = true;
        draw();
      },
    },
    "Show all sensors",
  );
  const draw = () => {
    const trace = report.traces.find((candidate) => candidate.group === view.group);
    if (!trace) return grid.replaceChildren(h("p", { class: "aside" }, "No values were kept for this machine."));
    let lines = [...trace.lines];
    if (state.byBlame || lines.length > PAGE_SENSORS)
      lines.sort((a, b) => blame(trace.group, b.sensor) - blame(trace.group, a.sensor));
    more.hidden = state.isAll || lines.length <= PAGE_SENSORS;
    if (!more.hidden) lines = lines.slice(0, PAGE_SENSORS);
    grid.replaceChildren(...lines.map((line) => sensorCard(trace, line)));
  };
  draw();
  view.onChange((changes) => "group" in changes && draw());
  return section(
    "sensors",
    "Sensors",
    "Mean as a line, lowest to highest as a band" +
      (report.sensors.some((sensor) => sensor.normal) ? ", on grey: the range of normal values" : "") +
      ". Shaded: events for which the sensor carries at least a tenth of the blame. Hatched: no usable values" +
      (nFindings > 0 ? ", or below: a data-quality finding." : "."),
    h(
      "div",
      { class: "tools" },
      hasGroups && machineSelect("sensors-machine"),
      report.events.length > 0 && h("label", { for: "by-blame" }, byBlame, " most blamed first"),
    ),
    grid,
    more,
  );
}
