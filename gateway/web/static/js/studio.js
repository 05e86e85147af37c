// The studio, put together: paper, choices, one request at a time, the stage.

import { countChoices, models, offer, sizeChoices, usualCount } from "./choices.js";
import { coachingCard, lostCard } from "./coach.js";
import { creditsAre, refreshCredits } from "./credits.js";
import { byId, count, say } from "./dom.js";
import { keepDraft, takeDraft } from "./draft.js";
import { generate, Refused } from "./generate.js";
import { watch } from "./hints.js";
import { Run } from "./run.js";
import { source, squared } from "./source.js";
import { viewer } from "./viewer.js";

// gateway/credits/prices.py; what was really charged comes with the answer
const PICTURES_PER_CREDIT = { generate: 4, edit: 3 };
const VARIATIONS = 3;

const SETTLE_MS = 1500; // the gateway notices a hung-up line a moment later, and gives the credits back then

const form = byId("composer");
const paper = byId("prompt");
const make = byId("make");
const stage = byId("stage");
const told = byId("told");
const hints = watch(paper, byId("shadow"), byId("hints"));

let known = [];
let running = null; // the AbortController of the request under way: one at a time

const chosen = () => Object.fromEntries(new FormData(form));

function showAct() {
  const n = Number(chosen().n ?? 1);
  const task = taskNow();
  byId("make-label").textContent = running ? say("cancel") : count(task === "edit" ? "edit" : "make", n);
  byId("make-cost").textContent = running ? "" : count("cost", Math.ceil(n / PICTURES_PER_CREDIT[task]));
  byId("source-vary").disabled = Boolean(running);
  make.classList.toggle("primary", !running);
  make.type = running ? "button" : "submit";
  byId("keys-make").hidden = Boolean(running);
  byId("keys-cancel").hidden = !running;
  make.disabled = known.length === 0;
}

const modelNow = () => known.find((m) => m.id === chosen().model) ?? known[0];
const can = (task) => modelNow()?.tasks?.includes(task) ?? false;

function showModel() {
  const model = modelNow();
  if (!model) return;
  if (work.isThere && !can("edit")) {
    work.away(); // and then we are called again
    return;
  }
  const task = taskNow();
  offer(byId("sizes"), "size", sizeChoices(model.sizes?.length ? model.sizes : ["auto"]), model.default_size);
  offer(byId("counts"), "n", countChoices(task, model.max_n ?? 4), usualCount(task, model.max_n ?? 4));
  byId("sizes").hidden = task === "edit"; // an edit keeps its picture's size
  byId("question").textContent = say(`question.${task}`);
  paper.placeholder = say(`example.${task}`);
  byId("viewer-edit").hidden = byId("begin").hidden = !can("edit");
  byId("viewer-vary").hidden = byId("source-vary").hidden = !can("vary");
  showAct();
}

function write(text, start = text.length, end = start) {
  paper.value = text;
  hints.refresh();
  paper.focus();
  paper.setSelectionRange(start, end);
  paper.scrollIntoView({ block: "nearest" });
}

const work = source(showModel);
const taskNow = () => (work.isThere ? "edit" : "generate");
const look = viewer({
  again: (picture) => write(picture.prompt),
  edit: async (picture) => { await work.take(picture.address); paper.focus(); },
  vary: (picture) => vary(picture.address, say("vary.title", { prompt: picture.words })),
});

function coach(card) {
  for (const old of stage.querySelectorAll(".coach")) old.remove();
  stage.prepend(card);
  card.focus();
  card.scrollIntoView({ block: "nearest" });
}

function start() {
  if (running || !form.reportValidity() || known.length === 0) return;
  const { prompt, model, n, size } = chosen();
  const request = { prompt: paper.value || prompt, model, n: Number(n), size };
  if (!work.isThere) begin(request, "generate");
  else if (work.isReady()) begin({ ...request, size: "auto" }, "edit", () => work.files(), work.size);
}

/** More pictures like the one at `from`, for which nobody has to find words. */
function vary(from, title) {
  if (running || !can("vary")) return;
  begin({ model: modelNow().id, n: VARIATIONS, size: "auto" }, "vary", () => squared(from), "1x1", title);
}

/** One request from the click to its end. `shape` is the size of its pictures where the request doesn't say it. */
async function begin(request, task, files = () => [], shape = request.size, title = request.prompt) {
  const run = new Run({ ...request, size: shape }, title, look);
  const acts = {
    edit: (from, to) => write(request.prompt ?? paper.value, from, to),
    rewrite: (text) => write(text),
    leave: () => keepDraft(paper.value),
  };
  running = new AbortController();
  byId("empty").hidden = true;
  for (const old of stage.querySelectorAll(".coach")) old.remove();
  stage.prepend(run.element);
  told.textContent = say("told.sending");
  showAct();
  const isNarrow = matchMedia("(max-width: 860px)").matches;
  run.element.scrollIntoView({ block: isNarrow ? "start" : "nearest" }); // an edit's paper is longer than a window
  try {
    await generate(request, {
      accepted: (data) => { run.accepted(data); creditsAre(data.credits_remaining); told.textContent = say("told.making"); },
      progress: (data) => run.progress(data),
      partial: (data) => run.partial(data),
      completed: (data) => { run.completed(data); creditsAre(data.credits_remaining); },
    }, running.signal, task, await files());
    run.done();
    told.textContent = count("told.done", run.finished);
    byId("stays").hidden = false;
  } catch (error) {
    end(run, error, acts, request.prompt ?? "");
  } finally {
    running = null;
    showAct();
    refreshCredits();
  }
}

function end(run, error, acts, words) {
  if (error.name === "AbortError") {
    run.stop("state.cancelled");
    setTimeout(refreshCredits, SETTLE_MS);
    told.textContent = say("told.cancelled");
    paper.focus();
  } else {
    run.stop("state.failed");
    coach(error instanceof Refused ? coachingCard(error.told, words, acts) : lostCard(words, acts));
  }
  if (run.finished === 0) run.element.remove();
  byId("empty").hidden = stage.querySelector(".run, .coach") !== null;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
byId("source-vary").addEventListener("click", () => vary(work.picture, say("vary.own")));
make.addEventListener("click", () => running?.abort());
form.addEventListener("change", (event) => (event.target.name === "model" ? showModel() : showAct()));
for (const seed of document.querySelectorAll(".seed")) {
  seed.addEventListener("click", () => write(seed.dataset.prompt));
}
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    start();
  }
  // Escape first closes what is open; only then it cancels.
  if (event.key === "Escape" && running && !document.querySelector("dialog[open], :popover-open")) running.abort();
});

if (/Mac|iPhone|iPad/.test(navigator.platform)) byId("mod").textContent = "⌘";
const draft = takeDraft();
if (draft) write(draft);
refreshCredits();
known = await models();
if (known.length) {
  offer(byId("models"), "model", known.map((m) => ({ value: m.id, label: m.name ?? m.id })), known[0].id);
  showModel();
} else {
  byId("hints").textContent = say("models.none");
}
