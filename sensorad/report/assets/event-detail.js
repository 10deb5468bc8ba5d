// One event opened: its facts, the sensors to blame in the order in which they went astray, and their close views.

function eventLength(event) {
  return event.start === event.end ? plural(event.n_rows, "row") : formatDuration(event.end - event.start);
}

function shortLength(event) {
  return event.start === event.end ? plural(event.n_rows, "row") : formatDuration(event.end - event.start, true);
}

// "84.9 degC, expected 70.2 degC" of one blamed sensor [position, share, expected, actual].
function expectedActual([position, , expected, actual]) {
  const { unit } = sensorOf(position);
  const [e, a] = formatPair(expected, actual);
  if (e === DASH && a === DASH) return "";
  if (e === DASH) return withUnit(a, unit);
  if (a === DASH) return "no value, expected " + withUnit(e, unit);
  return withUnit(a, unit) + ", expected " + withUnit(e, unit);
}

function actualAndExpected([position, , expected, actual]) {
  const { unit } = sensorOf(position);
  const [e, a] = formatPair(expected, actual);
  if (a === DASH && e === DASH) return DASH;
  return [
    withUnit(a === DASH ? "no value" : a, a === DASH ? null : unit),
    e !== DASH && h("span", { class: "aside line" }, "expected " + withUnit(e, unit)),
  ];
}

function blameList(event, n) {
  return h(
    "ul",
    { class: "blame" },
    event.sensors
      .slice(0, n)
      .map(([position, share]) =>
        h(
          "li",
          null,
          nameOf(sensorOf(position).name),
          shareBar(share, true),
          h("span", { class: "percent" }, formatPercent(share)),
        ),
      ),
  );
}

// "first" and "+3 min" for each blamed sensor, or "together" where all went astray in one row; null where unknown.
function onsetTexts(event) {
  const onsets = event.sensors.map(([, , , , onset]) => (isNumber(onset) ? onset : null));
  const known = onsets.filter((onset) => onset !== null);
  if (known.length < 2) return onsets.map(() => null);
  const first = Math.min(...known);
  if (known.every((onset) => onset === first)) return onsets.map((onset) => onset !== null && "together");
  return onsets.map((onset) => (onset === null ? null : formatOffset(onset - first)));
}

function blameTable(event) {
  const onsets = onsetTexts(event);
  const hasOnsets = onsets.some(Boolean);
  const head = [
    "Sensor and share of blame",
    ...(hasOnsets ? [{ text: "Onset", class: "num wide onset-cell" }] : []),
    { text: "Actual", class: "num" },
    { text: "Expected", class: "num" },
    { text: "Difference", class: "num wide" },
  ];
  const rows = event.sensors.map(([position, share, expected, actual], rank) => {
    const { name, unit } = sensorOf(position);
    const [e, a] = formatPair(expected, actual);
    const off = isNumber(expected) && isNumber(actual) ? actual - expected : null;
    const direction = off === null || off === 0 ? "" : h("span", { class: "line aside" }, off > 0 ? "above" : "below");
    return [
      [
        nameOf(name),
        h("span", { class: "line" }, shareBar(share, true), h("span", { class: "percent" }, formatPercent(share))),
        onsets[rank] && h("span", { class: "aside narrow" }, "onset: " + onsets[rank]),
      ],
      ...(hasOnsets ? [onsets[rank] === "first" ? h("b", null, "first") : onsets[rank] || DASH] : []),
      withUnit(a, unit),
      withUnit(e, unit),
      off ? [(off > 0 ? "\u25b2 " : "\u25bc ") + withUnit(formatNumber(Math.abs(off), 2), unit), direction] : DASH,
    ];
  });
  return rows.length > 0 && simpleTable("Sensors of event " + event.number, head, rows);
}

// The line that the peak crossed: where operating modes have their own, severity tells which it was.
function lineWords({ score, severity }) {
  if (threshold === null) return "";
  const own = isNumber(severity) && severity > 0 ? score / severity : threshold;
  if (Math.abs(own / threshold - 1) < 0.01) return ", threshold " + formatNumber(threshold);
  return ", threshold of its mode " + formatNumber(own);
}

