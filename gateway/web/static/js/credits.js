// What is left to spend, in the bar.

import { byId } from "./dom.js";
import { call } from "./gateway.js";

const element = byId("credits");
let known = null;

/** Ask the gateway and show it. Nothing is shown while it can't say. */
export async function refreshCredits() {
  try {
    const response = await call("GET", "/v1/credits");
    if (!response.ok) return;
    known = await response.json();
    show();
  } catch {
    // The figure in the bar stays as it was; the gateway counts for itself.
  }
}

/** Take over what an answer said, without asking again. */
export function creditsAre(remaining) {
  if (known === null || !Number.isInteger(remaining)) return;
  known.remaining = remaining;
  show();
}

function show() {
  const strong = document.createElement("b");
  strong.textContent = known.remaining;
  const [before, after] = element.dataset.text.split("{remaining}");
  const renews = known.renews_at
    ? ` · ${element.dataset.renews.replace("{date}", new Date(known.renews_at).toLocaleDateString(document.documentElement.lang, { day: "numeric", month: "short", timeZone: "UTC" }))}`
    : "";
  element.replaceChildren(before, strong, after.replace("{granted}", known.granted) + renews);
}
