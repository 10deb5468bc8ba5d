// How the alarm line was set: what it promises, what it rests on, and the figures behind it.

const THRESHOLD_KEYS = [
  "threshold",
  "method",
  "statement",
  "budget",
  "expected_events_per_day",
  "interval",
  "confidence",
  "calibration_days",
  "is_promised",
  "is_extrapolated",
  "assumptions",
  "modes",
  "n_rows",
  "parameters",
];

// Settings of the methods and what they found on the way; the budget is told elsewhere.
const PARAMETER_NAMES = {
  budget: null,
  events_per_machine_day: null,
  per: null,
  n_machines: "Machines",
  n_allowed: "Alarm events allowed in that time",
  dispersion: "Dispersion of the counts",
};

function thresholdFacts() {
  const facts = report.threshold;
  const pairs = [];
  if (threshold !== null) pairs.push(["Threshold", formatNumber(threshold)]);
  if (facts.method) pairs.push(["Method", facts.method]);
  if (facts.budget) pairs.push(["Budget", String(facts.budget)]);
  if (isNumber(facts.confidence)) pairs.push(["Confidence", formatPercent(facts.confidence)]);
  if (isNumber(facts.calibration_days)) pairs.push(["Calibration data", formatDays(facts.calibration_days)]);
  if (isNumber(facts.n_rows)) pairs.push(["Calibration rows", formatCount(facts.n_rows)]);
  if (isNumber(facts.expected_events_per_day))
    pairs.push(["Expected false alarms", eventRate(facts.expected_events_per_day)]);
  if (Array.isArray(facts.interval))
    pairs.push(["Plausible range", facts.interval.map((rate) => formatNumber(rate)).join(" to ") + " a day"]);
  if (typeof facts.is_promised === "boolean") pairs.push(["Promised", facts.is_promised ? "yes" : "no, an estimate"]);
  if (facts.is_extrapolated) pairs.push(["Extrapolated", "yes, beyond what the calibration data alone support"]);
  for (const [key, value] of Object.entries(facts))
    if (!THRESHOLD_KEYS.includes(key)) pairs.push(...anyFact(key, value));
  for (const [key, value] of Object.entries(facts.parameters || {})) {
    const name = lookUp(PARAMETER_NAMES, key, key);
    if (name !== null) pairs.push(...anyFact(name, value));
  }
  return pairs;
}

function formatDays(days, isShort = false) {
  if (days < 1) return formatDuration(days * DAY, isShort);
  return formatNumber(days) + (Number(days.toPrecision(3)) === 1 ? " day" : " days");
}

function thresholdSection() {
  const facts = report.threshold;
  const figures = [staleFigure(), whatIfFigure(), tailFigure(), modesTable(), histogramFigure()].filter(Boolean);
  if (!Object.keys(facts).length && !figures.length) return null;
  const assumptions = [facts.assumptions || []].flat();
  return section(
    "threshold",
    "How the alarm line was set",
    facts.statement || null,
    factList(thresholdFacts()),
    assumptions.length > 0 && [
      h("h3", null, "This holds as long as"),
      h(
        "ul",
        { class: "plain" },
        assumptions.map((text) => h("li", null, String(text))),
      ),
    ],
    figures,
  );
}

// Modes as given, or as the threshold itself knows them.
function modeRows() {
  if (report.calibration.modes) return report.calibration.modes;
  return Object.entries(report.threshold.modes || {}).map(([mode, result]) => ({
    mode,
    threshold: result.threshold,
    events_per_day: result.expected_events_per_day,
    days: result.calibration_days,
    own: true,
  }));
}

function modesTable() {
  const rows = modeRows();
  if (!rows.length) return null;
  const num = (text) => ({ text, class: "num" });
  return h(
    "div",
    { id: "modes" },
    h("h3", null, "Alarm line by operating mode"),
    simpleTable(
      "Alarm line by operating mode",
      ["Mode", num("Alarm line"), num("Normal data"), "Expected alarms", "Line"],
      rows.map((row) => [
        nameOf(String(row.mode)),
        formatNumber(row.threshold),
        isNumber(row.days) ? formatDays(row.days, true) : DASH,
        isNumber(row.events_per_day) ? shortRate(row.events_per_day) : DASH,
        row.own === false ? "shared" : "its own",
      ]),
    ),
    rows.some((row) => row.own === false) &&
      h("p", { class: "sum" }, "Shared: a mode with too little data of its own has the line of all modes."),
  );
}

function histogramFigure() {
  if (!report.histogram) return null;
  return figure(
    "Share of the normal rows in each range of scores, on a logarithmic axis.",
    h("h3", null, "Scores on normal data"),
    responsive("histogram", drawHistogram).box,
  );
}

function drawHistogram(width) {
  const { edges, shares } = report.histogram;
  const margin = { left: 56, right: 12, top: 16 };
  const bottom = 196,
    right = width - margin.right;
  const [least, highest] = extent(shares.map((share) => share || null));
  const last = edges[edges.length - 1];
  const isFar = threshold !== null && threshold > last + 3 * (last - edges[0]);
  const end = threshold === null || isFar ? last : Math.max(last, threshold) * 1.04;
  const x = linearScale(Math.min(edges[0], 0), end || 1, margin.left, right);
  const y = logScale(least / 2, highest * 1.4, bottom, margin.top);
  return chart(
    width,
    bottom + 40,
    "Histogram of scores on normal data from " +
      formatNumber(edges[0]) +
      " to " +
      formatNumber(last) +
      (threshold === null ? "" : ", threshold " + formatNumber(threshold)),
    yAxis(y, logTicks(least, highest * 1.4, 4), margin.left, right, formatPercent),
    shares.map(
      (share, i) =>
        share > 0 &&
        s("rect", {
          class: threshold !== null && edges[i] >= threshold ? "column alarm" : "column",
          x: x(edges[i]).toFixed(1),
          y: y(share).toFixed(1),
          width: Math.max(0.6, x(edges[i + 1]) - x(edges[i]) - 1).toFixed(1),
          height: (bottom - y(share)).toFixed(1),
        }),
    ),
    threshold !== null && !isFar && alarmMark(x, margin.top, bottom),
    xAxis(x, bottom, "score", valueTicks(x)),
    isFar &&
      s(
        "text",
        { class: "lane", x: right, y: margin.top, "text-anchor": "end" },
        "alarm line " + formatNumber(threshold) + " lies far to the right",
      ),
  );
}
