// Scales and ticks.

function linearScale(d0, d1, r0, r1) {
  const factor = (r1 - r0) / (d1 - d0 || 1);
  const scale = (x) => r0 + (x - d0) * factor;
  scale.invert = (y) => d0 + (y - r0) / factor;
  scale.domain = [d0, d1];
  return scale;
}

function logScale(d0, d1, r0, r1) {
  const low = Math.log(d0);
  const factor = (r1 - r0) / (Math.log(d1) - low || 1);
  const scale = (x) => r0 + (Math.log(Math.max(x, d0)) - low) * factor;
  scale.domain = [d0, d1];
  return scale;
}

function niceStep(span, n) {
  const raw = span / Math.max(1, n);
  const power = 10 ** Math.floor(Math.log10(raw));
  return power * [1, 2, 5, 10].find((m) => m * power >= raw * 0.999);
}

function linearTicks(d0, d1, n) {
  if (!(d1 > d0)) return [d0];
  const step = niceStep(d1 - d0, n);
  const ticks = [];
  for (let i = Math.ceil(d0 / step - 1e-9); i * step <= d1 + step * 1e-9; i++)
    ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

function logTicks(d0, d1, n) {
  const first = Math.floor(Math.log10(d0)),
    last = Math.ceil(Math.log10(d1));
  const within = (multiples) => {
    const ticks = [];
    for (let power = first; power <= last; power++)
      for (const m of multiples) {
        const tick = Number((m * 10 ** power).toPrecision(3));
        if (tick >= d0 && tick <= d1) ticks.push(tick);
      }
    return ticks;
  };
  const fine = within([1, 2, 5]);
  if (fine.length <= n + 2) return fine;
  const powers = within([1]);
  const every = Math.ceil(powers.length / (n + 2));
  return powers.filter((_, i) => i % every === 0);
}

const TIME_STEPS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500,
  ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
  ...[1, 2, 4, 7, 14].map((n) => n * DAY),
];
const MONTH_STEPS = [1, 2, 3, 6, 12, 24, 60, 120];

// [{at, label, isDate}]: clock times within a day, dates at midnight, months and years over longer spans.
function timeTicks(from, to, n) {
  const span = to - from;
  const step = TIME_STEPS.find((candidate) => span / candidate <= n);
  if (!step) {
    const months = MONTH_STEPS.find((candidate) => span / (candidate * 30.44 * DAY) <= n) || 120;
    const first = new Date(from);
    const ticks = [];
    for (let i = 0; i < 400; i++) {
      const month = Math.ceil((first.getUTCFullYear() * 12 + first.getUTCMonth()) / months) * months + i * months;
      const at = Date.UTC(Math.floor(month / 12), month % 12, 1);
      if (at > to) break;
      if (at >= from) ticks.push({ at, label: MONTHS[month % 12] + " " + Math.floor(month / 12), isDate: true });
    }
    return ticks;
  }
  const ticks = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
    const isDate = at % DAY === 0;
    ticks.push({
      at,
      isDate,
      label: isDate ? new Date(at).getUTCDate() + " " + MONTHS[new Date(at).getUTCMonth()] : formatClock(at, step),
    });
  }
  return ticks;
}
