// The data of the page, unpacked, and the one thing that can change: which machine and stretch is looked at.

function cumulative(differences) {
  const times = new Array(differences.length);
  let at = 0;
  for (let i = 0; i < differences.length; i++) times[i] = at += differences[i];
  return times;
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length ? sorted[sorted.length >> 1] : 0;
}

function unpackBuckets(line) {
  line.start = cumulative(line.start);
  line.end = line.start.map((start, i) => start + line.length[i]);
  const pauses = line.start.slice(1).map((start, i) => start - line.end[i]);
  line.pause = median(pauses);
  line.maxPause = 3 * line.pause + line.width / 2;
  return line;
}

const report = JSON.parse(document.getElementById("report-data").textContent);
report.timeline.forEach(unpackBuckets);
report.traces.forEach(unpackBuckets);
for (const snippet of Object.values(report.snippets)) snippet.times = snippet.times.map(cumulative);
// JSON knows no infinity; a severity that is not known at all stays null and is ranked last.
report.events.forEach((event, i) => {
  event.number = String(i + 1);
  if (event.is_beyond) event.severity = Infinity;
  event.rank = event.severity ?? -Infinity;
});
report.findings.forEach((event, i) => (event.number = "Q" + (i + 1)));

// Findings about the data are no alarms: they have no severity and count towards no budget.
const eventById = new Map([...report.events, ...report.findings].map((event) => [event.id, event]));
const nFindings = Object.values(report.n_findings).reduce((sum, n) => sum + n, 0);
const wasScored = report.n_rows > 0 || report.n_events > 0 || nFindings > 0;
const threshold = isNumber(report.threshold.threshold) ? report.threshold.threshold : null;
const hasSeverity = threshold !== null && threshold > 0;
const hasGroups = report.groups.length > 1;

// How far apart rows usually are, for the precision of times: the median pause between buckets.
const rowStep = (() => {
  const lines = report.timeline.length ? report.timeline : report.traces;
  const step = median(lines.map((line) => line.pause));
  return step > 0 ? Math.min(step, MINUTE) : MINUTE;
})();

const view = {
  group: report.groups[0] ?? "",
  range: report.span && report.span[1] > report.span[0] ? [...report.span] : null,
  event: null,
  listeners: [],
  set(changes) {
    Object.assign(this, changes);
    for (const listener of this.listeners) listener(changes);
  },
  onChange(listener) {
    this.listeners.push(listener);
  },
};

const mostSevere = [...report.events].sort((a, b) => b.rank - a.rank || a.start - b.start);
if (mostSevere.length && report.groups.includes(mostSevere[0].group)) view.group = mostSevere[0].group;

function eventsOf(group) {
  return report.events.filter((event) => event.group === group);
}

function findingsOf(group) {
  return report.findings.filter((event) => event.group === group);
}

function sensorOf(position) {
  return report.sensors[position];
}

// Severity where there is a positive threshold, else the bare score.
function toLevel(score) {
  return score === null ? null : hasSeverity ? score / threshold : score;
}

function levelName() {
  return hasSeverity ? "severity" : "score";
}

function alarmLevel() {
  return hasSeverity ? 1 : threshold;
}
