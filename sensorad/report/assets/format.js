// Numbers, times and words as people read them: three significant digits, UTC, durations in words.

const DASH = "\u2013";
const SECOND = 1000,
  MINUTE = 60 * SECOND,
  HOUR = 60 * MINUTE,
  DAY = 24 * HOUR;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

// Keys come from outside: a unit called "constructor" must not find what every object has.
function lookUp(table, key, otherwise) {
  return Object.hasOwn(table, key) ? table[key] : otherwise;
}

function isNumber(x) {
  return typeof x === "number" && Number.isFinite(x);
}

function grouped(text) {
  const [whole, rest] = text.split(".");
  const spaced = whole.replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  return (rest === undefined ? spaced : spaced + "." + rest).replace("-", "\u2212");
}

function formatCount(n) {
  return isNumber(n) ? grouped(String(Math.round(n))) : DASH;
}

function formatNumber(x, digits = 3) {
  if (!isNumber(x)) return DASH;
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (size >= 1e7 || size < 1e-4) {
    const [mantissa, power] = x.toExponential(digits - 1).split("e");
    const raised = [...String(Number(power))].map((c) =>
      c === "-" ? "\u207b" : "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"[c],
    );
    return Number(mantissa).toString().replace("-", "\u2212") + " \u00d7 10" + raised.join("");
  }
  if (size >= 10 ** digits) return grouped(String(Math.round(x)));
  return grouped(String(Number(x.toPrecision(digits))));
}

// Two values with as many decimals as it takes to tell them apart.
function formatPair(a, b) {
  if (!isNumber(a) || !isNumber(b) || a === b) return [formatNumber(a), formatNumber(b)];
  const size = Math.max(Math.abs(a), Math.abs(b));
  if (size >= 1e7 || size < 1e-4) return [formatNumber(a), formatNumber(b)];
  const forDifference = 1 - Math.floor(Math.log10(Math.abs(a - b)));
  const forSize = 2 - Math.floor(Math.log10(size));
  const decimals = Math.min(8, Math.max(0, Math.min(forDifference, forSize + 3), forSize));
  return [grouped(a.toFixed(decimals)), grouped(b.toFixed(decimals))];
}

function formatPercent(share) {
  if (!isNumber(share)) return DASH;
  const percent = share * 100;
  if (percent > 0 && percent < 0.01) return "< 0.01\u00a0%";
  if (percent < 100 && percent > 99.9) return (Math.floor(percent * 100) / 100).toString() + "\u00a0%";
  return Number(percent.toPrecision(percent < 10 ? 2 : 3)) + "\u00a0%";
}

function plural(n, one, many) {
  return formatCount(n) + " " + (n === 1 ? one : many || one + "s");
}

const UNITS_OF_TIME = [
  ["day", DAY],
  ["hour", HOUR],
  ["minute", MINUTE],
  ["second", SECOND],
];

// The two largest units: "2 hours 10 minutes"; short: "2 h 10 min".
function formatDuration(ms, isShort = false) {
  if (!isNumber(ms)) return DASH;
  if (ms < SECOND) return formatNumber(ms) + (isShort ? " ms" : ms === 1 ? " millisecond" : " milliseconds");
  const first = UNITS_OF_TIME.findIndex(([, size]) => ms >= size);
  const smallest = Math.min(first + 1, UNITS_OF_TIME.length - 1);
  let rest = Math.round(ms / UNITS_OF_TIME[smallest][1]) * UNITS_OF_TIME[smallest][1];
  const words = [];
  for (const [name, size] of UNITS_OF_TIME.slice(0, smallest + 1)) {
    const n = Math.floor(rest / size);
    rest -= n * size;
    if (!n) continue;
    const short = { day: n === 1 ? " day" : " days", hour: " h", minute: " min", second: " s" }[name];
    words.push(isShort ? n + short : plural(n, name));
  }
  return words.slice(0, 2).join(" ");
}

// "first" or "+3 min" after it.
function formatOffset(ms) {
  if (ms === 0) return "first";
  return "+" + formatDuration(ms, true).replace(/(\d) /g, "$1\u00a0");
}

const PERIODS = [
  ["year", 365.25],
  ["month", 30.44],
  ["week", 7],
  ["day", 1],
  ["hour", 1 / 24],
  ["minute", 1 / 1440],
];

// "3.2 months": the largest unit that is not mostly filled by a fraction.
function formatPeriod(days) {
  const rounded = (n) => Number(n.toPrecision(2));
  const fits = ([, size]) => days / size >= 1.5 || rounded(days / size) === 1;
  const [unit, size] = PERIODS.find(fits) || PERIODS[PERIODS.length - 1];
  const n = rounded(days / size);
  return formatNumber(n) + " " + unit + (n === 1 ? "" : "s");
}

