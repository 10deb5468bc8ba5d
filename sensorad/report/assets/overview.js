// The first screen: what was looked at, what was found, what the alarm line promises, that all rows are accounted for.

const STATUS_MEANING = {
  scored: "judged normally",
  warmup: "too early after a start or a gap to be judged",
  degraded: "judged without the cells that were unusable",
  unscorable: "not judged: no usable values",
  duplicate: "same time stamp as another row",
  late: "came too late to be judged in order",
};

const REASON_MEANING = {
  missing: "value missing",
  infinite: "value infinite",
  overflow: "value beyond the number range",
  segment_start: "start of the log or end of a gap",
  same_time: "time stamp seen before",
  rate: "rows came faster or slower than in training",
  out_of_order: "row came out of order",
};

function kindWords() {
  const { interval, point } = report.kinds;
  return [interval && plural(interval, "interval"), point && plural(point, "point")].filter(Boolean).join(", ");
}

function qualityWords() {
  return nFindings ? plural(nFindings, "data-quality finding") : "";
}

function eventLink(event, ...children) {
  return h("a", { href: "#event=" + encodeURIComponent(event.id) }, ...children);
}

function pageHeader() {
  const facts = [];
  if (report.span) {
    facts.push(formatSpan(report.span[0], report.span[1], rowStep) + " UTC");
    facts.push(formatDuration(report.span[1] - report.span[0]));
  }
  if (hasGroups) facts.push(plural(report.n_groups, "machine"));
  else if (report.groups[0]) facts.push(["machine ", nameOf(report.groups[0])]);
  if (report.sensors.length) facts.push(plural(report.sensors.length, "sensor"));
  if (report.n_rows) facts.push(plural(report.n_rows, "row"));
  return h(
    "header",
    { class: "page" },
    h("p", { class: "eyebrow" }, "sensorad report"),
    h("h1", null, report.title),
    report.subtitle && h("p", { class: "subtitle" }, report.subtitle),
    h(
      "ul",
      { class: "meta" },
      facts.map((fact) => h("li", null, fact)),
    ),
  );
}

function reachedWords({ severity, score, return_days: rarity }) {
  if (severity === null) return "a score of " + formatNumber(score);
  if (severity === Infinity) return "a value beyond scale";
  const often = rarity === null ? "" : " (" + formatReturn(rarity, report.return_cap) + " on normal data)";
  return severityNumber(severity) + " times the alarm line" + often;
}

function verdict() {
  const worst = mostSevere[0];
  const during = report.span ? " in " + formatDuration(report.span[1] - report.span[0]) : "";
  if (!wasScored) return null;
  const quality = qualityWords() && [
    " There ",
    nFindings === 1 ? "is " : "are ",
    h("a", { href: "#quality" }, qualityWords()),
    ".",
  ];
  if (!worst)
    return h(
      "p",
      { class: "verdict calm" },
      h("strong", null, "No alarm events" + during + "."),
      " The score did not cross the alarm line for long enough to count.",
      quality,
    );
  return h(
    "p",
    { class: "verdict" },
    h("strong", null, plural(report.n_events, "alarm event") + during + "."),
    report.n_events > 1 ? " The most severe, " : " It came ",
    eventLink(worst, "on " + formatTime(worst.peak, rowStep)),
    hasGroups && [" on ", nameOf(worst.group)],
    ", reached " + reachedWords(worst),
    worst.sensors.length ? [" and points to ", nameOf(sensorOf(worst.sensors[0][0]).name), "."] : ".",
    quality,
  );
}

function tile(label, value, note, isAlarm) {
  return h(
    "div",
    { class: "tile" + (isAlarm ? " alarm" : "") },
    h("dt", null, label),
    h("dd", null, h("b", null, value), note && h("span", null, note)),
  );
}

// What a detector alone can say: there are no rows and no events to count.
function modelTiles() {
  const facts = report.threshold;
  const items = [];
  if (threshold !== null)
    items.push(tile("Alarm line", formatNumber(threshold), "score above which an alarm is raised"));
  if (isNumber(facts.expected_events_per_day))
    items.push(tile("Expected alarm events", shortRate(facts.expected_events_per_day), "on normal operation"));
  if (isNumber(facts.calibration_days))
    items.push(tile("Calibrated on", formatDays(facts.calibration_days), "of normal operation"));
  if (report.sensors.length) items.push(tile("Sensors", formatCount(report.sensors.length), "in the model"));
  return items.length > 0 && h("dl", { class: "tiles" }, items);
}

function tiles() {
  if (!wasScored) return modelTiles();
  const items = [];
  items.push(
    tile(
      "Alarm events",
      formatCount(report.n_events),
      [
        kindWords() || "none found",
        nFindings > 0 && h("span", null, "apart from ", h("a", { href: "#quality" }, qualityWords())),
      ],
      report.n_events > 0,
    ),
  );
  const worst = mostSevere[0];
  if (worst && worst.severity !== null)
    items.push(
      tile(
        "Highest severity",
        formatSeverity(worst.severity),
        [
          severityLevel(worst.severity).word + "; 1\u00d7 is the alarm line",
          worst.return_days !== null &&
            h("span", null, formatReturn(worst.return_days, report.return_cap) + " on normal data"),
        ],
        true,
      ),
    );
  if (report.watched > 0 && report.n_events) {
    items.push(
      tile(
        "Time in alarm",
        report.in_alarm > 0 ? formatDuration(report.in_alarm, true) : "single rows",
        formatPercent(report.in_alarm / report.watched) + " of the time" + (hasGroups ? ", all machines" : ""),
      ),
    );
  }
  const judged = (report.status.scored || 0) + (report.status.degraded || 0);
  if (report.n_rows && report.status.scored !== undefined) {
    items.push(
      tile(
        "Rows judged",
        formatPercent(judged / report.n_rows),
        formatCount(judged) + " of " + formatCount(report.n_rows),
      ),
    );
  }
  return h("dl", { class: "tiles" }, items);
}

