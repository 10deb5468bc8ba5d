// Whether the calibration still describes normal operation: a banner when it does not, and the weekly counts.

function staleSince() {
  const { since } = report.stale;
  if (!since) return "";
  const at = Date.parse(since);
  return Number.isNaN(at) ? String(since) : formatTime(at) + " UTC";
}

function staleBanner() {
  if (!report.stale?.is_stale) return null;
  const since = staleSince();
  return h(
    "aside",
    { class: "banner", id: "stale-banner", "aria-labelledby": "stale-title" },
    h(
      "div",
      null,
      h("h2", { id: "stale-title" }, "This calibration no longer describes normal operation"),
      h(
        "p",
        null,
        since && [h("b", null, "Since " + since + ". "), " "],
        report.stale.statement && [report.stale.statement, " "],
        "What the alarm line promises does not hold until it is calibrated again. ",
        h("a", { href: "#stale" }, "Why we say so"),
      ),
    ),
  );
}

function staleFigure() {
  const { stale } = report;
  if (!stale) return null;
  const since = staleSince();
  return h(
    "figure",
    { id: "stale" },
    h("h3", null, "Does the calibration still hold?"),
    h(
      "p",
      null,
      h("span", { class: "badge " + (stale.is_stale ? "open" : "kept") }, stale.is_stale ? "Stale" : "Holds"),
      " ",
      stale.is_stale && since && "Since " + since + ". ",
      stale.statement,
    ),
    stale.weeks.length > 0 && [
      responsive("weeks-box", drawWeeks).box,
      h(
        "figcaption",
        null,
        "Alarm events in each week. Grey: as many as chance explains. A pale column is a week that was not observed in full.",
      ),
    ],
  );
}

function drawWeeks(width) {
  const { weeks } = report.stale;
  const margin = { left: 44, right: 14, top: 22 };
  const right = width - margin.right;
  const bottom = margin.top + 130;
  const ends = weeks.map((week) => week.start + 7 * DAY);
  const x = linearScale(weeks[0].start, ends[ends.length - 1], margin.left, right);
  const [, most] = extent(weeks.flatMap((week) => [week.n_events, week.upper ?? null]));
  const y = linearScale(0, Math.max(1, most) * 1.12, bottom, margin.top);
  const fullest = Math.max(...weeks.map((week) => week.days ?? 0));
  const columns = weeks.map((week, i) => {
    const [from, to] = [x(week.start), x(ends[i])];
    const isAbove = isNumber(week.upper) && week.n_events > week.upper;
    const isPart = isNumber(week.days) && week.days < 0.9 * fullest;
    const room = Math.min(6, (to - from) * 0.16);
    return s(
      "g",
      { class: "week" },
      isNumber(week.upper) &&
        s("rect", { class: "chance", x: from, y: y(week.upper), width: to - from, height: bottom - y(week.upper) }),
      s("rect", {
        class: "column" + (isAbove ? " alarm" : "") + (isPart ? " part" : ""),
        x: from + room,
        y: Math.min(y(week.n_events), bottom - 1),
        width: Math.max(1, to - from - 2 * room),
        height: Math.max(1, bottom - y(week.n_events)),
      }),
      s("title", null, weekText(week)),
    );
  });
  const nAbove = weeks.filter((week) => isNumber(week.upper) && week.n_events > week.upper).length;
  const ticks = linearTicks(...y.domain, 4).filter(Number.isInteger);
  return chart(
    width,
    bottom + 36,
    "Alarm events by week, " +
      plural(weeks.length, "week") +
      ", " +
      formatCount(nAbove) +
      " above what chance explains",
    yAxis(y, ticks, margin.left, right, formatCount),
    s("text", { class: "lane", x: margin.left, y: margin.top - 10 }, "alarm events a week"),
    columns,
    weekAxis(weeks, x, bottom),
  );
}

// A date below the beginning of each week, or of every second, fourth, ... where there are too many.
function weekAxis(weeks, x, y) {
  const [left, right] = x.domain.map(x);
  const every = Math.ceil((weeks.length * 64) / (right - left));
  return s(
    "g",
    { class: "axis x" },
    weeks
      .filter((_, i) => i % every === 0)
      .map((week) => {
        const at = x(week.start).toFixed(1);
        return [
          s("line", { x1: at, x2: at, y1: y, y2: y + 4 }),
          s("text", { x: at, y: y + 16, class: "date" }, formatDate(week.start).replace(/ \d+$/, "")),
        ];
      }),
    s("text", { x: right, y: y + 32, "text-anchor": "end" }, "week from, in " + formatDate(x.domain[1]).slice(-4)),
  );
}

function weekText(week) {
  return (
    "Week from " +
    formatDate(week.start) +
    ": " +
    plural(week.n_events, "alarm event") +
    (isNumber(week.upper) ? ", chance explains up to " + formatNumber(week.upper) : "") +
    (isNumber(week.days) ? ", " + formatNumber(week.days) + " machine-days observed" : "")
  );
}
