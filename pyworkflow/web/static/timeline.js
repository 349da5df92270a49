// The timeline: one time axis, a row for each activity, timer, signal and child. Only the rows in view are drawn, and what is too dense
// for its pixels is drawn as shares, so that a history of 10,000 events is as quick as one of ten.

const SVG = "http://www.w3.org/2000/svg";
const ROW = 24;
const TOP = 26;
const BAR = 12;
const FEW = 300; // Up to this many spans, each has a row of its own; more are grouped by name and unfolded by a click.
const SHADES = 5;

const box = document.getElementById("timeline");
const told = document.getElementById("timeline-told");
const tools = document.getElementById("timeline-tools");
const withDecisions = document.getElementById("timeline-decisions");

let data = null; // What the server sent, with spans as objects.
let loaded = 0;
let rows = [];
let open = new Set();
let view = null; // From and to, in milliseconds; null shows everything.
let picked = null;
let spacer = null;

function make(name, attributes, parent, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent?.append(element);
  return element;
}

// -- data ----------------------------------------------------------------------------------------------------------------

async function fetchData() {
  const answer = await fetch(box.dataset.src, { credentials: "same-origin" });
  if (!answer.ok) return;
  const got = await answer.json();
  got.spans = got.spans.map(([kind, name, id, state, begin, end, seq, attempts]) => ({
    kind, name, id, state, begin, end, seq,
    attempts: attempts.map(([from, to, how, identity]) => ({ begin: from, end: to, state: how, identity })),
  }));
  // The last decision, if it asked for nothing, has no end in the history.
  got.busy = got.open && got.spans.some((span) => span.end === null && span.kind !== "decision");
  data = got;
  loaded = performance.now();
  layOut();
}

// What is under way goes on past the last event, and the axis ends now. Where nothing is, an idle tail would only press the work together.
function end() {
  return Math.max(data.busy ? Math.max(data.end, Date.now() - Date.parse(data.started)) : data.end, 1);
}

function layOut() {
  const spans = data.spans.filter((span) => span.kind !== "decision" || withDecisions.checked);
  if (spans.length <= FEW) {
    rows = spans.map((span) => ({ spans: [span], span, label: label(span) }));
  } else {
    const groups = new Map();
    for (const span of spans) {
      const key = `${span.kind} ${span.kind === "timer" ? "timers" : span.name}`;
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(span);
    }
    rows = [];
    for (const [key, members] of groups) {
      const name = members[0].kind === "timer" ? "timers" : members[0].name;
      rows.push({ spans: members, key, label: `${open.has(key) ? "▾" : "▸"} ${name} × ${members.length.toLocaleString("en")}` });
      if (open.has(key)) for (const span of members) rows.push({ spans: [span], span, label: `  ${span.id || span.name}` });
    }
  }
  spacer.style.height = `${Math.max(1, rows.length) * ROW + TOP + 4}px`;
  draw();
}

function label(span) {
  const tries = span.attempts.length > 1 && span.kind === "activity" ? ` ↻${span.attempts.length}` : "";
  if (span.kind === "child") return `${span.id}`;
  if (span.kind === "timer") return span.name;
  if (span.kind === "signal" || span.kind === "marker") return `${span.kind} ${span.name}`;
  return `${span.name}${tries}`;
}

// -- drawing --------------------------------------------------------------------------------------------------------------

let svg = null;

function draw() {
  if (!data) return;
  const width = box.clientWidth;
  const height = Math.min(rows.length * ROW + TOP + 4, 480);
  const names = width < 560 ? 110 : Math.min(260, Math.max(140, longest() * 7 + 20));
  const [from, to] = view ?? [0, end()];
  const scale = (width - names - 16) / (to - from);
  const x = (at) => names + (at - from) * scale;
  const fresh = make("svg", { width, height, viewBox: `0 0 ${width} ${height}` });
  const clip = make("clipPath", { id: "plot" }, fresh);
  make("rect", { x: names, y: 0, width: width - names - 8, height }, clip);
  const first = Math.max(0, Math.floor((box.scrollTop - ROW) / ROW));
  const last = Math.min(rows.length, Math.ceil((box.scrollTop + height) / ROW));
  const plot = make("g", {}, fresh);
  grid(plot, from, to, x, height);
  for (let n = first; n < last; n++) {
    const y = TOP + n * ROW - box.scrollTop;
    drawRow(plot, rows[n], y, x, names, width, to);
  }
  axis(fresh, from, to, x, width, names);
  if (!rows.length) make("text", { x: 12, y: TOP + 16, class: "dim" }, fresh, "Nothing yet.");
  if (svg) svg.replaceWith(fresh);
  else box.prepend(fresh);
  svg = fresh;
  box.dataset.drawn = String(rows.length);
}

function longest() {
  return rows.reduce((most, row) => Math.max(most, row.label.length), 0);
}

