// The drawing of the timeline: score as a band, alarm line, and lanes for events, known faults and unscored stretches.

const timelineState = { isLog: null, drag: null };

function drawTimeline(width) {
  const line = report.timeline.find((candidate) => candidate.group === view.group);
  if (!line) return h("p", { class: "aside" }, "There are no scores of this machine.");
  const events = eventsOf(view.group);
  const findings = findingsOf(view.group);
  const labels = report.labels.filter((label) => label.group === view.group || label.group === "");
  const margin = { left: width < 560 ? 54 : 64, right: 12, top: 14 };
  const plotHeight = width < 560 ? 190 : 250;
  const right = width - margin.right;
  const bottom = margin.top + plotHeight;
  const x = linearScale(view.range[0], view.range[1], margin.left, right);
  const visible = [];
  for (let i = 0; i < line.start.length; i++)
    if (line.end[i] >= view.range[0] && line.start[i] <= view.range[1]) visible.push(i);
  const [low, high] = extent(visible.map((i) => toLevel(line.high[i])));
  const isLog = useLog(line);
  const y = levelScale(
    isLog,
    visible.map((i) => toLevel(line.low[i])),
    low,
    high,
    bottom,
    margin.top,
  );
  const ticks = isLog ? logTicks(...y.domain, 6) : linearTicks(...y.domain, 5);

  const buckets = [];
  visible.forEach((i, k) => {
    if (k && line.start[i] - line.end[i - 1] > line.maxPause) buckets.push(null);
    if (line.high[i] === null) return buckets.push(null);
    const x0 = x(line.start[i]),
      x1 = x(line.end[i]);
    buckets.push({
      x0,
      x1: Math.max(x1, x0 + 0.4),
      low: y(toLevel(line.low[i])),
      high: Math.min(y(toLevel(line.high[i])), y(toLevel(line.low[i])) - 0.8),
    });
  });
  const band = bandPath(buckets);
  const [above, below, area, pattern] = ["above", "below", "area", "hatch"].map(uniqueId);
  const alarm = alarmLevel();
  const yAlarm = alarm === null ? margin.top : Math.min(bottom, Math.max(margin.top, y(alarm)));
  const inView = (item) => item.end >= view.range[0] && item.start <= view.range[1];

  let laneY = bottom + 10;
  const lane = (name, height, ...content) => {
    const g = s(
      "g",
      null,
      s("text", { class: "lane", x: margin.left - 8, y: laneY + height / 2, dy: "0.34em", "text-anchor": "end" }, name),
      s("rect", { class: "lane-back", x: margin.left, y: laneY, width: right - margin.left, height }),
      s("g", { "clip-path": `url(#${area})` }, ...content.map((draw) => draw(laneY, height))),
    );
    laneY += height + 6;
    return g;
  };
  const eventLane = lane("Events", 18, (top, height) =>
    events.filter(inView).map((event) => eventMark(event, x, top, height)),
  );
  const qualityTop = laneY;
  const qualityLane =
    nFindings > 0 &&
    lane("Data", 12, (top, height) =>
      findings.filter(inView).map((event) => findingMark(event, x, top, height, pattern)),
    );
  const labelLane =
    labels.length &&
    lane("Faults", 10, (top, height) =>
      labels.filter(inView).map((label) => shade(x, label.start, label.end, top, height, "label", 3)),
    );
  const gapLane = lane("No score", 8, (top, height) => unscoredMarks(line, visible, x, top, height, pattern));
  const axisY = laneY;
  const height = axisY + 36;

  const svg = chart(
    width,
    height,
    timelineSummary(line, events, findings),
    s(
      "defs",
      null,
      clipRect(area, margin.left, 0, right - margin.left, height),
      clipRect(below, margin.left, yAlarm, right - margin.left, bottom - yAlarm),
      clipRect(above, margin.left, margin.top - 4, right - margin.left, yAlarm - margin.top + 4),
      hatch(pattern),
    ),
    yAxis(y, ticks, margin.left, right),
    s(
      "g",
      { "clip-path": `url(#${area})` },
      events
        .filter(inView)
        .map((event) =>
          shade(
            x,
            event.start,
            event.end,
            margin.top,
            plotHeight,
            "event-shade" + (event.id === view.event ? " chosen" : ""),
          ),
        ),
    ),
    s("path", { d: band, class: "band", "clip-path": `url(#${threshold === null ? area : below})` }),
    threshold !== null && s("path", { d: band, class: "band alarm", "clip-path": `url(#${above})` }),
    alarm !== null &&
      alarm >= y.domain[0] &&
      s(
        "g",
        { class: "threshold" },
        s("line", { x1: margin.left, x2: right, y1: yAlarm, y2: yAlarm }),
        s("text", { x: right - 4, y: yAlarm - 5, "text-anchor": "end" }, "alarm line"),
      ),
    eventLane,
    qualityLane,
    labelLane,
    gapLane,
    xTimeAxis(x, axisY, right - margin.left),
  );
  // A press on the lane of findings means one of them, anywhere else an alarm event.
  const within = (y) => (nFindings > 0 && y >= qualityTop - 3 && y < qualityTop + 15 ? findings : events);
  attachPointer(svg, x, margin, line, bottom, within);
  return svg;
}

