// What other alarm lines would have done on normal data: alarm events a day against the threshold, to be read off.

const WHAT_IF_STEPS = 1000;

// "0.8 alarms a day (0.4-1.3), 9 of 10 faults found" at point i of the curve.
function whatIfText(curve, i) {
  const rate = curve.events_per_day[i];
  const [low, high] = [curve.low?.[i] ?? null, curve.high?.[i] ?? null];
  const [days, unit] = rateUnit(rate || high || 0);
  const number = (perDay) => formatNumber(perDay * days, 2);
  const range = low === null || high === null ? "" : number(low) + DASH + number(high);
  const per = " a " + unit + (hasGroups ? " per machine" : "");
  const found = foundText(curve, i);
  if (rate === null) return "not counted" + found;
  if (rate === 0) return "no alarm seen" + (range && ` (${range}${per})`) + found;
  return number(rate) + (number(rate) === "1" ? " alarm" : " alarms") + per + (range && ` (${range})`) + found;
}

function foundText(curve, i) {
  const share = curve.found?.[i] ?? null;
  if (share === null) return "";
  if (isNumber(curve.n_faults)) {
    const n = Math.round(share * curve.n_faults);
    return ", " + formatCount(n) + " of " + plural(curve.n_faults, "fault") + " found";
  }
  return ", " + formatPercent(share) + " of the labelled faults found";
}

function nearestIndex(values, wanted) {
  let best = 0;
  values.forEach((value, i) => {
    if (Math.abs(value - wanted) < Math.abs(values[best] - wanted)) best = i;
  });
  return best;
}

function whatIfFigure() {
  const { curve } = report.calibration;
  if (!curve) return null;
  const lines = curve.threshold;
  const last = lines[lines.length - 1];
  const isLog = lines[0] > 0 && last / lines[0] > 6;
  const across = (isLog ? logScale : linearScale)(lines[0], last, 0, WHAT_IF_STEPS);
  const places = lines.map(across);
  const isInside = threshold !== null && threshold >= lines[0] && threshold <= last;
  const home = isInside ? nearestIndex(lines, threshold) : lines.length >> 1;
  const state = { index: home, isHome: isInside, draw: () => {} };
  const reading = h("output", { class: "reading", for: "what-if-line" });
  const slider = h("input", { type: "range", id: "what-if-line", min: 0, max: WHAT_IF_STEPS });
  const show = (index, isFromSlider) => {
    state.index = index;
    state.isHome = isInside && index === home;
    const text = whatIfText(curve, index);
    const value = formatNumber(state.isHome ? threshold : lines[index]);
    reading.replaceChildren(h("b", null, "At " + value), state.isHome ? ", the alarm line: " : ": ", text + ".");
    slider.setAttribute("aria-valuetext", "threshold " + value + ": " + text);
    if (!isFromSlider) slider.value = String(places[index]);
    state.draw();
  };
  slider.addEventListener("input", () => show(nearestIndex(places, Number(slider.value)), true));
  slider.addEventListener("keydown", (key) => {
    // An arrow leads to the next point of the curve, however far that is.
    const step = lookUp({ ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }, key.key, 0);
    if (!step) return;
    key.preventDefault();
    show(Math.max(0, Math.min(lines.length - 1, state.index + step)));
  });
  const { box } = responsive("what-if-box", (width) => drawWhatIf(width, curve, isLog, state, show, slider));
  show(home);
  return h(
    "figure",
    { id: "what-if" },
    h("h3", null, "What if the line were elsewhere?"),
    reading,
    box,
    h("label", { class: "unseen", for: "what-if-line" }, "Threshold to read off"),
    slider,
    h(
      "figcaption",
      null,
      "Alarm events on the normal data against the threshold" +
        (curve.low ? ", with the interval in which the true rate lies" : "") +
        (curve.found ? "; below, the share of labelled faults found" : "") +
        ". Move over the chart or use the slider.",
    ),
  );
}