function drawRow(parent, row, y, x, names, width, to) {
  const mark = row.span && picked === row.span.seq ? "picked" : "hover";
  const hover = make("rect", { x: 0, y, width, height: ROW, class: mark }, parent);
  hover.addEventListener("click", () => pick(row));
  make("title", {}, hover, describe(row));
  const most = Math.floor((names - 18) / 7);
  const text = row.label.length > most ? `${row.label.slice(0, most - 1)}…` : row.label;
  const name = make("text", { x: 10, y: y + 16, class: row.key ? "name group" : "name" }, parent, text);
  name.addEventListener("click", () => pick(row));
  const bars = make("g", { "clip-path": "url(#plot)", "pointer-events": "none" }, parent);
  if (row.span) drawSpan(bars, row.span, y + (ROW - BAR) / 2, x, to);
  else drawShares(bars, row.spans, y + (ROW - BAR) / 2, x, names, width, to);
}

function drawSpan(parent, span, y, x, to) {
  if (span.begin === span.end && span.kind !== "activity" && span.kind !== "child") {
    const at = x(span.begin);
    const middle = y + BAR / 2;
    make("path", { d: `M${at} ${middle - 6}l6 6l-6 6l-6 -6z`, class: `b-${span.kind}` }, parent);
    return;
  }
  const stop = span.end ?? end();
  if (span.attempts.length) {
    make("line", { x1: x(span.begin), x2: x(stop), y1: y + BAR / 2, y2: y + BAR / 2, class: "wait" }, parent);
    for (const attempt of span.attempts) bar(parent, attempt.begin, attempt.end, attempt.state, span.kind, y, x);
  } else if (span.kind === "activity") {
    make("line", { x1: x(span.begin), x2: x(stop), y1: y + BAR / 2, y2: y + BAR / 2, class: "wait" }, parent);
  } else {
    bar(parent, span.begin, span.end, span.state, span.kind, y, x);
  }
}

function bar(parent, from, to, state, kind, y, x) {
  const live = to === null;
  const left = x(from);
  const wide = Math.max(2, x(live ? end() : to) - left);
  make("rect", { x: left, y, width: wide, height: BAR, rx: 2.5, class: `${colour(kind, state)}${live ? " bar-live" : ""}` }, parent);
}

function colour(kind, state) {
  if (kind === "timer") return state === "canceled" || state === "abandoned" ? "b-canceled" : "b-timer";
  if (kind === "child" && (state === "completed" || state === "running")) return "b-child";
  if (kind === "decision" && state === "completed") return "b-decision";
  return `b-${state}`;
}

// Many spans in one row: for each pixel, how many run, and whether one failed.
function drawShares(parent, spans, y, x, names, width, to) {
  const wide = Math.max(1, Math.floor(width - names - 16));
  const counts = new Int32Array(wide + 1);
  const bad = new Uint8Array(wide + 1);
  const column = (at) => Math.min(wide, Math.max(-1, Math.floor(x(at) - names)));
  let some = "completed";
  for (const span of spans) {
    const began = span.attempts[0]?.begin ?? span.begin;
    const a = column(began);
    const b = column(span.end ?? end());
    if (b < 0 || a >= wide) continue;
    for (let at = Math.max(0, a); at <= Math.min(b, wide - 1); at++) counts[at]++;
    if (span.state === "failed" || span.state === "timedout") bad[Math.max(0, Math.min(b, wide - 1))] = 1;
    if (span.end === null) some = "running";
  }
  const most = counts.reduce((a, b) => Math.max(a, b), 1);
  const kind = spans[0].kind;
  const level = (at) => (counts[at] ? Math.ceil((counts[at] / most) * SHADES) : 0);
  for (let at = 0; at < wide; ) {
    let until = at + 1;
    while (until < wide && level(until) === level(at)) until++;
    if (level(at)) {
      make("rect", { x: names + at, y, width: until - at, height: BAR, class: colour(kind, some), "fill-opacity": 0.25 + (0.75 * level(at)) / SHADES }, parent);
    }
    at = until;
  }
  for (let at = 0; at < wide; at++) if (bad[at]) make("rect", { x: names + at - 0.5, y: y + BAR + 1, width: 2, height: 4, class: "b-failed" }, parent);
}

// -- the axis --------------------------------------------------------------------------------------------------------------

const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 108e5, 216e5, 432e5,
  864e5, 1728e5, 6048e5, 2592e6, 7776e6, 31536e6];

function ticks(from, to, width) {
  const step = STEPS.find((size) => (to - from) / size <= Math.max(2, width / 95)) ?? 31536e6;
  const found = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) found.push(at);
  return found;
}

