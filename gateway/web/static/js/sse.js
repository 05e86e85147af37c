// Server-sent events over fetch, for a POST (EventSource knows only GET). WHATWG HTML, section 9.2.6.

const LONGEST_EVENT = 96 * 1024 * 1024;

/** Yields {event, data} for each event of a response body; `data` is text. Throws when the line breaks mid-event. */
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let kept = "";
  let scanned = 0; // how much of `kept` is known to hold no blank line: long pictures arrive in many chunks
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    kept += value;
    for (;;) {
      const gap = /\r\n\r\n|\n\n|\r\r/g;
      gap.lastIndex = Math.max(0, scanned - 3);
      const blank = gap.exec(kept);
      if (!blank) break;
      const block = kept.slice(0, blank.index);
      kept = kept.slice(gap.lastIndex);
      scanned = 0;
      const event = parse(block);
      if (event) yield event;
    }
    scanned = kept.length;
    if (kept.length > LONGEST_EVENT) throw new Error("an event is larger than any picture");
  }
  if (kept.trim()) throw new Error("the stream ended inside an event");
}

function parse(block) {
  let event = "message";
  const data = [];
  for (const line of block.split(/\r\n|\n|\r/)) {
    if (line.startsWith(":")) continue;
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") event = value;
    if (field === "data") data.push(value);
  }
  return data.length ? { event, data: data.join("\n") } : null;
}