function promiseBadge() {
  if (report.stale?.is_stale) return h("p", { class: "badge open" }, "In doubt: the calibration is stale");
  const { is_promised: isPromised } = report.threshold;
  if (typeof isPromised !== "boolean") return null;
  return h(
    "p",
    { class: "badge " + (isPromised ? "kept" : "open") },
    isPromised ? "Backed by calibration data" : "Estimate, not a promise",
  );
}

function promisePanel() {
  const facts = report.threshold;
  if (!facts.statement && threshold === null) return null;
  const lines = [];
  if (isNumber(facts.expected_events_per_day)) {
    let text = "Expected on normal operation: " + eventRate(facts.expected_events_per_day);
    if (Array.isArray(facts.interval) && facts.interval.every(isNumber)) {
      const [low, high] = facts.interval.map((rate) => formatNumber(rate));
      text +=
        " (between " +
        low +
        " and " +
        high +
        " a day" +
        (isNumber(facts.confidence) ? " with " + formatPercent(facts.confidence) + " confidence" : "") +
        ")";
    }
    lines.push(text + ".");
  }
  if (report.n_events) {
    const days = report.watched / DAY;
    if (days >= 1)
      lines.push("Found here: " + eventRate(report.n_events / days, hasGroups) + ", real faults included.");
  }
  return h(
    "div",
    { class: "promise" },
    h("h2", null, "What the alarm line promises"),
    h("p", { class: "statement" }, facts.statement || "No statement was recorded with this threshold."),
    promiseBadge(),
    facts.is_extrapolated === true &&
      h("p", { class: "aside" }, "The line was extrapolated beyond what the calibration data alone support."),
    lines.map((line) => h("p", { class: "aside" }, line)),
    h("p", { class: "aside" }, h("a", { href: "#threshold" }, "How the line was set")),
  );
}

// Rates below one a day are easier to grasp by the week or month.
function eventRate(perDay, perMachine) {
  const each = perMachine ? " per machine" : "";
  const base = formatNumber(perDay, perDay < 10 ? 2 : 3) + " a day" + each;
  if (perDay >= 1 || perDay <= 0) return base;
  const [n, unit] = perDay * 7 >= 1 ? [perDay * 7, "week"] : [perDay * 30.44, "month"];
  return base + ", about " + formatNumber(n, 2) + " a " + unit;
}

function lookFirst() {
  const worst = mostSevere.slice(0, 3);
  if (!worst.length) return null;
  return h(
    "div",
    { class: "panel" },
    h("h2", null, "Look here first"),
    h(
      "ol",
      { class: "first" },
      worst.map((event) => {
        const blamed = event.sensors[0];
        return h(
          "li",
          null,
          severityMark(event.severity),
          h(
            "div",
            null,
            eventLink(event, "Event " + event.number + ", " + formatTime(event.start, rowStep)),
            rarity(event, " on normal data"),
            h(
              "span",
              { class: "aside" },
              eventLength(event),
              hasGroups && [" on ", nameOf(event.group)],
              blamed && [" \u00b7 ", nameOf(sensorOf(blamed[0]).name), " ", expectedActual(blamed)],
            ),
          ),
        );
      }),
    ),
  );
}

function accounting() {
  const counts = Object.entries(report.status);
  if (!counts.length) return null;
  const present = counts.filter(([, n]) => n > 0);
  return h(
    "div",
    { class: "panel" },
    h("h2", null, "Every row accounted for"),
    h(
      "div",
      {
        class: "stack",
        role: "img",
        "aria-label": present.map(([status, n]) => formatCount(n) + " " + status).join(", "),
      },
      present.map(([status, n]) => h("span", { class: "status-" + status, "width%": n / report.n_rows })),
    ),
    h(
      "ul",
      { class: "legend" },
      present.map(([status, n]) =>
        h(
          "li",
          null,
          h("i", { class: "status-" + status, "aria-hidden": "true" }),
          h("b", null, formatCount(n)),
          " " + status,
          h("span", { class: "aside" }, " " + STATUS_MEANING[status]),
        ),
      ),
    ),
    h(
      "p",
      { class: "sum" },
      present.map(([, n]) => formatCount(n)).join(" + ") +
        (present.length > 1 ? " = " + formatCount(report.n_rows) : "") +
        " rows read",
    ),
  );
}

function remarks() {
  if (!report.warnings.length && !report.notes.length) return null;
  return h(
    "div",
    { class: "remarks" },
    report.warnings.map((text) => h("p", { class: "warning" }, h("b", null, "Warning. "), text)),
    report.notes.map((text) => h("p", null, h("b", null, "Note. "), text)),
  );
}

function overviewSection() {
  return h(
    "section",
    { id: "overview", "aria-label": "Overview" },
    verdict(),
    tiles(),
    promisePanel(),
    wasScored && h("div", { class: "pair" }, lookFirst(), accounting()),
    remarks(),
  );
}
