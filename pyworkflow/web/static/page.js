// What makes the pages live. Everything works without it, by links and forms.

const base = document.body.dataset.base;

// Fetches a page of this server, and returns its document. Scripts in it never run, and data in it was escaped by the server.
async function load(address) {
  const answer = await fetch(address, { headers: { Accept: "text/html" }, credentials: "same-origin" });
  const text = await answer.text();
  return { ok: answer.ok, page: new DOMParser().parseFromString(text, "text/html") };
}

// -- times ------------------------------------------------------------------------------------------------------------

function took(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.floor(seconds))} s`;
  const units = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]];
  const parts = [];
  for (const [unit, size] of units) {
    if (seconds >= size || parts.length) {
      parts.push(`${Math.floor(seconds / size)} ${unit}`);
      seconds %= size;
    }
  }
  return parts.slice(0, 2).join(" ");
}

function tick() {
  for (const element of document.querySelectorAll("[data-since]")) {
    element.textContent = took((Date.now() - Date.parse(element.dataset.since)) / 1000);
  }
}

// -- parts that are fetched when they are unfolded ----------------------------------------------------------------------

document.addEventListener("toggle", async (event) => {
  const details = event.target;
  if (!(details instanceof HTMLDetailsElement) || !details.open || !details.dataset.src || details.dataset.done) return;
  details.dataset.done = "yes";
  const { page } = await load(details.dataset.src);
  const part = page.querySelector("[data-part]");
  if (part) details.querySelector(".fetched").replaceChildren(...part.childNodes);
  else delete details.dataset.done;
}, true);

// -- questions, asked in a dialog ----------------------------------------------------------------------------------------

const dialog = document.getElementById("dialog");

document.addEventListener("click", async (event) => {
  const link = event.target.closest("a");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (link.dataset.close !== undefined && dialog.open) {
    event.preventDefault();
    dialog.close();
  } else if (link.dataset.dialog !== undefined) {
    event.preventDefault();
    const { page } = await load(link.href);
    const part = page.querySelector("[data-part]");
    if (!part) return location.assign(link.href);
    dialog.replaceChildren(part);
    dialog.showModal();
    dialog.querySelector("[autofocus], button")?.focus();
  }
});

// -- live ----------------------------------------------------------------------------------------------------------------

const EVERY = 700; // Milliseconds between two looks at most, however much happens.
const light = document.getElementById("live");
let due = null;
let looking = false;
let source = null;

// Puts new regions in place of old ones, and keeps what the reader has unfolded, and the focus.
function replaceRegions(page) {
  for (const old of document.querySelectorAll("[data-region]")) {
    const fresh = page.querySelector(`[data-region="${old.dataset.region}"]`);
    if (!fresh || old.isEqualNode(fresh)) continue;
    const focus = old.contains(document.activeElement) ? document.activeElement : null;
    const focused = focus && (focus.id || focus.getAttribute("href"));
    for (const open of old.querySelectorAll("details[data-key]")) {
      const twin = [...fresh.querySelectorAll("details[data-key]")].find((d) => d.dataset.key === open.dataset.key);
      if (!twin) continue;
      if (open.dataset.done) twin.replaceWith(keep(open, twin));
      else twin.open = open.open;
    }
    old.replaceWith(fresh);
    if (focused) {
      [...fresh.querySelectorAll("a, button, summary, input")]
        .find((e) => e.id === focused || e.getAttribute("href") === focused)?.focus({ preventScroll: true });
    }
  }
}

function keep(open, twin) {
  open.querySelector("summary").replaceWith(twin.querySelector("summary"));
  return open;
}

async function look() {
  due = null;
  looking = true;
  try {
    const { ok, page } = await load(location.href);
    if (ok) {
      replaceRegions(page);
      tick();
      document.dispatchEvent(new CustomEvent("news"));
      if (!page.body.dataset.live) stop();
    }
  } finally {
    looking = false;
  }
}

function soon() {
  if (due === null) due = setTimeout(() => (looking ? ((due = null), soon()) : look()), EVERY);
}

function start() {
  const address = document.body.dataset.live;
  if (!address || source) return;
  source = new EventSource(address);
  light.hidden = false;
  source.onopen = () => light.classList.remove("off");
  source.onerror = () => light.classList.add("off");
  // A backup was restored: what the page shows may be gone.
  source.addEventListener("reset", soon);
  for (const kind of KINDS) source.addEventListener(kind, soon);
}

function stop() {
  source?.close();
  source = null;
  light.hidden = true;
}

const KINDS = ["process_started", "decision_started", "decision", "decision_failed", "decision_timed_out", "decision_rejected",
  "activity_started", "activity_attempt", "activity", "signal", "timer", "child_process", "cancel_requested",
  "process_timed_out", "process_terminated"];

// -- keys ----------------------------------------------------------------------------------------------------------------

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog")) return;
  const rows = [...document.querySelectorAll("[data-row], .row > summary")];
  const at = rows.indexOf(document.activeElement);
  if (event.key === "j" || event.key === "k") {
    rows[Math.min(rows.length - 1, Math.max(0, at + (event.key === "j" ? 1 : -1)))]?.focus();
  } else if (event.key === "/") {
    const field = document.querySelector('[data-shortcut="/"]');
    if (!field) return;
    field.focus();
  } else if (event.key === "g") {
    location.assign(`${base}/`);
  } else return;
  event.preventDefault();
});

tick();
setInterval(tick, 1000);
start();
// A page that comes back from the browser's memory is old, and its stream is gone.
window.addEventListener("pageshow", (event) => event.persisted && location.reload());
window.addEventListener("pagehide", stop);
// A deep link to an event unfolds it.
if (location.hash.startsWith("#e")) {
  const row = document.getElementById(location.hash.slice(1));
  if (row instanceof HTMLDetailsElement) row.open = true;
}