function drawWhatIf(width, curve, isLog, state, show, slider) {
  const lines = curve.threshold;
  const margin = { left: 56, right: 14, top: 26 };
  const right = width - margin.right;
  const bottom = margin.top + (width < 560 ? 170 : 210);
  const x = (isLog ? logScale : linearScale)(lines[0], lines[lines.length - 1], margin.left, right);
  const xs = lines.map(x);
  const y = rateScale(curve, bottom, margin.top);
  const [foundTop, foundBottom] = [bottom + 24, bottom + 84];
  const yFound = linearScale(0, 1, foundBottom, foundTop);
  const axisY = curve.found ? foundBottom : bottom;
  const toRate = (rate) => (rate === null || rate <= 0 ? null : y(rate));
  const svg = chart(
    width,
    axisY + 40,
    whatIfSummary(curve),
    yAxis(y, logTicks(...y.domain, 5), margin.left, right),
    s(
      "text",
      { class: "lane", x: margin.left, y: margin.top - 12 },
      "alarm events a day" + (hasGroups ? " per machine" : ""),
    ),
    curve.low && curve.high && s("path", { class: "rate-band", d: rateBand(curve, xs, y) }),
    s("path", { class: "trace", d: linePath(xs, curve.events_per_day.map(toRate)) }),
    isNumber(report.budget) && budgetMark(y, margin.left, right),
    curve.found && [
      yAxis(yFound, [0, 0.5, 1], margin.left, right, formatPercent),
      s("path", {
        class: "trace found",
        d: linePath(
          xs,
          curve.found.map((share) => (share === null ? null : yFound(share))),
        ),
      }),
      s("text", { class: "lane", x: margin.left, y: foundTop - 8 }, "labelled faults found"),
    ],
    isWithin(threshold, x.domain) && alarmMark(x, margin.top, axisY),
    xAxis(x, axisY, "threshold", valueTicks(x, isLog)),
  );
  const pointer = s("g", { class: "pointer" });
  svg.append(pointer);
  svg.classList.add("readable");
  state.draw = () => {
    const at = state.isHome ? x(threshold) : xs[state.index];
    const rate = toRate(curve.events_per_day[state.index]);
    const share = curve.found?.[state.index] ?? null;
    const dot = (value) => value !== null && s("circle", { cx: at, cy: value, r: 4 });
    pointer.replaceChildren(
      ...[
        s("line", { x1: at, x2: at, y1: margin.top, y2: axisY }),
        dot(rate),
        dot(share === null ? null : yFound(share)),
      ].filter(Boolean),
    );
  };
  state.draw();
  const follow = (pointed) => {
    const drawn = svg.getBoundingClientRect();
    show(nearestIndex(xs, ((pointed.clientX - drawn.left) / drawn.width) * width));
  };
  svg.addEventListener("pointermove", follow);
  svg.addEventListener("pointerdown", follow);
  // The slider's knob stands below the pointer: its middle runs over the plot and no further.
  slider.style.setProperty("margin-left", margin.left - 8 + "px");
  slider.style.setProperty("width", right - margin.left + 16 + "px");
  return svg;
}

function isWithin(value, [low, high]) {
  return value !== null && value >= low && value <= high;
}

// No alarm at all has no place on a logarithmic axis: the curve ends there, its interval goes on.
function rateScale(curve, bottom, top) {
  const positive = [...curve.events_per_day, ...(curve.high || []), report.budget].filter((rate) => rate > 0);
  const [least, most] = extent(positive.length ? positive : [1]);
  return logScale(least * 0.6, most * 1.6, bottom, top);
}

function rateBand(curve, xs, y) {
  const corners = [];
  xs.forEach((at, i) => {
    const [low, high] = [curve.low[i], curve.high[i]];
    corners.push(high === null ? null : { x0: at, x1: at, low: y(Math.max(low ?? 0, y.domain[0])), high: y(high) });
  });
  return bandPath(corners);
}

function budgetMark(y, left, right) {
  const at = y(report.budget);
  const [days, unit] = rateUnit(report.budget);
  const text = "budget " + formatNumber(report.budget * days, 2) + " a " + unit;
  return s(
    "g",
    { class: "budget" },
    s("line", { x1: left, x2: right, y1: at, y2: at }),
    s("text", { x: right - 4, y: at - 5, "text-anchor": "end" }, text),
  );
}

function whatIfSummary(curve) {
  const last = curve.threshold.length - 1;
  const at = (i) => "at " + formatNumber(curve.threshold[i]) + ": " + whatIfText(curve, i);
  return "Alarm events on normal data against the threshold; " + at(0) + "; " + at(last);
}
