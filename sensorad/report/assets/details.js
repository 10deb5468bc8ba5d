// What an engineer asks next: data quality, how the threshold was set, what the model is.

const FIRST_MISSING = 8;

function qualitySection() {
  const counts = Object.entries(report.status).filter(([status, n]) => n > 0 || status === "scored");
  if (!counts.length) return null;
  const num = (text) => ({ text, class: "num" });
  const shareOf = (n) => formatPercent(n / (report.n_rows || 1));
  const reasons = Object.entries(report.reasons).filter(([, n]) => n > 0);
  const lacking = [...report.missing].sort((a, b) => b[1] - a[1]);
  const sum = [
    h("b", null, "all rows"),
    h("b", null, formatCount(report.n_rows)),
    shareOf(report.n_rows),
    "the statuses add up to the rows read",
  ];
  return section(
    "quality",
    "Data quality",
    "Every row that was read has exactly one status; nothing is dropped silently.",
    simpleTable(
      "Rows by status",
      ["Status", num("Rows"), num("Share"), "Meaning"],
      [...counts.map(([status, n]) => [status, formatCount(n), shareOf(n), STATUS_MEANING[status]]), sum],
    ),
    reasons.length > 0 && [
      h("h3", null, "Why rows were not judged normally"),
      simpleTable(
        "Rows by reason",
        ["Reason", num("Rows"), num("Share")],
        reasons.map(([reason, n]) => [lookUp(REASON_MEANING, reason, reason), formatCount(n), shareOf(n)]),
      ),
    ],
    report.traces.length > 0 && [
      h("h3", null, "Missing values"),
      lacking.length
        ? [
            missingTable(lacking.slice(0, FIRST_MISSING)),
            lacking.length > FIRST_MISSING &&
              h(
                "details",
                null,
                h("summary", null, plural(lacking.length - FIRST_MISSING, "more sensor") + " with missing values"),
                missingTable(lacking.slice(FIRST_MISSING)),
              ),
          ]
        : h("p", null, "No sensor has missing values."),
    ],
  );
}

function missingTable(rows) {
  return simpleTable(
    "Missing values by sensor",
    ["Sensor", "Share of rows without a usable value"],
    rows.map(([sensor, share]) => [
      nameOf(sensorOf(sensor).name),
      [shareBar(share), h("span", { class: "percent" }, formatPercent(share))],
    ]),
  );
}

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
  "assumptions",
];

function thresholdSection() {
  const facts = report.threshold;
  if (!Object.keys(facts).length) return null;
  const pairs = [];
  if (threshold !== null) pairs.push(["Threshold", formatNumber(threshold)]);
  if (facts.method) pairs.push(["Method", facts.method]);
  if (facts.budget) pairs.push(["Budget", String(facts.budget)]);
  if (isNumber(facts.confidence)) pairs.push(["Confidence", formatPercent(facts.confidence)]);
  if (isNumber(facts.calibration_days))
    pairs.push([
      "Calibration data",
      facts.calibration_days >= 1
        ? plural(Number(facts.calibration_days.toPrecision(3)), "day").replace(
            /^[\d,]+/,
            formatNumber(facts.calibration_days),
          )
        : formatDuration(facts.calibration_days * DAY),
    ]);
  if (isNumber(facts.expected_events_per_day))
    pairs.push(["Expected false alarms", eventRate(facts.expected_events_per_day)]);
  if (Array.isArray(facts.interval))
    pairs.push(["Plausible range", facts.interval.map((rate) => formatNumber(rate)).join(" to ") + " a day"]);
  if (typeof facts.is_promised === "boolean") pairs.push(["Promised", facts.is_promised ? "yes" : "no, an estimate"]);
  for (const [key, value] of Object.entries(facts))
    if (!THRESHOLD_KEYS.includes(key)) pairs.push(...anyFact(key, value));
  const assumptions = [facts.assumptions || []].flat();
  return section(
    "threshold",
    "How the alarm line was set",
    facts.statement || null,
    factList(pairs),
    assumptions.length > 0 && [
      h("h3", null, "This holds as long as"),
      h(
        "ul",
        { class: "plain" },
        assumptions.map((text) => h("li", null, String(text))),
      ),
    ],
    report.calibration &&
      figure(
        "Scores of " + formatCount(report.calibration.n) + " calibration rows; rows on a logarithmic axis",
        responsive("histogram", drawHistogram).box,
      ),
  );
}

