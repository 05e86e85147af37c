// Saving and checking a draft through the gateway's own API, and what to do when it says no.

import { call, refusal, signInAddress, stepUpAddress } from "./gateway.js";

const key = (draft, file) => `imprimatur.rules.${draft}.${file}`;

/** Keep a text in this tab while its writer is away for a second factor. */
export function keepText(draft, file, text) {
  try {
    sessionStorage.setItem(key(draft, file), text);
  } catch {
    // Storage switched off or full: the page warns before it is left, nothing else.
  }
}

/** The text that was kept, once. */
export function takeText(draft, file) {
  try {
    const text = sessionStorage.getItem(key(draft, file));
    sessionStorage.removeItem(key(draft, file));
    return text;
  } catch {
    return null;
  }
}

/** Where to go when an answer asks for a sign-in or a second factor; empty when it asks for neither. */
export function away(told, here) {
  if (told.code === "insufficient_user_authentication") return stepUpAddress(told.maxAge, here);
  return told.status === 401 ? signInAddress(here) : "";
}

/** {version} of what was saved, or {told}: why not. */
export async function save(draft, after, file, text, note) {
  const response = await call("POST", `/v1/policy/drafts/${encodeURIComponent(draft)}`, {
    after, files: { [file]: text }, note,
  });
  if (!response.ok) return { told: await refusal(response) };
  return { version: (await response.json()).version.number };
}

/** {report}, or {told}: why there is none. `tick(seconds)` is called while it runs. */
export async function check(draft, tick) {
  const began = performance.now();
  const seconds = () => Math.round((performance.now() - began) / 1000);
  tick(0);
  const timer = setInterval(() => tick(seconds()), 1000);
  try {
    const response = await call("POST", `/v1/policy/drafts/${encodeURIComponent(draft)}/check`);
    return response.ok ? { report: await response.json() } : { told: await refusal(response) };
  } finally {
    clearInterval(timer);
  }
}

/** The number of a draft's newest version. */
export async function newest(draft) {
  const response = await call("GET", `/v1/policy/drafts/${encodeURIComponent(draft)}`);
  return response.ok ? (await response.json()).version.number : 0;
}
