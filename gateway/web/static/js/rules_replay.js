// While a replay runs: how far it is, and its report as soon as there is one.

import { byId, put, say } from "./dom.js";
import { call } from "./gateway.js";

const running = byId("running");
const number = new Intl.NumberFormat("en");

async function look() {
  const response = await call("GET", `/v1/policy/replays/${running.dataset.job}`);
  if (!response.ok) return location.reload();
  const job = await response.json();
  if (job.status !== "waiting" && job.status !== "running") return location.reload();
  const progress = byId("progress");
  progress.max = job.total || 1;
  progress.value = job.done;
  const said = job.cancel_asked ? say("cancelling") : job.status === "waiting" ? say("waiting")
    : say("done", { done: number.format(job.done), all: number.format(job.total) });
  put(byId("progress-said"), said);
  return setTimeout(look, 700);
}

if (running) setTimeout(look, 500);
