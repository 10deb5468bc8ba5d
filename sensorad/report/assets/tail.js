// How rare a score is on normal operation: return period against score, the fitted curve and the events behind it.

const RETURN_TICKS = [1 / 1440, 1 / 24, 1, 7, 30.44, 365.25, 3652.5, 36525, 365250];

function tailFigure() {
  const { tail } = report.calibration;
  if (!tail) return null;
  const pairs = [];
  if (isNumber(tail.shape)) pairs.push(["Shape", formatNumber(tail.shape) + rangeText(tail.shape_interval)]);
  if (isNumber(tail.scale)) pairs.push(["Scale", formatNumber(tail.scale)]);
  if (isNumber(tail.calibration_days)) pairs.push(["Fitted on", formatDays(tail.calibration_days)]);
  const word = tailWord(tail);
  if (word) pairs.push(["Tail", word]);
  return figure(
    "Dots: how often the normal data went so high. Line: the fitted curve, dashed where it reaches beyond the length of the data and is extrapolated.",
    h("h3", null, "How rare is a score?"),
    responsive("tail-box", drawTail).box,
    pairs.length > 0 && factList(pairs),
  );
}

function rangeText(interval) {
  if (!Array.isArray(interval) || !interval.every(isNumber)) return "";
  return ` (${formatNumber(interval[0])} to ${formatNumber(interval[1])})`;
}

// The sign of the shape says whether scores have an end.
function tailWord(tail) {
  const [low, high] = Array.isArray(tail.shape_interval) ? tail.shape_interval : [null, null];
  if (!isNumber(low) || !isNumber(high)) return null;
  if (low > 0) return "heavy: very high scores are to be expected";
  if (high < 0) return "bounded: scores have a highest value";
  return "as exponential, within its uncertainty";
}

function drawTail(width) {
  const { tail } = report.calibration;
  const margin = { left: 72, right: 14, top: 22 };
  const right = width - margin.right;
  const bottom = margin.top + 200;
  const fitted = tail.score
    .map((score, i) => ({ score, days: tail.return_days[i] }))
    .filter(({ score, days }) => score !== null && days > 0 && days < report.return_cap);
  const observed = tail.points.filter(([score, days]) => score !== null && days > 0);
  const scores = [...fitted.map((point) => point.score), ...observed.map(([score]) => score)];
  const periods = [...fitted.map((point) => point.days), ...observed.map(([, days]) => days)];
  if (!scores.length) return h("p", { class: "aside" }, "The fitted curve has no point that could be drawn.");
  const [low, high] = extent(threshold === null ? scores : [...scores, threshold]);
  const isLog = low > 0 && high / low > 30;
  const x = (isLog ? logScale : linearScale)(low, high > low ? high : low + 1, margin.left, right);
  const [shortest, longest] = extent(periods);
  const y = logScale(shortest * 0.8, Math.max(longest, shortest * 2) * 1.3, bottom, margin.top);
  const length = tail.calibration_days;
  const isSolid = ({ days }) => !isNumber(length) || days <= length;
  const path = (points) =>
    linePath(
      points.map((point) => x(point.score)),
      points.map((point) => y(point.days)),
    );
  // The dashed part begins where the solid one ends.
  const nSolid = fitted.filter(isSolid).length;
  const ticks = RETURN_TICKS.filter((days) => isWithin(days, y.domain));
  return chart(
    width,
    bottom + 40,
    tailSummary(tail, observed),
    yAxis(y, ticks, margin.left, right, (days) => formatPeriod(days)),
    s("text", { class: "lane", x: margin.left, y: margin.top - 10 }, "once in"),
    isNumber(length) &&
      isWithin(length, y.domain) &&
      s(
        "g",
        { class: "budget" },
        s("line", { x1: margin.left, x2: right, y1: y(length), y2: y(length) }),
        s("text", { x: right - 4, y: y(length) + 14, "text-anchor": "end" }, "length of the normal data"),
      ),
    s("path", { class: "trace", d: path(fitted.slice(0, nSolid)) }),
    s("path", { class: "trace dashed", d: path(fitted.slice(Math.max(0, nSolid - 1))) }),
    observed.map(([score, days]) =>
      s("circle", { class: "dot", cx: x(score).toFixed(1), cy: y(days).toFixed(1), r: 3 }),
    ),
    isWithin(threshold, x.domain) && alarmMark(x, margin.top, bottom),
    xAxis(x, bottom, "score", valueTicks(x, isLog)),
  );
}

function tailSummary(tail, observed) {
  const start = "Return period against score, " + plural(observed.length, "observed event height");
  if (threshold === null) return start;
  const above = tail.score.findIndex((score, i) => score >= threshold && isNumber(tail.return_days[i]));
  return above < 0
    ? start
    : start + "; the alarm line is reached " + formatReturn(tail.return_days[above], report.return_cap);
}
