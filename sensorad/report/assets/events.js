// The table of alarm events: when, how long, how bad, how rare, which sensors.

const PAGE_ROWS = 100;

function kindMark(kind) {
  return h(
    "span",
    { class: "kind" },
    h("i", {
      class: { interval: "key-event", point: "key-point" }[kind],
      "aria-hidden": "true",
    }),
    lookUp(KINDS, kind, kind),
  );
}

const COLUMNS = [
  { text: "No.", class: "number", value: (event) => Number(event.number) },
  { text: "Start (UTC)", value: (event) => event.start },
  { text: "Duration", class: "wide", value: (event) => event.end - event.start },
  { text: "Kind", class: "wide", value: (event) => event.kind },
  { text: "Severity", value: (event) => event.rank, isFalling: true },
  { text: "Sensors to blame" },
  { text: "First sensor", class: "extra" },
];

function rarity(event, ...more) {
  if (event.return_days === null) return null;
  return h("span", { class: "rarity" }, formatReturn(event.return_days, report.return_cap), ...more);
}

function eventCells(event) {
  return [
    timeCell(event),
    h("td", { class: "wide" }, eventLength(event)),
    hasGroups && h("td", { class: "wide" }, nameOf(event.group)),
    h("td", { class: "wide" }, kindMark(event.kind)),
    h("td", null, severityMark(event.severity, rarity(event))),
    h("td", null, blameList(event, 3)),
    h("td", { class: "extra" }, event.sensors.length > 0 && actualAndExpected(event.sensors[0])),
  ];
}

function eventsSection() {
  if (!wasScored) return null;
  const columns = [...COLUMNS];
  if (hasGroups) columns.splice(3, 0, { text: "Machine", class: "wide", value: (event) => event.group });
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
    if (chosen && chosen.kind !== "quality" && !shown.includes(chosen)) shown.push(chosen);
    const focused = body.contains(document.activeElement) && document.activeElement.closest("tr").id;
    body.replaceChildren(...shown.flatMap((event) => recordRows(event, eventCells(event), columns.length)));
    if (focused) body.querySelector("#" + focused + " button")?.focus({ preventScroll: true });
    more.hidden = state.isAll;
  };
  view.onChange((changes) => "event" in changes && draw());
  draw();
  if (!report.events.length) return section("events", "Events", "No alarm events were found.");
  const hasRarity = report.events.some((event) => event.return_days !== null);
  return section(
    "events",
    "Events",
    "Open an event to see its sensors. Severity is the peak score divided by the threshold" +
      (hasRarity ? ", and below it how often normal operation goes so far" : "") +
      "; the share says how much of the alarm each sensor explains.",
    h(
      "div",
      { class: "events scroll", role: "region", "aria-label": "Table of events", tabindex: "0" },
      h("table", null, h("caption", { class: "unseen" }, "Events"), h("thead", null, h("tr", null, headers)), body),
    ),
    more,
  );
}
