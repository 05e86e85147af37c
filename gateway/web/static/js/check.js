// Check a picture: choose, drop or paste a file; see it go; read what its three marks say.

import { byId, cut, put, say } from "./dom.js";
import { describe, signInAddress } from "./gateway.js";

const ADDRESS = "/v1/content_provenance_checks";
const SHOWN = new Set(["image/png", "image/jpeg", "image/webp"]); // of any other type we show nothing
const EFFECTS = new Map([["made-here", "allow"], ["looks-like-ours", "review"], ["generated-elsewhere", "mask"]]);
const STATES = new Map([["trusted", "allow"], ["detected", "allow"], ["alike", "review"], ["untrusted", "mask"], ["expired", "mask"], ["invalid", "deny"]]);

const drop = byId("drop");
const input = byId("file");
const most = Number(byId("asking").dataset.most);
let asking = null; // the request that is on its way

/** POST with what fetch has not: how much of the file has gone. Resolves with the finished XMLHttpRequest. */
function send(file, onProgress) {
  const request = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    request.addEventListener("load", () => resolve(request));
    request.addEventListener("error", () => reject(new Error("lost")));
    request.addEventListener("abort", () => reject(new Error("stopped")));
  });
  request.upload.addEventListener("progress", (event) => onProgress(event.loaded / event.total));
  request.open("POST", ADDRESS);
  request.setRequestHeader("accept", "application/json");
  request.setRequestHeader("x-csrf-token", document.querySelector('meta[name="csrf-token"]').content);
  const form = new FormData();
  form.append("file", file, "picture"); // its name stays here: names tell of people and places
  request.send(form);
  return { request, done };
}

function parsed(request) {
  try {
    return JSON.parse(request.responseText);
  } catch {
    return {}; // a proxy's own page
  }
}

function show(file) {
  const seen = byId("seen");
  if (seen.src) URL.revokeObjectURL(seen.src);
  seen.hidden = !SHOWN.has(file.type);
  if (seen.hidden) seen.removeAttribute("src");
  else seen.src = URL.createObjectURL(file);
  seen.alt = say("seen.alt", { name: file.name });
}

function clear() {
  byId("answer").replaceChildren();
  byId("trouble").hidden = true;
  put(byId("trouble-go"), "");
  put(byId("told"), "");
}

function trouble(text, go = "") {
  byId("empty").hidden = true;
  byId("trouble").hidden = false;
  put(byId("trouble-said"), text);
  put(byId("trouble-go"), go);
  byId("trouble-go").href = signInAddress("/check");
}

function progress(share) {
  const bar = byId("bar");
  if (share < 1) bar.value = share;
  else bar.removeAttribute("value"); // the rest is theirs, and takes as long as it takes
  put(byId("doing"), share < 1 ? say("doing.sending", { percent: Math.round(share * 100) }) : say("doing.looking"));
}

function refused(request) {
  const error = describe(parsed(request).error ?? {});
  const wait = Number(request.getResponseHeader("retry-after")) || 0;
  const help = request.status === 429 && wait ? say("trouble.wait", { seconds: wait }) : "";
  const isSignedOut = request.status === 401;
  // The field's name is for programs: here is one field.
  const message = (error.message || say("trouble.odd")).replace(/^file: (.)/, (_, first) => first.toUpperCase());
  trouble(help && !message.includes(String(wait)) ? `${message} ${help}` : message, isSignedOut ? say("trouble.sign-in") : "");
}

function fact(list, key, value) {
  if (!value) return;
  const name = document.createElement("dt");
  const text = document.createElement("dd");
  name.textContent = say(`fact.${key}`);
  text.textContent = value;
  list.append(name, text);
}

function mark(found) {
  const { element, slots } = cut("t-mark");
  const isAlike = found.type === "fingerprint" && found.outcome === "detected";
  const state = found.state ?? (isAlike ? "alike" : found.outcome);
  slots.name.textContent = say(found.type);
  slots.effect.textContent = say(`state.${state}`);
  slots.effect.classList.add(STATES.get(state) ?? "open");
  slots.message.textContent = found.message;
  const [first, ...more] = found.pictures;
  const values = first && { day: first.generated_at.replace("T", " ").replace("Z", " UTC"), model: first.model, more: more.length };
  put(slots.origin, first ? say(more.length ? "origin.more" : "origin", values) : "");
  return element;
}

