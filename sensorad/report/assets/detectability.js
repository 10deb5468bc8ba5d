// What the detector would find: the smallest fault of each kind at each sensor, as a coloured table.

const BLANK_CELLS = { never: "never", "no fault": DASH, "not looked at": "unused" };
const BLANK_REASONS = {
  never: "not found at any severity that was tried",
  "no fault": "the fault changes hardly anything at this sensor",
  "not looked at": "no model looks at this sensor",
};

function detectabilitySection() {
  const card = report.detectability;
  if (!card) return null;
  const { n, n_alarms: nAlarms } = card.baseline;
  return section(
    "detectability",
    "What it would find",
    "Faults were put into normal rows that the detector had not learned from. Shown is the smallest severity that " +
      "raised an alarm at half of " +
      plural(card.n_places, "place") +
      " before the fault was over; the darker, the more the sensor had to change.",
    h(
      "p",
      { class: "sum" },
      "A fault lasts " +
        plural(card.rows, "row") +
        " (a spike three at most, a stuck sensor as long as its severity says). Without any fault an alarm opened " +
        "within as many rows at " +
        formatPercent(n ? nAlarms / n : null) +
        " of " +
        plural(n, "place") +
        ".",
    ),
    detectabilityTable(card),
    detectabilityKey(card),
    card.notes.map((note) => h("p", { class: "sum" }, note)),
    h(
      "details",
      null,
      h("summary", null, "Kinds of faults, and what the card was made of"),
      factList(card.kinds.map((kind) => [kind.name + " (" + kind.unit + ")", "The sensor " + kind.summary + "."])),
      factGroup("Made of", card.about),
    ),
  );
}

function detectabilityTable(card) {
  return scrolled(
    h(
      "table",
      { class: "plain heat" },
      h("caption", { class: "unseen" }, "Smallest fault found, by sensor and kind of fault"),
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          h("th", { scope: "col" }, "Sensor"),
          card.kinds.map((kind) =>
            h("th", { scope: "col", title: kind.summary }, kind.name, h("span", { class: "aside" }, kind.unit)),
          ),
        ),
      ),
      h(
        "tbody",
        null,
        card.sensors.map((sensor) =>
          h(
            "tr",
            null,
            h("th", { scope: "row" }, nameOf(sensor.name)),
            sensor.cells.map((cell, i) => detectabilityCell(cell, card.kinds[i], sensor)),
          ),
        ),
      ),
    ),
    "Smallest fault found, by sensor and kind of fault",
  );
}

function detectabilityCell(cell, kind, sensor) {
  if (cell.state !== "found")
    return h(
      "td",
      { class: cell.state === "never" ? "never" : "none", title: lookUp(BLANK_REASONS, cell.state, null) },
      lookUp(BLANK_CELLS, cell.state, DASH),
    );
  const bound = lookUp({ most: "\u2264\u00a0", least: "\u2265\u00a0" }, cell.bound, "");
  return h(
    "td",
    { class: "heat-" + cell.level, title: detectabilityText(cell, kind, sensor) },
    bound + formatNumber(cell.severity, 2),
    isNumber(cell.delay_rows) &&
      h("span", { class: "aside" }, formatNumber(cell.delay_rows) + (cell.delay_rows === 1 ? " row" : " rows")),
  );
}

// "bias of 0.53 sigma (2.1 bar): found at 63 % of 24 places, usually after 28 rows (28 min); at 90 % from 0.85 on"
function detectabilityText(cell, kind, sensor) {
  const amount = isNumber(cell.amount) ? " (" + withUnit(formatNumber(cell.amount), sensor.unit) + ")" : "";
  const delay = isNumber(cell.delay_seconds)
    ? ", usually after " + formatNumber(cell.delay_rows) + " rows (" + formatDuration(cell.delay_seconds * SECOND) + ")"
    : "";
  const most = cell.most === null ? "; never at 90 %" : "; at 90 % of them from " + formatNumber(cell.most, 2) + " on";
  return (
    kind.name +
    ", " +
    formatNumber(cell.severity, 2) +
    " " +
    kind.unit +
    amount +
    ": found at " +
    formatPercent(cell.share) +
    " of " +
    plural(cell.n, "place") +
    delay +
    most
  );
}

function detectabilityKey(card) {
  const bounds = card.levels.map((level) => formatNumber(level));
  const texts = ["below " + bounds[0], ...bounds.map((low, i) => (i + 1 < bounds.length ? "from " + low : low + " on"))];
  return [
    h("p", { class: "sum" }, "Change of the sensor at that severity, root mean square, in its standard deviations:"),
    h(
      "ul",
      { class: "keys plain" },
      texts.map((text, i) => h("li", null, h("i", { class: "heat-key heat-" + i, "aria-hidden": "true" }), text)),
      h("li", null, h("i", { class: "heat-key never", "aria-hidden": "true" }), "never found"),
    ),
  ];
}