function useLog(line) {
  if (timelineState.isLog !== null) return timelineState.isLog;
  const [, high] = extent(line.high);
  return hasSeverity && toLevel(high) > 12;
}

function levelScale(isLog, lows, low, high, bottom, top) {
  const alarm = alarmLevel();
  const highest = Math.max(high, alarm === null ? -Infinity : alarm * 1.12);
  if (!isLog) {
    const [lowest] = extent(lows, [0, 0]);
    return linearScale(
      lowest < 0 ? lowest * 1.05 : 0,
      (Number.isFinite(highest) && highest > 0 ? highest : 1) * 1.06,
      bottom,
      top,
    );
  }
  const [lowest] = extent(lows.map((value) => (value > 0 ? value : null)));
  // Four decades are enough to see, unless the alarm line itself lies below them.
  const least = Math.min(highest / 1e4, alarm > 0 ? alarm / 10 : Infinity);
  const from = Math.min(Math.max(lowest, least), highest / 10);
  return logScale(
    Number.isFinite(from) && from > 0 ? from * 0.9 : 0.01,
    Number.isFinite(highest) && highest > 0 ? highest * 1.25 : 1,
    bottom,
    top,
  );
}

function findingMark(event, x, top, height, pattern) {
  const chosen = event.id === view.event ? " chosen" : "";
  const mark = shade(x, event.start, event.end, top + 1, height - 2, "finding-mark" + chosen, 5);
  mark.setAttribute("fill", `url(#${pattern})`);
  return mark;
}

function eventMark(event, x, top, height) {
  const chosen = event.id === view.event ? " chosen" : "";
  if (event.kind === "point") {
    const at = x(event.peak),
      middle = top + height / 2,
      r = 6;
    return s("path", {
      class: "event-mark" + chosen,
      d: `M${at},${middle - r}L${at + r},${middle}L${at},${middle + r}L${at - r},${middle}Z`,
    });
  }
  return shade(x, event.start, event.end, top + 4, height - 8, "event-mark " + event.kind + chosen, 4);
}

// Buckets without a score, darker the more of their rows lack one; stretches without rows are hatched.
function unscoredMarks(line, visible, x, top, height, pattern) {
  const marks = [];
  visible.forEach((i, k) => {
    const share = line.unscored[i] / line.rows[i];
    if (share > 0) {
      const mark = shade(x, line.start[i], line.end[i], top, height, "unscored", 1.5);
      mark.setAttribute("fill-opacity", (0.25 + 0.75 * share).toFixed(2));
      marks.push(mark);
    }
    if (i && k && line.start[i] - line.end[i - 1] > line.maxPause) {
      const gap = shade(x, line.end[i - 1], line.start[i], top, height, "gap", 1.5);
      gap.setAttribute("fill", `url(#${pattern})`);
      marks.push(gap);
    }
  });
  return marks;
}

function timelineSummary(line, events, findings) {
  const [, high] = extent(line.high);
  return (
    "Timeline of the " +
    levelName() +
    ", " +
    formatSpan(view.range[0], view.range[1], rowStep) +
    " UTC. Highest " +
    formatNumber(toLevel(Number.isFinite(high) ? high : null)) +
    (threshold === null ? "" : ", alarm line at " + formatNumber(alarmLevel())) +
    ", " +
    plural(events.length, "alarm event") +
    (findings.length ? ", " + plural(findings.length, "data-quality finding") : "") +
    ". The tables below list them."
  );
}
