// One event close up: the severity and the values of the blamed sensors around it.

function closeUps(event) {
  const snippet = lookUp(report.snippets, event.id, null);
  const drawn = snippet
    ? snippet.lines.map(([sensor, times, actual, expected]) => ({ sensor, xs: snippet.times[times], actual, expected }))
    : [];
  if (drawn.length)
    return { score: snippet.score && { xs: snippet.times[snippet.score[0]], values: snippet.score[1] }, drawn };
  return {
    score: snippet && snippet.score && { xs: snippet.times[snippet.score[0]], values: snippet.score[1] },
    drawn: coarseCloseUps(event),
  };
}

// Without a second pass over the log there are only the coarse traces of the whole log.
function coarseCloseUps(event) {
  const trace = report.traces.find((candidate) => candidate.group === event.group);
  if (!trace) return [];
  const margin = Math.max(event.end - event.start, 12 * trace.width);
  const inside = [];
  trace.start.forEach((start, i) => {
    if (trace.end[i] >= event.start - margin && start <= event.end + margin) inside.push(i);
  });
  return event.sensors
    .map(([sensor]) => {
      const line = trace.lines.find((candidate) => candidate.sensor === sensor);
      return (
        line && {
          sensor,
          isCoarse: true,
          xs: inside.flatMap((i) => [trace.start[i], trace.end[i]]),
          actual: inside.flatMap((i) => [line.low[i], line.high[i]]),
          expected: null,
        }
      );
    })
    .filter(Boolean);
}

function drawCloseUp(width, event, domain, xs, values, expected, options) {
  const margin = { left: 50, right: 8, top: 8 };
  const plotHeight = options.height;
  const bottom = margin.top + plotHeight;
  const right = width - margin.right;
  const x = linearScale(domain[0], domain[1], margin.left, right);
  const y = linearScale(...options.range, bottom, margin.top);
  const pixels = xs.map(x);
  const toPixels = (value) => (value === null ? null : y(value));
  // Expected values are known for the rows that blame the sensor: short pauses between them are bridged.
  const known = expected ? xs.map((_, i) => i).filter((i) => expected[i] !== null) : [];
  const knownXs = known.map((i) => pixels[i]);
  const knownYs = known.map((i) => y(expected[i]));
  const clip = uniqueId("clip");
  const isQuality = event.kind === "quality";
  const pattern = uniqueId("hatch");
  const marked = shade(
    x,
    event.start,
    event.end,
    margin.top,
    plotHeight,
    isQuality ? "finding-shade" : "event-shade",
    3,
  );
  if (isQuality) marked.setAttribute("fill", `url(#${pattern})`);
  // Rows further apart than five times the usual pause are not joined.
  const usual = median(
    xs
      .slice(1)
      .map((t, i) => t - xs[i])
      .filter((pause) => pause > 0),
  );
  const maxGap = x(domain[0] + 5 * usual) - x(domain[0]);
  const halfHeight = options.band && y(0) - y(options.band);
  return chart(
    width,
    bottom + (options.hasAxis ? 36 : 8),
    options.label,
    s("defs", null, clipRect(clip, margin.left, 0, right - margin.left, bottom + 2), isQuality && hatch(pattern)),
    yAxis(y, linearTicks(...options.range, 3), margin.left, right),
    s(
      "g",
      { "clip-path": `url(#${clip})` },
      marked,
      options.line !== undefined &&
        s("line", { class: "threshold-line", x1: margin.left, x2: right, y1: y(options.line), y2: y(options.line) }),
      options.normal && s("rect", { class: "normal-range", ...rangeBox(options.normal, y, margin.left, right) }),
      options.band && s("path", { class: "expected-band", d: bandAround(knownXs, knownYs, halfHeight, maxGap) }),
      expected && s("path", { class: "expected", d: linePath(knownXs, knownYs, maxGap) }),
      s("path", { class: options.className, d: linePath(pixels, values.map(toPixels), maxGap) }),
    ),
    isNumber(options.onset) && onsetMark(x(options.onset), margin.top),
    xTimeAxis(x, bottom, right - margin.left, !options.hasAxis),
  );
}

// Where values are to be expected: `half` pixels to either side of the line, broken where that is.
function bandAround(xs, ys, half, maxGap) {
  const corners = xs.flatMap((x, i) => {
    const corner = { x0: x, x1: x, low: ys[i] + half, high: ys[i] - half };
    return i && x - xs[i - 1] > maxGap ? [null, corner] : [corner];
  });
  return bandPath(corners);
}

