// Puts the page together and follows the address: "#event=ID" opens an event, other names scroll to a section.

function navigation(sections) {
  const names = {
    overview: "Overview",
    timeline: "Timeline",
    events: "Events",
    sensors: "Sensors",
    quality: "Data quality",
    threshold: "Alarm line",
    detectability: "Detectability",
    model: "Model",
  };
  return h(
    "nav",
    { "aria-label": "Sections" },
    h(
      "ul",
      null,
      sections.map((part) => h("li", null, h("a", { href: "#" + part.id }, names[part.id]))),
    ),
  );
}

function openFromAddress() {
  const match = /^#event=(.*)$/.exec(location.hash);
  if (!match) return;
  let id;
  try {
    id = decodeURIComponent(match[1]);
  } catch {
    return;
  }
  const event = eventById.get(id);
  if (!event) return;
  view.set(report.groups.includes(event.group) ? { event: id, group: event.group } : { event: id });
  const row = document.getElementById("row-" + event.number);
  row.scrollIntoView({ block: "start" });
  row.querySelector("button").focus({ preventScroll: true });
}

function start() {
  const main = document.getElementById("main");
  const sections = [
    overviewSection(),
    timelineSection(),
    eventsSection(),
    sensorsSection(),
    qualitySection(),
    thresholdSection(),
    detectabilitySection(),
    modelSection(),
  ].filter(Boolean);
  document.getElementById("top").append(...[staleBanner(), pageHeader(), navigation(sections)].filter(Boolean));
  main.append(
    ...sections,
    h(
      "footer",
      null,
      h("p", null, "All times are UTC. This page holds everything it shows and loads nothing from a network."),
    ),
  );
  addEventListener("hashchange", openFromAddress);
  document.documentElement.dataset.ready = "yes";
  requestAnimationFrame(openFromAddress);
}

start();
