// Pieces of charts as SVG: frame, axes, lines, bands, shades.

let lastId = 0;

function uniqueId(prefix) {
  lastId += 1;
  return prefix + "-" + lastId;
}

function chart(width, height, label, ...children) {
  return s(
    "svg",
    { class: "chart", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label },
    ...children,
  );
}

// Horizontal rules with labels at the left.
function yAxis(scale, ticks, left, right, text = formatNumber) {
  return s(
    "g",
    { class: "axis" },
    ticks.map((tick) => {
      const y = scale(tick).toFixed(1);
      return [
        s("line", { x1: left, x2: right, y1: y, y2: y }),
        s("text", { x: left - 6, y, dy: "0.32em", "text-anchor": "end" }, text(tick)),
      ];
    }),
  );
}

function xTimeAxis(scale, y, width, isBare = false, spacing = width < 500 ? 56 : 84) {
  const [from, to] = scale.domain;
  // "12:00:00.250" takes more room than "12:00" or "1 Mar".
  const room = to - from < 20 * SECOND ? 1.6 * spacing : spacing;
  const n = Math.max(2, Math.floor(width / room));
  let ticks = timeTicks(from, to, n);
  // A stretch within one day has no midnight to carry the date: the first tick does.
  const hasDate = ticks.some((tick) => tick.isDate);
  if (!hasDate && ticks.length) ticks = ticks.map((tick, i) => (i ? tick : { ...tick, below: formatDate(tick.at) }));
  return s(
    "g",
    { class: "axis x" },
    ticks.map((tick) => {
      const x = scale(tick.at).toFixed(1);
      const anchor = scale(to) - x < 18 ? "end" : "middle";
      return [
        s("line", { x1: x, x2: x, y1: y, y2: y + 4 }),
        !isBare && s("text", { x, y: y + 16, "text-anchor": anchor, class: tick.isDate ? "date" : null }, tick.label),
        !isBare && tick.below && s("text", { x, y: y + 30, "text-anchor": "middle", class: "date" }, tick.below),
      ];
    }),
  );
}

// Ticks and title below a chart of something else than time.
function xAxis(scale, y, title, ticks, text = formatNumber) {
  return s(
    "g",
    { class: "axis x" },
    ticks.map((tick) => [
      s("line", { x1: scale(tick), x2: scale(tick), y1: y, y2: y + 4 }),
      s("text", { x: scale(tick), y: y + 16, "text-anchor": "middle" }, text(tick)),
    ]),
    s("text", { class: "date", x: scale(scale.domain[1]), y: y + 32, "text-anchor": "end" }, title),
  );
}

function valueTicks(scale, isLog = false) {
  const [left, right] = scale.domain.map(scale);
  const n = Math.max(3, Math.floor((right - left) / 64));
  return isLog ? logTicks(...scale.domain, n) : linearTicks(...scale.domain, n);
}

// The alarm line in a chart of scores: upright, named on the side that has room.
function alarmMark(x, top, bottom, text = "alarm line " + formatNumber(threshold)) {
  const at = x(threshold);
  const [left, right] = x.domain.map(x);
  const isRight = at - left < Math.min(150, right - at);
  return s(
    "g",
    { class: "threshold" },
    s("line", { x1: at, x2: at, y1: top - 6, y2: bottom }),
    s("text", { x: at + (isRight ? 6 : -6), y: top + 4, "text-anchor": isRight ? "start" : "end" }, text),
  );
}

// Line through the points; null breaks it, a lone point becomes a dot of a line.
function linePath(xs, ys, maxGap = Infinity) {
  let path = "";
  let isOpen = false;
  let previous = 0;
  for (let i = 0; i < xs.length; i++) {
    if (ys[i] === null) {
      isOpen = false;
      continue;
    }
    const continues = isOpen && xs[i] - previous <= maxGap;
    const point = xs[i].toFixed(1) + "," + ys[i].toFixed(1);
    path += continues ? "L" + point : "M" + point + "h0.01";
    isOpen = true;
    previous = xs[i];
  }
  return path;
}

// Area between low and high over buckets [{x0, x1, low, high}] in pixels; null breaks it.
function bandPath(buckets) {
  let path = "";
  let run = [];
  const close = () => {
    if (!run.length) return;
    const there = run.map((b) => `${b.x0.toFixed(1)},${b.high.toFixed(1)}L${b.x1.toFixed(1)},${b.high.toFixed(1)}`);
    const back = run
      .reverse()
      .map((b) => `${b.x1.toFixed(1)},${b.low.toFixed(1)}L${b.x0.toFixed(1)},${b.low.toFixed(1)}`);
    path += "M" + there.join("L") + "L" + back.join("L") + "Z";
    run = [];
  };
  for (const bucket of buckets) {
    if (bucket === null) close();
    else run.push(bucket);
  }
  close();
  return path;
}

// A vertical shade, never thinner than `least` pixels.
function shade(scale, from, to, y, height, className, least = 2) {
  const [left, right] = [scale(from), scale(to)];
  const width = Math.max(least, right - left);
  const x = (left + right - width) / 2;
  return s("rect", { class: className, x: x.toFixed(1), y, width: width.toFixed(1), height });
}

function hatch(id) {
  return s(
    "pattern",
    { id, width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    s("rect", { class: "hatch", width: 1.6, height: 5 }),
  );
}

function clipRect(id, x, y, width, height) {
  return s("clipPath", { id }, s("rect", { x, y, width: Math.max(0, width), height: Math.max(0, height) }));
}

function extent(values, initial = [Infinity, -Infinity]) {
  let [low, high] = initial;
  for (const value of values) {
    if (value === null) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

// Room above and below; a constant line gets room too.
function padded([low, high], share = 0.08) {
  if (!(high >= low)) return [0, 1];
  const room = high > low ? (high - low) * share : Math.max(Math.abs(high) * 0.05, 0.5);
  return [low - room, high + room];
}

// The extent with as much of a normal range as leaves the values readable; all of it where they lie outside.
function extentBeside([low, high], normal) {
  if (!normal) return [low, high];
  if (!(high >= low)) return normal;
  const isOutside = high < normal[0] || low > normal[1];
  const room = isOutside ? Infinity : Math.max(high - low, 1e-9) / 2;
  return [Math.min(low, Math.max(normal[0], low - room)), Math.max(high, Math.min(normal[1], high + room))];
}