function tell(answer, file, requestId) {
  const { element, slots } = cut("t-answer");
  slots.effect.textContent = say(`effect.${answer.verdict}`);
  slots.effect.classList.add(EFFECTS.get(answer.verdict) ?? "open");
  slots.title.textContent = say(answer.verdict);
  slots.message.textContent = answer.message;
  slots.marks.append(...answer.results.map(mark));
  const ids = new Set(answer.results.flatMap((result) => result.record_ids ?? []));
  slots.records.hidden = ids.size === 0;
  for (const id of ids) {
    const row = cut("t-record");
    row.slots.link.href = `/audit/records/${encodeURIComponent(id)}`;
    row.slots.link.textContent = id;
    slots.list.append(row.element);
  }
  fact(slots.facts, "name", file.name);
  fact(slots.facts, "size", say("bytes", { n: answer.file.bytes.toLocaleString("en") }));
  fact(slots.facts, "pixels", answer.file.width ? `${answer.file.width} × ${answer.file.height}` : "");
  fact(slots.facts, "type", answer.file.media_type);
  fact(slots.facts, "issuer", answer.results.find((result) => result.issuer)?.issuer);
  fact(slots.facts, "digest", answer.file.sha256);
  fact(slots.facts, "request", requestId);
  byId("empty").hidden = true;
  byId("answer").replaceChildren(element);
  element.scrollIntoView({ block: "nearest" }); // on a phone it stands below the picture
  put(byId("told"), `${say(answer.verdict)}. ${answer.message}`);
}

async function check(file) {
  asking?.abort();
  clear();
  show(file);
  if (file.size > most) return trouble(say("trouble.large", { megabytes: Math.floor(most / 1048576) }));
  if (file.size === 0) return trouble(say("trouble.empty"));
  const { request, done } = send(file, progress);
  asking = request;
  progress(0);
  byId("working").hidden = false;
  try {
    const answered = await done;
    const answer = parsed(answered);
    if (answered.status !== 200) refused(answered);
    else if (Array.isArray(answer.results)) tell(answer, file, answered.getResponseHeader("x-request-id"));
    else trouble(say("trouble.odd"));
  } catch (error) {
    if (asking !== request) return undefined; // another file came meanwhile, and the page is its
    if (error.message === "stopped") put(byId("told"), say("told.stopped"));
    else trouble(say("trouble.lost"));
  }
  asking = null;
  byId("working").hidden = true;
  byId("call").textContent = say("call.next");
  return undefined;
}

/** What was dropped or pasted: one file, or a sentence that says why not. */
function take(transfer) {
  const files = [...(transfer?.files ?? [])];
  if (files.length === 1) return check(files[0]);
  clear();
  return trouble(say(files.length ? "trouble.many" : "trouble.text"));
}

byId("seen").addEventListener("error", (event) => { event.target.hidden = true; }); // it was no picture
input.addEventListener("change", () => {
  const [file] = input.files;
  if (file) check(file);
  input.value = ""; // the same file again is a change again
});
byId("asking").addEventListener("submit", (event) => event.preventDefault());
byId("stop").addEventListener("click", () => { asking?.abort(); input.focus(); });
addEventListener("keydown", (event) => { if (event.key === "Escape") asking?.abort(); });

// Anywhere on the page: a file dropped beside the field would make the browser leave for it.
let inside = 0;
addEventListener("dragenter", (event) => { event.preventDefault(); inside += 1; drop.classList.add("over"); });
addEventListener("dragleave", () => { inside -= 1; drop.classList.toggle("over", inside > 0); });
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => { event.preventDefault(); inside = 0; drop.classList.remove("over"); take(event.dataTransfer); });
addEventListener("paste", (event) => { if (event.clipboardData?.files.length) take(event.clipboardData); });
