// The table of events: when, how long, how bad, which sensors, and a close view on demand.

const PAGE_ROWS = 100;

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
          shareBar(share, event.kind !== "quality"),
          h("span", { class: "percent" }, formatPercent(share)),
        ),
      ),
  );
}

function kindMark(kind) {
  return h(
    "span",
    { class: "kind" },
    h("i", {
      class: { interval: "key-event", point: "key-point", quality: "key-quality" }[kind],
      "aria-hidden": "true",
    }),
    lookUp(KINDS, kind, kind),
  );
}

const COLUMNS = [
  { text: "No.", class: "number", value: (event) => event.number },
  { text: "Start (UTC)", value: (event) => event.start },
  { text: "Duration", class: "wide", value: (event) => event.end - event.start },
  { text: "Kind", class: "wide", value: (event) => event.kind },
  { text: "Severity", value: (event) => event.shown, isFalling: true },
  { text: "Sensors to blame" },
  { text: "First sensor", class: "extra" },
];

function eventDetail(event) {
  const rows = event.sensors.map(([position, share, expected, actual]) => {
    const { name, unit } = sensorOf(position);
    const [e, a] = formatPair(expected, actual);
    const off = isNumber(expected) && isNumber(actual) ? actual - expected : null;
    const direction = off === null || off === 0 ? "" : h("span", { class: "line aside" }, off > 0 ? "above" : "below");
    return [
      [
        nameOf(name),
        h(
          "span",
          { class: "line" },
          shareBar(share, event.kind !== "quality"),
          h("span", { class: "percent" }, formatPercent(share)),
        ),
      ],
      withUnit(a, unit),
      withUnit(e, unit),
      off ? [(off > 0 ? "\u25b2 " : "\u25bc ") + withUnit(formatNumber(Math.abs(off), 2), unit), direction] : DASH,
    ];
  });
  const head = [
    "Sensor and share of blame",
    { text: "Actual", class: "num" },
    { text: "Expected", class: "num" },
    { text: "Difference", class: "num" },
  ];
  const facts = [
    ["Start", formatTime(event.start, rowStep) + " UTC"],
    ["Peak", formatTime(event.peak, rowStep) + " UTC"],
    ["End", formatTime(event.end, rowStep) + " UTC"],
    ["Length", eventLength(event) + (event.start === event.end ? "" : ", " + plural(event.n_rows, "row"))],
    ["Kind", lookUp(KINDS, event.kind, event.kind)],
  ];
  if (event.score !== null && event.kind !== "quality")
    facts.push([
      "Peak score",
      formatNumber(event.score) + (threshold === null ? "" : ", threshold " + formatNumber(threshold)),
    ]);
  if (hasGroups) facts.push(["Machine", nameOf(event.group)]);
  facts.push(["Id", h("code", null, event.id)]);
  const fault = report.labels.find(
    (label) =>
      (label.group === event.group || label.group === "") && label.start <= event.end && label.end >= event.start,
  );
  if (fault) facts.push(["Known fault", [fault.text || "yes", ", from " + formatTime(fault.start, rowStep)]]);
  const index = report.events.indexOf(event);
  const go = (step, text) => {
    const other = report.events[index + step];
    return other && h("a", { class: "button", href: "#event=" + encodeURIComponent(other.id) }, text);
  };
  return h(
    "div",
    { class: "detail" },
    h(
      "div",
      { class: "detail-facts" },
      h("h3", null, "Event " + event.number),
      event.note && h("p", null, event.note),
      factList(facts),
      rows.length > 0 && simpleTable("Sensors of event " + event.number, head, rows),
      h(
        "p",
        { class: "buttons" },
        go(-1, "Previous event"),
        go(1, "Next event"),
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

function eventRows(event, nColumns) {
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
          "aria-label": "Event " + event.number + ", details",
          onclick: toggle,
        },
        String(event.number),
      ),
    ),
    h(
      "td",
      { class: "time" },
      formatDate(event.start),
      h("br"),
      formatClock(event.start, rowStep),
      h("span", { class: "aside narrow" }, shortLength(event)),
    ),
    h("td", { class: "wide" }, eventLength(event)),
    hasGroups && h("td", null, nameOf(event.group)),
    h("td", { class: "wide" }, kindMark(event.kind)),
    h("td", null, event.kind === "quality" ? h("span", { class: "aside" }, "not rated") : severityMark(event.severity)),
    h("td", null, blameList(event, 3)),
    h("td", { class: "extra" }, event.sensors.length > 0 && actualAndExpected(event.sensors[0])),
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
    history.replaceState(null, "", "#events");
    view.set({ event: null });
  } else location.hash = "event=" + encodeURIComponent(event.id);
}

function eventsSection() {
  const columns = COLUMNS.filter(Boolean);
  if (hasGroups) columns.splice(3, 0, { text: "Machine", value: (event) => event.group });
  const state = { column: 1, isFalling: false, isAll: report.events.length <= PAGE_ROWS };
  const body = h("tbody");
  const headers = columns.map((column, i) =>
    h(
      "th",
      { scope: "col", class: column.class || null },
      column.value
        ? h(
            "button",
            { type: "button", class: "sort", onclick: () => sortBy(i) },
            column.text,
            h("span", { class: "arrow", "aria-hidden": "true" }),
          )
        : column.text,
    ),
  );
  const more = h(
    "button",
    {
      type: "button",
      onclick: () => {
        state.isAll = true;
        draw();
      },
    },
    "Show all " + formatCount(report.events.length) + " events",
  );
  const sortBy = (i) => {
    state.isFalling = state.column === i ? !state.isFalling : Boolean(columns[i].isFalling);
    state.column = i;
    draw();
  };
  const draw = () => {
    const { value } = columns[state.column];
    const sign = state.isFalling ? -1 : 1;
    const sorted = [...report.events].sort((a, b) =>
      value(a) < value(b) ? -sign : value(a) > value(b) ? sign : a.number - b.number,
    );
    headers.forEach((header, i) =>
      i === state.column
        ? header.setAttribute("aria-sort", state.isFalling ? "descending" : "ascending")
        : header.removeAttribute("aria-sort"),
    );
    const shown = state.isAll ? sorted : sorted.slice(0, PAGE_ROWS);
    const chosen = eventById.get(view.event);
    if (chosen && !shown.includes(chosen)) shown.push(chosen);
    const focused = body.contains(document.activeElement) && document.activeElement.closest("tr").id;
    body.replaceChildren(...shown.flatMap((event) => eventRows(event, columns.length)));
    if (focused) body.querySelector("#" + focused + " button")?.focus({ preventScroll: true });
    more.hidden = state.isAll;
  };
  view.onChange((changes) => "event" in changes && draw());
  draw();
  if (!report.events.length) return section("events", "Events", "No events were found.");
  return section(
    "events",
    "Events",
    "Open an event to see its sensors. Severity is the peak score divided by the threshold; the share says how much of the alarm each sensor explains.",
    h(
      "div",
      { class: "events scroll", role: "region", "aria-label": "Table of events", tabindex: "0" },
      h("table", null, h("caption", { class: "unseen" }, "Events"), h("thead", null, h("tr", null, headers)), body),
    ),
    more,
  );
}