function span(ms) {
  const sign = ms < 0 ? "-" : "";
  ms = Math.abs(ms);
  if (ms < 1000) return `${sign}${+ms.toFixed(1)} ms`;
  if (ms < 60e3) return `${sign}${+(ms / 1000).toFixed(2)} s`;
  const parts = [];
  for (const [unit, size] of [["d", 864e5], ["h", 36e5], ["m", 6e4], ["s", 1e3]]) {
    const many = Math.floor(ms / size);
    if (many) parts.push(`${many} ${unit}`);
    ms %= size;
  }
  return sign + parts.slice(0, 2).join(" ");
}

function grid(parent, from, to, x, height) {
  for (const at of ticks(from, to, box.clientWidth)) {
    make("line", { x1: x(at), x2: x(at), y1: TOP, y2: height, class: "tick" }, parent);
  }
}

function axis(parent, from, to, x, width, names) {
  make("rect", { x: 0, y: 0, width, height: TOP, class: "axis" }, parent);
  make("line", { x1: 0, x2: width, y1: TOP - 0.5, y2: TOP - 0.5, class: "axis-line" }, parent);
  let free = names - 20;
  for (const at of ticks(from, to, width)) {
    const text = at ? `+${span(at)}` : "0";
    const left = x(at) - text.length * 3.2;
    if (left < free || left + text.length * 6.4 > width) continue;
    make("text", { x: left, y: 17, class: "axis-text" }, parent, text);
    free = left + text.length * 7 + 10;
  }
}

// -- what is pointed at -------------------------------------------------------------------------------------------------------

function describe(row) {
  if (!row.span) return `${row.label.slice(2)}: ${row.spans.filter((s) => s.end === null).length} open, ${row.spans.filter((s) => s.state === "failed").length} failed`;
  const it = row.span;
  const words = [it.kind, it.name, it.id && it.id !== it.name ? `(${it.id})` : "", it.state, `from +${span(it.begin)}`];
  if (it.end !== null && it.end !== it.begin) words.push(`took ${span(it.end - it.begin)}`);
  if (it.attempts.length) {
    words.push(`waited ${span(it.attempts[0].begin - it.begin)}`);
    if (it.attempts.length > 1) words.push(`${it.attempts.length} attempts`);
    const last = it.attempts[it.attempts.length - 1];
    if (last.identity) words.push(`on ${last.identity}`);
  }
  return words.filter(Boolean).join(" · ");
}

function pick(row) {
  if (row.key) {
    if (open.has(row.key)) open.delete(row.key);
    else open.add(row.key);
    layOut();
    return;
  }
  picked = row.span.seq;
  const link = document.createElement("a");
  link.href = `${box.dataset.here}?all=true&since=${Math.max(0, row.span.seq - 1)}#e${row.span.seq}`;
  link.textContent = `event ${row.span.seq}`;
  told.replaceChildren(`${describe(row)} · `, link);
  if (row.span.kind === "child") {
    const child = document.createElement("a");
    child.href = `${document.body.dataset.base}/processes/${encodeURIComponent(row.span.id)}`;
    child.textContent = "the child";
    told.append(" · ", child);
  }
  draw();
}

// -- moving about ---------------------------------------------------------------------------------------------------------------

function zoom(factor, centre = 0.5) {
  const [from, to] = view ?? [0, end()];
  const at = from + (to - from) * centre;
  const wide = Math.max(1, (to - from) * factor);
  if (wide >= end() && factor > 1) view = null;
  else view = [at - wide * centre, at + wide * (1 - centre)];
  draw();
}

function move(share) {
  if (!view) return;
  const by = (view[1] - view[0]) * share;
  view = [view[0] + by, view[1] + by];
  draw();
}

const KEYS = {
  "+": () => zoom(0.6), "=": () => zoom(0.6), "-": () => zoom(1.6), "0": () => { view = null; draw(); },
  ArrowLeft: () => move(-0.2), ArrowRight: () => move(0.2),
};

if (box) {
  spacer = document.createElement("div");
  spacer.style.position = "absolute";
  spacer.style.width = "1px";
  spacer.style.top = "0";
  box.append(spacer);
  tools.hidden = false;
  box.addEventListener("scroll", draw);
  box.addEventListener("keydown", (event) => {
    const act = !event.ctrlKey && !event.metaKey && KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  box.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return; // A plain wheel scrolls, as everywhere.
    event.preventDefault();
    const left = event.clientX - box.getBoundingClientRect().left;
    zoom(event.deltaY > 0 ? 1.3 : 0.75, Math.min(1, Math.max(0, left / box.clientWidth)));
  }, { passive: false });
  tools.addEventListener("click", (event) => {
    const way = event.target.dataset?.zoom;
    if (way === "in") zoom(0.6);
    if (way === "out") zoom(1.6);
    if (way === "fit") { view = null; draw(); }
  });
  withDecisions.addEventListener("change", layOut);
  document.addEventListener("news", fetchData);
  new ResizeObserver(draw).observe(box);
  // What runs grows by itself.
  setInterval(() => data?.busy && !view && !document.hidden && draw(), 1000);
  fetchData();
}