function figure(caption, box) {
  return h("figure", null, box, h("figcaption", null, caption));
}

function drawHistogram(width) {
  const { edges, counts } = report.calibration;
  const margin = { left: 56, right: 12, top: 16 };
  const bottom = 196,
    right = width - margin.right;
  const highest = Math.max(...counts);
  const last = edges[edges.length - 1];
  const isFar = threshold !== null && threshold > last + 3 * (last - edges[0]);
  const end = threshold === null || isFar ? last : Math.max(last, threshold) * 1.04;
  const x = linearScale(Math.min(edges[0], 0), end || 1, margin.left, right);
  const y = logScale(0.5, highest * 1.4, bottom, margin.top);
  const ticks = logTicks(1, highest * 1.4, 4);
  return chart(
    width,
    bottom + 40,
    "Histogram of calibration scores from " +
      formatNumber(edges[0]) +
      " to " +
      formatNumber(last) +
      (threshold === null ? "" : ", threshold " + formatNumber(threshold)),
    yAxis(y, ticks, margin.left, right, formatCount),
    counts.map(
      (n, i) =>
        n > 0 &&
        s("rect", {
          class: threshold !== null && edges[i] >= threshold ? "column alarm" : "column",
          x: x(edges[i]).toFixed(1),
          y: y(n).toFixed(1),
          width: Math.max(0.6, x(edges[i + 1]) - x(edges[i]) - 1).toFixed(1),
          height: (bottom - y(n)).toFixed(1),
        }),
    ),
    threshold !== null &&
      !isFar &&
      s(
        "g",
        { class: "threshold" },
        s("line", { x1: x(threshold), x2: x(threshold), y1: margin.top - 6, y2: bottom }),
        s(
          "text",
          { x: x(threshold) - 6, y: margin.top + 4, "text-anchor": "end" },
          "threshold " + formatNumber(threshold),
        ),
      ),
    valueAxis(x, bottom, "score"),
    isFar &&
      s(
        "text",
        { class: "lane", x: right, y: margin.top, "text-anchor": "end" },
        "threshold " + formatNumber(threshold) + " lies far to the right",
      ),
  );
}

function valueAxis(x, y, title, isWhole = false) {
  const [left, right] = x.domain.map(x);
  const ticks = linearTicks(...x.domain, Math.max(2, Math.floor((right - left) / 80)));
  return s(
    "g",
    { class: "axis x" },
    ticks
      .filter((tick) => !isWhole || Number.isInteger(tick))
      .map((tick) => [
        s("line", { x1: x(tick), x2: x(tick), y1: y, y2: y + 4 }),
        s("text", { x: x(tick), y: y + 16, "text-anchor": "middle" }, formatNumber(tick)),
      ]),
    s("text", { class: "date", x: right, y: y + 32, "text-anchor": "end" }, title),
  );
}

function drawLosses(width) {
  const {
    epochs,
    train_losses: train = [],
    validation_losses: validation = [],
    best_epoch: best,
  } = report.card.training;
  const n = Math.max(train.length, validation.length);
  const at = Array.isArray(epochs) && epochs.length === n ? epochs : Array.from({ length: n }, (_, i) => i + 1);
  const margin = { left: 56, right: width < 560 ? 12 : 86, top: 14 };
  const bottom = 196,
    right = width - margin.right;
  const [low, high] = extent([...train, ...validation]);
  const isLog = low > 0 && high / low > 20;
  const x = linearScale(at[0], at[n - 1] + (n === 1 ? 1 : 0), margin.left, right);
  const y = isLog
    ? logScale(low * 0.9, high * 1.1, bottom, margin.top)
    : linearScale(...padded([Math.min(0, low), high], 0.04), bottom, margin.top);
  const line = (values, className, label, dy) => {
    if (!values.length) return null;
    const xs = values.map((_, i) => x(at[i])),
      ys = values.map((value) => (value === null ? null : y(value)));
    const end = ys.findLastIndex((value) => value !== null);
    return [
      s("path", { class: className, d: linePath(xs, ys) }),
      end >= 0 &&
        (width < 560
          ? s("text", { class: "lane", x: xs[end] - 4, y: ys[end] + dy, "text-anchor": "end" }, label)
          : s("text", { class: "lane", x: xs[end] + 6, y: ys[end] + dy / 2, dy: "0.34em" }, label)),
    ];
  };
  return chart(
    width,
    bottom + 40,
    "Loss by epoch, training and validation",
    yAxis(y, isLog ? logTicks(...y.domain, 4) : linearTicks(...y.domain, 4), margin.left, right),
    isNumber(best) &&
      best >= at[0] &&
      s(
        "g",
        { class: "best" },
        s("line", { x1: x(best), x2: x(best), y1: margin.top, y2: bottom }),
        s("text", { x: x(best), y: margin.top - 3, "text-anchor": "middle" }, "best epoch " + best),
      ),
    line(train, "trace", "training", 14),
    line(validation, "trace dashed", "validation", -14),
    valueAxis(x, bottom, "epoch", true),
  );
}

