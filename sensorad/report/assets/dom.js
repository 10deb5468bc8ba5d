// Elements. Text only ever enters as text nodes and attributes: nothing in a name is parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(key.slice(2), value);
    else if (key === "width%") node.style.setProperty("width", 100 * value + "%");
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
}

function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function s(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

const MAX_NAME = 80;

function shortened(text, length = MAX_NAME) {
  return text.length > length ? text.slice(0, length - 1) + "\u2026" : text;
}

// Names come from outside: they may be endless, and written right to left.
function nameOf(text) {
  return h("bdi", { class: "name", title: text.length > MAX_NAME ? text.slice(0, 1000) : null }, shortened(text));
}

function section(id, title, lead, ...children) {
  return h(
    "section",
    { id, "aria-labelledby": id + "-title" },
    h("h2", { id: id + "-title" }, title),
    lead && h("p", { class: "lead" }, lead),
    ...children,
  );
}

// A table that scrolls sideways on its own, and can be scrolled with the keyboard.
function scrolled(table, label) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, table);
}

function simpleTable(caption, head, rows) {
  return scrolled(
    h(
      "table",
      { class: "plain" },
      h("caption", { class: "unseen" }, caption),
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          head.map((cell) => h("th", { scope: "col", class: cell.class || null }, cell.text || cell)),
        ),
      ),
      h(
        "tbody",
        null,
        rows.map((row) =>
          h(
            "tr",
            null,
            row.map((cell, i) =>
              i ? h("td", { class: head[i].class || null }, cell) : h("th", { scope: "row" }, cell),
            ),
          ),
        ),
      ),
    ),
    caption,
  );
}

function figure(caption, ...children) {
  return h("figure", null, ...children, caption && h("figcaption", null, caption));
}

function factList(pairs) {
  return h(
    "dl",
    { class: "facts" },
    pairs.map(([label, value]) => h("div", null, h("dt", null, label), h("dd", null, value))),
  );
}

// Drawn as soon as it is part of the page and again whenever the width changes; the height follows from the drawing.
function responsive(className, draw) {
  const box = h("div", { class: className });
  let drawn = 0;
  const redraw = () => {
    const width = Math.floor(box.clientWidth);
    if (width < 40) return;
    drawn = width;
    box.replaceChildren(...[draw(width)].flat());
  };
  new ResizeObserver(() => {
    if (Math.floor(box.clientWidth) !== drawn) requestAnimationFrame(redraw);
  }).observe(box);
  queueMicrotask(redraw);
  return { box, redraw };
}

function shareBar(share, isAlarm) {
  return h(
    "span",
    { class: "bar" + (isAlarm ? " alarm" : ""), "aria-hidden": "true" },
    h("span", { "width%": Math.max(0, Math.min(1, share || 0)) }),
  );
}

function severityMark(severity, ...more) {
  if (severity === null) return h("span", { class: "severity aside" }, "not rated");
  const level = severityLevel(severity);
  return h(
    "span",
    { class: "severity" },
    h("b", null, formatSeverity(severity)),
    h(
      "span",
      { class: "steps", "aria-hidden": "true" },
      [1, 2, 3, 4].map((step) => h("i", { class: step <= level.steps ? "on" : null })),
    ),
    h("span", { class: "word" }, level.word),
    ...more,
  );
}

// One fact, or several where the value is itself a set of facts; long lists are counted, not shown.
function anyFact(key, value) {
  const { label, text } = describeFact(key, value);
  if (text !== null) return [[label, text]];
  if (Array.isArray(value)) {
    const parts = value.map((item) =>
      item !== null && typeof item === "object" ? JSON.stringify(item) : describeFact(key, item).text,
    );
    return [[label, parts.length > 12 ? plural(parts.length, "value") : parts.join(", ") || "none"]];
  }
  return Object.entries(value).flatMap(([inner, item]) =>
    anyFact(inner, item).map(([innerLabel, shown]) => [
      label + ": " + innerLabel.charAt(0).toLowerCase() + innerLabel.slice(1),
      shown,
    ]),
  );
}

function factGroup(title, facts) {
  const pairs = Object.entries(facts || {}).flatMap(([key, value]) => anyFact(key, value));
  return pairs.length > 0 && h("div", null, h("h3", null, title), factList(pairs));
}