// How often normal operation goes so far; beyond the cap nobody can tell how rare it is.
function formatReturn(days, cap) {
  if (!isNumber(days)) return "";
  if (days >= cap) return "once in more than " + formatPeriod(cap);
  const text = formatPeriod(days);
  return text.startsWith("1 ") ? "once " + (text === "1 hour" ? "an" : "a") + text.slice(1) : "once in " + text;
}

// The unit of time in which a rate is easiest to picture: [days, name].
function rateUnit(perDay) {
  if (perDay >= 0.5) return [1, "day"];
  if (perDay * 7 >= 0.5) return [7, "week"];
  return perDay * 30.44 >= 0.5 ? [30.44, "month"] : [365.25, "year"];
}

// "4.5 a week"
function shortRate(perDay) {
  if (perDay === 0) return "none";
  const [days, unit] = rateUnit(perDay);
  return formatNumber(perDay * days, 2) + " a " + unit;
}

function pad(n, length = 2) {
  return String(n).padStart(length, "0");
}

function formatDate(ms) {
  const date = new Date(ms);
  return date.getUTCDate() + " " + MONTHS[date.getUTCMonth()] + " " + date.getUTCFullYear();
}

function formatClock(ms, step = MINUTE) {
  const date = new Date(ms);
  let text = pad(date.getUTCHours()) + ":" + pad(date.getUTCMinutes());
  if (step < MINUTE) text += ":" + pad(date.getUTCSeconds());
  if (step < SECOND) text += "." + pad(date.getUTCMilliseconds(), 3);
  return text;
}

// As precise as the rows are far apart.
function formatTime(ms, step = MINUTE) {
  return formatDate(ms) + ", " + formatClock(ms, step);
}

function formatSpan(from, to, step = MINUTE) {
  if (from === to) return formatTime(from, step);
  const isSameDay = formatDate(from) === formatDate(to);
  return formatTime(from, step) + " " + DASH + " " + (isSameDay ? formatClock(to, step) : formatTime(to, step));
}

const KNOWN_UNITS = { degC: "\u00b0C", degF: "\u00b0F", deg: "\u00b0", percent: "%", "uS/cm": "\u00b5S/cm" };

function formatUnit(unit) {
  if (!unit) return "";
  const raised = unit.replace(/\bm([23])\b/g, (_, power) => "m" + (power === "2" ? "\u00b2" : "\u00b3"));
  return lookUp(KNOWN_UNITS, unit, raised);
}

function withUnit(text, unit) {
  const symbol = formatUnit(unit);
  return symbol && text !== DASH ? text + "\u00a0" + symbol : text;
}

const LEVELS = [
  [8, "extreme"],
  [4, "strong"],
  [2, "clear"],
  [0, "slight"],
];

// Severity in words and as 1 to 4 steps, judged on the number as shown; infinite is a value beyond all numbers.
function severityLevel(severity) {
  const shown = Math.round(severity * 100) / 100;
  const i = LEVELS.findIndex(([from]) => shown >= from);
  return { steps: 4 - (i < 0 ? 3 : i), word: (LEVELS[i] || LEVELS[3])[1] };
}

function severityNumber(severity) {
  return severity >= 0 && severity < 10 ? severity.toFixed(2) : formatNumber(severity);
}

function formatSeverity(severity) {
  return severity === Infinity ? "beyond scale" : severityNumber(severity) + "\u00d7";
}

const KINDS = { interval: "Interval", point: "Point" };

// "wall_seconds" becomes "Wall time" with the value in words; other keys lose their underscores.
function describeFact(key, value) {
  let label = key.replace(/_/g, " ");
  let text = null;
  if (isNumber(value) && /_bytes$/.test(key)) {
    label = label.replace(/ bytes$/, "");
    text =
      value < 1e6
        ? formatNumber(value / 1e3) + " kB"
        : value < 1e9
          ? formatNumber(value / 1e6) + " MB"
          : formatNumber(value / 1e9) + " GB";
  } else if (isNumber(value) && /(_|^)seconds$/.test(key)) {
    label = label.replace(/ ?seconds$/, "") || "time";
    label = lookUp({ wall: "run time", row: "time between rows" }, label, label);
    text = value < 60 ? formatNumber(value) + " s" : formatDuration(value * SECOND);
  } else if (isNumber(value)) text = Number.isInteger(value) ? formatCount(value) : formatNumber(value);
  else if (typeof value === "boolean") text = value ? "yes" : "no";
  else if (value === null || value === "") text = "not recorded";
  else if (typeof value === "string") text = value;
  return { label: label.charAt(0).toUpperCase() + label.slice(1), text };
}
