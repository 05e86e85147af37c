// One request for pictures: POST, then the stream. Knows the wire and nothing of the page.

import { call, describe, refusal } from "./gateway.js";
import { events } from "./sse.js";

const CALLS = {
  generate: ["/v1/images/generations", "image_generation."],
  edit: ["/v1/images/edits", "image_edit."],
  vary: ["/v1/images/variations", "image_variation."],
};

export class Refused extends Error {
  constructor(told) {
    super(told.code || "refused");
    this.told = told;
  }
}

/**
 * Ask for pictures: `task` is generate, edit or vary; the last two bring `files`, [[field, File], …]. `heard` gets {accepted(data), progress(data), partial(data), completed(data)} as they come.
 * Throws Refused for an answer that explains itself, AbortError when `signal` fires, anything else when the line breaks.
 */
export async function generate(request, heard, signal, task = "generate", files = []) {
  const [path, prefix] = CALLS[task];
  const body = { ...request, stream: true, partial_images: 2 };
  const response = await call(
    "POST", path, task === "generate" ? body : form(body, files),
    { signal, headers: { accept: "text/event-stream, application/json" } },
  );
  if (!response.ok) throw new Refused(await refusal(response));
  const id = response.headers.get("x-request-id") ?? "";
  if (!response.headers.get("content-type")?.startsWith("text/event-stream")) throw new Error("not a stream");
  let finished = 0;
  for await (const { event, data } of events(response.body)) {
    if (data === "[DONE]") break;
    const told = JSON.parse(data);
    if (event === "error") throw new Refused({ ...describe(told.error ?? {}), id: told.error?.decision_id ?? id });
    if (event === `${prefix}accepted`) heard.accepted({ request_id: id, ...told });
    if (event === `${prefix}progress`) heard.progress(told);
    if (event === `${prefix}partial_image`) heard.partial(told);
    if (event === `${prefix}completed`) {
      finished++;
      heard.completed({ request_id: id, ...told });
    }
  }
  if (finished === 0) throw new Error("the stream ended without a picture");
}

function form(fields, files) {
  const sent = new FormData();
  for (const [name, value] of Object.entries(fields)) sent.append(name, String(value));
  for (const [name, file] of files) sent.append(name, file);
  return sent;
}
