// The editor of a draft: line numbers, colours, markers, indenting, finding, saving and checking by keyboard.
// The text area is the document; everything else is drawn beside it.

import { byId, put, say } from "./dom.js";
import { next, placeOf, places } from "./rules_find.js";
import { paint } from "./rules_paint.js";
import { away, check, keepText, newest, save, takeText } from "./rules_save.js";

const tree = document.querySelector(".tree");
const shown = tree?.querySelector("[aria-current]");
if (shown) tree.scrollTop = Math.max(0, shown.offsetTop - tree.offsetTop - tree.clientHeight / 2);

const form = byId("editing");
if (form) open();

function open() {
  const area = byId("content");
  const editor = area.closest(".editor");
  const [gutter, painted] = [editor.querySelector(".gutter"), editor.querySelector(".painted")];
  const { draft, file } = form.dataset;
  const { language } = editor.dataset;
  const find = byId("find");
  const markers = [...document.querySelectorAll("#markers [data-line]")].map((link) => ({
    line: Number(link.dataset.line), last: Number(link.dataset.last), column: Number(link.dataset.column),
    kind: link.dataset.kind,
  }));
  let stored = area.defaultValue;
  let found = [];
  let current = -1;
  let isLeaving = false;
  let usesTab = true;

  const isChanged = () => area.value !== stored;
  const tell = (text) => put(byId("told"), text);

  function draw() {
    const text = area.value;
    const marks = [];
    if (text === area.defaultValue) { // a marker's place is of the text that was checked
      for (const { line, last, column, kind } of markers) {
        if (kind === "missed") marks.push([placeOf(text, line), placeOf(text, last, Infinity), "unrun"]);
        if (kind !== "problem" || !column) continue;
        const start = placeOf(text, line, column);
        const rest = /^[\w.]+|^\S+/.exec(text.slice(start, start + 80));
        marks.push([start, start + Math.max(rest?.[0].length ?? 0, 1), "bad"]);
      }
    }
    marks.push(...found.map(([start, end]) => [start, end, "found"]));
    paint(painted, text, language, marks);
    gutter.classList.toggle("stale", text !== area.defaultValue); // what tests run is known of the text that was checked
    const lines = text.split("\n").length;
    if (gutter.childElementCount !== lines) {
      const rows = document.createDocumentFragment();
      for (let n = 1; n <= lines; n += 1) {
        const row = document.createElement("span");
        row.textContent = n;
        const worst = ["problem", "warning", "comment"].find((kind) => markers.some((m) => m.line === n && m.kind === kind));
        if (worst) row.classList.add(worst);
        if (markers.some((m) => m.kind === "missed" && m.line <= n && n <= m.last)) row.classList.add("missed");
        rows.append(row);
      }
      gutter.replaceChildren(rows);
    }
    follow();
  }

  function follow() {
    painted.scrollTop = area.scrollTop;
    painted.scrollLeft = area.scrollLeft;
    gutter.scrollTop = area.scrollTop;
  }

  function size() { // the rows that the page asked for are the area's; the layers beside it follow
    gutter.style.blockSize = `${area.clientHeight}px`;
    painted.style.blockSize = `${area.clientHeight}px`;
  }

  function goTo(start, end = start) {
    area.setSelectionRange(start, end);
    const line = area.value.slice(0, start).split("\n").length;
    const height = parseFloat(getComputedStyle(area).lineHeight);
    area.scrollTop = Math.max(0, (line - 6) * height);
    follow();
  }

  function search(step) {
    const line = /^:(\d+)$/.exec(find.value.trim());
    if (line) {
      found = [];
      put(byId("found"), "");
      goTo(placeOf(area.value, Number(line[1])));
    } else {
      found = places(area.value, find.value);
      current = next(found, step > 0 ? (step === 2 ? area.selectionStart : area.selectionEnd) : area.selectionStart, step > 0 ? 1 : -1);
      put(byId("found"), !find.value ? "" : current < 0 ? say("none") : say("found", { n: current + 1, all: found.length }));
      if (current >= 0) goTo(...found[current]);
    }
    draw();
  }

  function insert(text) {
    // The one way that keeps the browser's own undo; deprecated, and without another.
    if (!document.execCommand("insertText", false, text)) area.setRangeText(text, area.selectionStart, area.selectionEnd, "end");
    area.dispatchEvent(new Event("input"));
  }

  /** Indent or outdent the lines of the selection, or put in one step. */
  function indent(out) {
    const step = language === "rego" ? "\t" : "  ";
    const { selectionStart: start, selectionEnd: end, value } = area;
    if (start === end && !out) return insert(step);
    const first = value.lastIndexOf("\n", start - 1) + 1;
    const lines = value.slice(first, end).split("\n");
    const turned = lines.map((line) => (out ? line.replace(/^(\t| {1,2})/, "") : step + line)).join("\n");
    area.setSelectionRange(first, end);
    insert(turned);
    return area.setSelectionRange(first, first + turned.length);
  }

  /** A new line begins where the one before began. */
  function newline() {
    const first = area.value.lastIndexOf("\n", area.selectionStart - 1) + 1;
    insert(`\n${/^[\t ]*/.exec(area.value.slice(first, area.selectionStart))[0]}`);
  }

  function leave(address) {
    isLeaving = true;
    location.assign(address);
  }

  /** Why it was not saved, or the way to where that can be put right. */
  async function explain(told) {
    const door = away(told, location.pathname + location.search);
    if (door) {
      keepText(draft, file, area.value);
      return leave(door);
    }
    if (told.status !== 409) return tell(told.message || say("odd"));
    const number = await newest(draft);
    tell(say("conflict", { n: number }));
    const link = document.createElement("a");
    link.href = `/rules/drafts/${draft}/changes?version=${number}&against=${number > 1 ? number - 1 : "base"}`;
    link.target = "_blank";
    link.textContent = say("theirs");
    const over = document.createElement("button");
    over.type = "button";
    over.className = "button small";
    over.textContent = say("over");
    over.addEventListener("click", () => {
      form.elements.after.value = number;
      keep(false);
    });
    byId("told").append(" ", link, ". ", over);
    return undefined;
  }

  /** Save; `andCheck` goes on to the check and its report. */
  async function keep(andCheck) {
    const text = area.value;
    byId("save").disabled = true;
    byId("save-check").disabled = true;
    try {
      if (text !== stored) {
        tell(say("saving"));
        const done = await save(draft, Number(form.elements.after.value), file, text, form.elements.note.value);
        if (done.told) return await explain(done.told);
        stored = text;
        form.elements.after.value = done.version;
        form.elements.note.value = "";
        for (const other of document.querySelectorAll('input[name="after"]')) other.value = done.version;
        put(byId("version-said"), say("version", { n: done.version }));
        tell(say("saved", { n: done.version }));
      }
      if (!andCheck) return undefined;
      const done = await check(draft, (s) => tell(say("checking", { s })));
      if (done.told) return await explain(done.told);
      // A report with something to mend in this file is read here; else on its own page.
      const isHere = done.report.problems.some((problem) => problem.path === file);
      return leave(isHere ? `/rules/drafts/${draft}?file=${encodeURIComponent(file)}` : `/rules/drafts/${draft}/check`);
    } catch {
      return tell(say("odd"));
    } finally {
      byId("save").disabled = false;
      byId("save-check").disabled = false;
    }
  }

  editor.classList.add("live");
  editor.querySelector(".finder").hidden = false;
  const waiting = takeText(draft, file);
  if (waiting !== null && waiting !== area.value) {
    area.value = waiting;
    tell(say("back"));
  }
  new ResizeObserver(size).observe(area);
  size();
  draw();
  const wanted = Number(new URLSearchParams(location.search).get("line"));
  if (wanted) goTo(placeOf(area.value, wanted));

  area.addEventListener("input", () => {
    found = [];
    draw();
    if (isChanged() && byId("told").childElementCount === 0) tell(say("unsaved"));
  });
  area.addEventListener("scroll", follow);
  area.addEventListener("focus", () => {
    usesTab = true;
  });
  area.addEventListener("keydown", (event) => {
    if (event.key === "Escape") usesTab = false; // the next Tab leaves: no trap for the keyboard (WCAG 2.1.2)
    else if (event.key === "Tab" && usesTab && !area.readOnly) {
      event.preventDefault();
      indent(event.shiftKey);
    } else if (event.key === "Enter" && !area.readOnly && !event.ctrlKey && !event.metaKey && !event.isComposing) {
      event.preventDefault();
      newline();
    }
  });
  find.addEventListener("input", () => search(2));
  find.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      search(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") {
      find.value = "";
      found = [];
      put(byId("found"), "");
      draw();
      area.focus();
    }
  });
  for (const button of editor.querySelectorAll("[data-find]")) {
    button.addEventListener("click", () => search(button.dataset.find === "on" ? 1 : -1));
  }
  for (const link of document.querySelectorAll("#markers [data-line]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      area.focus();
      goTo(placeOf(area.value, Number(link.dataset.line), Number(link.dataset.column) || 1));
    });
  }
  addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
    if (event.key === "s" && byId("save")) {
      event.preventDefault();
      keep(false);
    } else if (event.key === "Enter" && byId("save") && !(event.target instanceof HTMLTextAreaElement && event.target !== area)) {
      event.preventDefault();
      keep(true);
    } else if (event.key === "f" && event.target === area) {
      event.preventDefault();
      find.value = area.value.slice(area.selectionStart, area.selectionEnd).split("\n")[0] || find.value;
      find.focus();
      find.select();
      search(2);
    }
  });
  form.addEventListener("submit", (event) => {
    const act = event.submitter?.value ?? "save";
    if (act === "save" || act === "check") {
      event.preventDefault();
      keep(act === "check");
    } else isLeaving = true; // set back, or taken out: that is what was asked for
  });
  addEventListener("beforeunload", (event) => {
    if (isChanged() && !isLeaving) event.preventDefault();
  });
}