// One fact, or several where the value is itself a set of facts; long lists are counted, not shown.
function anyFact(key, value) {
  const { label, text } = describeFact(key, value);
  if (text !== null) return [[label, text]];
  if (Array.isArray(value)) {
    const parts = value.map((item) =>
      item !== null && typeof item === "object" ? JSON.stringify(item) : describeFact(key, item).text,
    );
    return [[label, parts.length > 12 ? plural(parts.length, "value") : parts.join(", ") || "none"]];
  }
  return Object.entries(value).flatMap(([inner, item]) =>
    anyFact(inner, item).map(([innerLabel, shown]) => [
      label + ": " + innerLabel.charAt(0).toLowerCase() + innerLabel.slice(1),
      shown,
    ]),
  );
}

function factGroup(title, facts) {
  const pairs = Object.entries(facts || {}).flatMap(([key, value]) => anyFact(key, value));
  return pairs.length > 0 && h("div", null, h("h3", null, title), factList(pairs));
}

const CARD_KEYS = ["model", "training", "fit", "roles", "versions"];
const MODEL_WORDS = {
  linear: "Linear models (window PCA and autoregression)",
  lstm: "LSTM encoder-decoder",
  transformer: "Transformer autoencoder",
  variational: "Variational autoencoder",
  adversarial: "Adversarial autoencoder",
  ensemble: "Ensemble",
};

function modelSection() {
  const card = report.card;
  const hasRange = report.sensors.some((sensor) => isNumber(sensor.low) || isNumber(sensor.high));
  if (!Object.keys(card).length && !report.sensors.length && !Object.keys(report.runtime).length) return null;
  const training = card.training || {};
  const hasLosses = [training.train_losses, training.validation_losses].some(
    (losses) => Array.isArray(losses) && losses.length,
  );
  const trained = Object.fromEntries(
    Object.entries(training).filter(([key, value]) => !Array.isArray(value) && !/losses$/.test(key)),
  );
  if (Array.isArray(training.epochs)) trained.epochs = training.epochs.length;
  const rest = Object.fromEntries(Object.entries(card).filter(([key]) => !CARD_KEYS.includes(key)));
  const sensorRows = report.sensors.map((sensor) => [
    nameOf(sensor.name),
    formatUnit(sensor.unit) || DASH,
    ...(hasRange
      ? [
          isNumber(sensor.low) || isNumber(sensor.high)
            ? formatNumber(sensor.low ?? null) + " to " + formatNumber(sensor.high ?? null)
            : DASH,
        ]
      : []),
    sensor.kind || "not declared",
  ]);
  return section(
    "model",
    "Model card",
    card.model
      ? lookUp(MODEL_WORDS, card.model, String(card.model)) + ", " + plural(report.sensors.length, "sensor") + "."
      : null,
    h(
      "div",
      { class: "card" },
      factGroup("How it was fitted", card.fit),
      factGroup("What the data was used for", card.roles),
      factGroup("Training", trained),
      factGroup("This run", report.runtime),
      factGroup("Versions", card.versions),
      factGroup("More", rest),
    ),
    hasLosses &&
      figure("Loss by epoch: solid on training data, dashed on data held back", responsive("losses", drawLosses).box),
    report.sensors.length > 0 &&
      h(
        "details",
        null,
        h("summary", null, "All " + plural(report.sensors.length, "sensor") + " of the model"),
        simpleTable(
          "Sensors of the model",
          ["Sensor", "Unit", ...(hasRange ? ["Declared range"] : []), "Kind"],
          sensorRows,
        ),
      ),
  );
}
