// What became of every row, what was wrong with the data and when, and which sensors lack values.

const FIRST_MISSING = 8;
const FIRST_FINDINGS = 10;

const FINDING_NAMES = {
  missing: ["Missing values", "no usable value for longer than usual"],
  flat: ["Flat line", "the value does not move, as that of a stuck or dead sensor"],
  out_of_range: ["Out of range", "values outside the range declared for the sensor"],
  overflow: ["Overflow", "values that are infinite or too large to be true"],
  clock: ["Clock", "gaps, times out of order or given twice, or another sampling rate"],
};

function findingName(reason) {
  return lookUp(FINDING_NAMES, reason, [reason ? reason.replace(/_/g, " ") : "Other", ""])[0];
}

function qualitySection() {
  const counts = Object.entries(report.status).filter(([status, n]) => n > 0 || status === "scored");
  if (!counts.length && !nFindings) return null;
  const num = (text) => ({ text, class: "num" });
  const shareOf = (n) => formatPercent(n / (report.n_rows || 1));
  const reasons = Object.entries(report.reasons).filter(([, n]) => n > 0);
  const sum = [
    h("b", null, "all rows"),
    h("b", null, formatCount(report.n_rows)),
    shareOf(report.n_rows),
    "the statuses add up to the rows read",
  ];
  return section(
    "quality",
    "Data quality",
    counts.length ? "Every row that was read has exactly one status; nothing is dropped silently." : null,
    counts.length > 0 &&
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
    findingsPart(),
    missingPart(),
  );
}

function findingsPart() {
  if (!wasScored) return null;
  const heading = h("h3", { id: "findings" }, "Data-quality findings");
  if (!nFindings) return [heading, h("p", null, "None were recorded.")];
  const columns = ["No.", "Start (UTC)", "Duration", ...(hasGroups ? ["Machine"] : []), "Sensors", "Note"];
  const wide = { Duration: "wide", Machine: "wide", Note: "wide" };
  const isAll = new Set();
  const table = h("table", null);
  const draw = () => {
    const focused = table.contains(document.activeElement) && document.activeElement.closest("tr").id;
    table.replaceChildren(
      h("caption", { class: "unseen" }, "Data-quality findings by reason"),
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          columns.map((text) => h("th", { scope: "col", class: wide[text] || null }, text)),
        ),
      ),
      ...findingGroups().map(([reason, events]) => {
        const isShort = !isAll.has(reason) && events.length > FIRST_FINDINGS;
        const chosen = isShort && events.indexOf(eventById.get(view.event));
        const shown = isShort ? events.slice(0, FIRST_FINDINGS) : events;
        if (isShort && chosen >= FIRST_FINDINGS) shown.push(events[chosen]);
        const more = () => {
          isAll.add(reason);
          draw();
        };
        return h(
          "tbody",
          null,
          reasonRow(reason, columns.length),
          shown.flatMap((event) => recordRows(event, findingCells(event), columns.length)),
          isShort &&
            h(
              "tr",
              { id: "more-" + events[0].number },
              h(
                "td",
                { colspan: columns.length },
                h("button", { type: "button", onclick: more }, "Show all " + formatCount(events.length)),
              ),
            ),
        );
      }),
    );
    if (focused) table.querySelector("#" + focused + " button")?.focus({ preventScroll: true });
  };
  view.onChange((changes) => "event" in changes && draw());
  draw();
  return [
    heading,
    h("p", { class: "lead" }, "Faults of the data, not of the plant: they raise no alarm and count towards no budget."),
    h(
      "div",
      { class: "events scroll", role: "region", "aria-label": "Table of data-quality findings", tabindex: "0" },
      table,
    ),
  ];
}

// [reason, its findings] in the order of the names above, then what else there is.
function findingGroups() {
  const known = Object.keys(FINDING_NAMES);
  const place = (reason) => (known.includes(reason) ? known.indexOf(reason) : known.length);
  const reasons = [...new Set(report.findings.map((event) => event.reason))];
  return reasons
    .sort((a, b) => place(a) - place(b))
    .map((reason) => [reason, report.findings.filter((event) => event.reason === reason)]);
}

function reasonRow(reason, nColumns) {
  const [name, meaning] = lookUp(FINDING_NAMES, reason, [findingName(reason), ""]);
  return h(
    "tr",
    { class: "reason" },
    h(
      "th",
      { scope: "rowgroup", colspan: nColumns },
      h("i", { class: "key-quality", "aria-hidden": "true" }),
      " " + name + " ",
      h("span", { class: "aside" }, [plural(report.n_findings[reason], "finding"), meaning].filter(Boolean).join(": ")),
    ),
  );
}

function findingCells(event) {
  return [
    timeCell(event),
    h("td", { class: "wide" }, eventLength(event)),
    hasGroups && h("td", { class: "wide" }, nameOf(event.group)),
    h("td", null, sensorNames(event, 3), event.note && h("span", { class: "aside narrow" }, event.note)),
    h("td", { class: "wide note" }, event.note || DASH),
  ];
}

function sensorNames(event, most) {
  if (!event.n_sensors) return h("span", { class: "aside" }, "whole rows");
  const shown = event.sensors
    .slice(0, most)
    .map(([position]) => h("span", { class: "line" }, nameOf(sensorOf(position).name)));
  const rest = event.n_sensors - Math.min(most, event.sensors.length);
  return [shown, rest > 0 && h("span", { class: "aside line" }, "and " + formatCount(rest) + " more")];
}

function missingPart() {
  if (!report.traces.length) return null;
  const lacking = [...report.missing].sort((a, b) => b[1] - a[1]);
  return [
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
  ];
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
