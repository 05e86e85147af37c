// The check runs here instead of in a page that loads for seconds, and says how long it has been at it.

import { byId, put, say } from "./dom.js";
import { away, check } from "./rules_save.js";

const form = byId("checking");

async function run() {
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const done = await check(form.dataset.draft, (s) => put(byId("progress"), say("checking", { s })));
    if (!done.told) return location.assign(location.pathname);
    const door = away(done.told, location.pathname);
    return door ? location.assign(door) : put(byId("progress"), done.told.message || say("odd"));
  } catch {
    return put(byId("progress"), say("odd"));
  } finally {
    button.disabled = false;
  }
}

if (form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  if ("run" in form.dataset) run();
}