function eventFacts(event) {
  const isQuality = event.kind === "quality";
  const facts = [["Start", formatTime(event.start, rowStep) + " UTC"]];
  if (!isQuality) facts.push(["Peak", formatTime(event.peak, rowStep) + " UTC"]);
  facts.push(["End", formatTime(event.end, rowStep) + " UTC"]);
  facts.push(["Length", eventLength(event) + (event.start === event.end ? "" : ", " + plural(event.n_rows, "row"))]);
  facts.push(
    isQuality ? ["What is wrong", findingName(event.reason)] : ["Kind", lookUp(KINDS, event.kind, event.kind)],
  );
  if (!isQuality && event.severity !== null)
    facts.push(["Severity", formatSeverity(event.severity) + ", " + severityLevel(event.severity).word]);
  if (event.return_days !== null) facts.push(["On normal data", formatReturn(event.return_days, report.return_cap)]);
  if (!isQuality && event.score !== null) facts.push(["Peak score", formatNumber(event.score) + lineWords(event)]);
  if (hasGroups) facts.push(["Machine", nameOf(event.group)]);
  if (isQuality) facts.push(["Sensors", sensorNames(event, 12)]);
  facts.push(["Id", h("code", null, event.id)]);
  const fault = report.labels.find(
    (label) =>
      (label.group === event.group || label.group === "") && label.start <= event.end && label.end >= event.start,
  );
  if (fault) facts.push(["Known fault", [fault.text || "yes", ", from " + formatTime(fault.start, rowStep)]]);
  return facts;
}

function eventDetail(event) {
  const isQuality = event.kind === "quality";
  const list = isQuality ? report.findings : report.events;
  const index = list.indexOf(event);
  const go = (step, text) => {
    const other = list[index + step];
    return other && h("a", { class: "button", href: "#event=" + encodeURIComponent(other.id) }, text);
  };
  const what = isQuality ? "finding" : "event";
  return h(
    "div",
    { class: "detail" },
    h(
      "div",
      { class: "detail-facts" },
      h("h3", null, (isQuality ? "Finding " : "Event ") + event.number),
      event.note && h("p", null, event.note),
      factList(eventFacts(event)),
      !isQuality && blameTable(event),
      h(
        "p",
        { class: "buttons" },
        go(-1, "Previous " + what),
        go(1, "Next " + what),
        report.timeline.length > 0 &&
          h("button", { type: "button", onclick: () => showOnTimeline(event) }, "Show on the timeline"),
      ),
    ),
    h("div", { class: "detail-figures" }, closeUpFigures(event)),
  );
}

function showOnTimeline(event) {
  const margin = Math.max((event.end - event.start) * 2, (report.span[1] - report.span[0]) / 40);
  view.set({ group: event.group });
  zoomTo(event.start - margin, event.end + margin);
  document.getElementById("timeline").scrollIntoView({ block: "start" });
}

function timeCell(event) {
  return h(
    "td",
    { class: "time" },
    formatDate(event.start),
    h("br"),
    formatClock(event.start, rowStep),
    h("span", { class: "aside narrow" }, shortLength(event)),
    hasGroups && h("span", { class: "aside narrow" }, nameOf(event.group)),
  );
}

// The row of an event or finding in its table, and the row below that holds its details.
function recordRows(event, cells, nColumns) {
  const isOpen = view.event === event.id;
  const detailId = "detail-" + event.number;
  const toggle = () => toggleEvent(event);
  const row = h(
    "tr",
    {
      class: "event" + (isOpen ? " open" : ""),
      id: "row-" + event.number,
      onclick: (click) => !click.target.closest("a, button") && !String(getSelection()) && toggle(),
    },
    h(
      "td",
      { class: "number" },
      h(
        "button",
        {
          type: "button",
          class: "disclose",
          "aria-expanded": String(isOpen),
          "aria-controls": detailId,
          "aria-label": (event.kind === "quality" ? "Finding " : "Event ") + event.number + ", details",
          onclick: toggle,
        },
        event.number,
      ),
    ),
    cells,
  );
  const detail = h(
    "tr",
    { class: "detail-row", id: detailId, hidden: !isOpen },
    h("td", { colspan: nColumns }, isOpen ? eventDetail(event) : null),
  );
  return [row, detail];
}

// Only one event is open at a time; its id is in the address, so that a link leads to it.
function toggleEvent(event) {
  if (view.event === event.id) {
    history.replaceState(null, "", event.kind === "quality" ? "#quality" : "#events");
    view.set({ event: null });
  } else location.hash = "event=" + encodeURIComponent(event.id);
}