function rangeBox([low, high], y, left, right) {
  return { x: left, width: right - left, y: y(high), height: Math.max(1, y(low) - y(high)) };
}

function onsetMark(at, top) {
  return s("path", { class: "onset", d: `M${at - 4.5},${top - 7}h9l-4.5,8z` });
}

function closeUpFigures(event) {
  const { score, drawn } = closeUps(event);
  const all = [...drawn.map((line) => line.xs), ...(score ? [score.xs] : [])].filter((xs) => xs.length);
  if (!all.length) return h("p", { class: "aside" }, "No sensor values were stored with these scores.");
  const domain = [Math.min(...all.map((xs) => xs[0])), Math.max(...all.map((xs) => xs[xs.length - 1]))];
  if (domain[0] === domain[1]) domain[1] += 1;
  const onsets = onsetTexts(event);
  const figures = [];
  if (score && score.values.some((value) => value !== null)) {
    const levels = score.values.map(toLevel);
    const line = alarmLevel() === null ? undefined : alarmLevel();
    const range = [
      Math.min(0, extent(levels)[0]),
      Math.max(extent(levels)[1], line === undefined ? 0 : line * 1.2) * 1.06 || 1,
    ];
    figures.push([
      [h("b", null, hasSeverity ? "Severity" : "Score"), null],
      (width, hasAxis) =>
        drawCloseUp(width, event, domain, score.xs, levels, null, {
          height: 70,
          range,
          line,
          hasAxis,
          className: "trace score",
          label: "Severity around the event",
        }),
    ]);
  }
  for (const { sensor, xs, actual, expected, isCoarse } of drawn) {
    const { name, unit } = sensorOf(sensor);
    const rank = event.sensors.findIndex((blamed) => blamed[0] === sensor);
    const share = event.sensors[rank]?.[1];
    if (rank >= 3 && share < 0.02) continue;
    const { band: half, normal } = sensorOf(sensor);
    const band = expected && isNumber(half) ? half : null;
    const around = band === null ? expected || [] : expected.flatMap((e) => (e === null ? [] : [e - band, e + band]));
    const range = expected ? padded(extent([...actual, ...around])) : padded(extentBeside(extent(actual), normal));
    const isOnly = event.kind === "quality" || !isNumber(share);
    const side = [
      isOnly ? null : formatPercent(share) + " of the blame",
      onsets[rank] && onsets[rank] !== "together" ? onsets[rank] : null,
      isCoarse ? "coarse view" : null,
    ]
      .filter(Boolean)
      .join(" \u00b7 ");
    figures.push([
      [h("b", null, nameOf(name), unit ? ", " + formatUnit(unit) : ""), h("span", null, side)],
      (width, hasAxis) =>
        drawCloseUp(width, event, domain, xs, actual, expected, {
          height: 92,
          range,
          hasAxis,
          className: "trace",
          band,
          normal: expected ? null : normal,
          onset: onsets[rank] ? event.start + event.sensors[rank][4] : null,
          label: "Values of " + name + " around the event",
        }),
    ]);
  }
  return [
    h("p", { class: "aside" }, closeUpKey(event, drawn)),
    ...figures.map(([caption, draw], i) =>
      h(
        "figure",
        { class: "closeup" },
        h("figcaption", null, caption),
        responsive("closeup-box", (width) => draw(width, i === figures.length - 1)).box,
      ),
    ),
  ];
}

function closeUpKey(event, drawn) {
  const hasExpected = drawn.some((line) => line.expected);
  const hasBand = drawn.some((line) => line.expected && isNumber(sensorOf(line.sensor).band));
  const hasNormal = drawn.some((line) => !line.expected && sensorOf(line.sensor).normal);
  return [
    "Solid: measured.",
    hasExpected && "Dashed: expected.",
    hasBand && "Grey band: 99 % of normal values lie so close to the expected one.",
    hasNormal && "Grey band: the range of normal values.",
    onsetTexts(event).some((text) => text && text !== "together") && "Triangle: onset.",
    event.kind === "quality" ? "Hatched: the finding." : "Shaded: the event.",
  ]
    .filter(Boolean)
    .join(" ");
}
