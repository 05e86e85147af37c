// A refusal teaches: what was found, where, why, what to do, and that nothing was charged.

import { cut, put, say } from "./dom.js";
import { signInAddress, stepUpAddress } from "./gateway.js";
import { conceal, pieces, unitOffset } from "./spans.js";

const CONTEXT = 70;

/** What kind of no this is: the words of its headline, and its colour. */
function kind({ status, code, stage }) {
  if (code === "insufficient_user_authentication") return ["step-up", "quiet"];
  if (status === 401) return ["sign-in", "quiet"];
  if (code === "review_pending") return ["review", "review"];
  if (status === 402) return ["credits", "mask"];
  if (status === 429) return ["wait", "mask"];
  if (code === "moderation_blocked" && stage === "output") return ["withheld", "deny"];
  if (status >= 500) return ["failed", "mask"];
  return ["deny", "deny"];
}

/**
 * The card for a refusal `told` of `prompt`.
 * `acts` = {edit(start, end), rewrite(text), leave()}: what its buttons do; `leave` keeps the words before going away.
 */
export function coachingCard(told, prompt, acts) {
  const { element, slots } = cut("t-coach");
  const [name, colour] = kind(told);
  element.classList.add(colour);
  slots.effect.className = `effect ${colour}`;
  slots.effect.textContent = say(`coach.${name}`);
  const [headline, points] = lesson(told);
  slots.title.textContent = headline;
  quote(slots.quote, prompt, told.reasons);
  slots.reasons.replaceChildren(...points.map(point));
  if (told.retryAfter) slots.reasons.append(point({ message: say("coach.wait.help", { seconds: told.retryAfter }) }));
  slots.reasons.hidden = slots.reasons.childElementCount === 0;
  put(slots.reference, [told.reasons[0]?.code ?? told.code, told.id].filter(Boolean).join(" · "));

  const span = told.reasons.find((r) => r.span)?.span;
  slots.edit.addEventListener("click", () => {
    acts.edit(...(span ?? [prompt.length, prompt.length]).map((at) => unitOffset(prompt, at)));
  });
  slots.edit.hidden = !["deny", "withheld", "credits"].includes(name);
  slots.dismiss.addEventListener("click", () => {
    element.remove();
    acts.edit(prompt.length, prompt.length);
  });
  if (told.masked && told.masked !== prompt) {
    slots.rewrite.hidden = false;
    slots.rewrite.addEventListener("click", () => {
      element.remove();
      acts.rewrite(told.masked);
    });
  }
  if (name === "step-up" || name === "sign-in") {
    const here = location.pathname;
    slots.go.href = name === "step-up" ? stepUpAddress(told.maxAge, here) : signInAddress(here);
    slots.go.addEventListener("click", acts.leave);
    put(slots.go, say(`coach.${name}.go`));
  }
  return element;
}

/** The card for a line that broke: nobody told us how it ended, and the card must not pretend to know. */
export function lostCard(prompt, acts) {
  const card = coachingCard({ status: 0, code: "", message: say("coach.lost.message"), reasons: [], masked: "", id: "", stage: "" }, prompt, acts);
  card.className = "sheet coach mask";
  const effect = card.querySelector(".effect");
  effect.className = "effect mask";
  effect.textContent = say("coach.lost");
  return card;
}

/** The first sentence is the headline; what is left of it, and every further reason, is explained below. */
function lesson(told) {
  const said = told.reasons.filter((r) => r.message || r.help);
  const first = said[0]?.message || told.message || say("coach.odd.message");
  const [, headline, rest] = /^(.{8,}?[.!?])\s+(\S.*)$/s.exec(first) ?? [null, first, ""];
  const points = [{ message: rest, help: said[0]?.help }, ...said.slice(1)];
  return [headline, points.filter((p, i) => (p.message || p.help) && points.findIndex((q) => q.message === p.message) === i)];
}

function point({ message, help }) {
  const { element, slots } = cut("t-reason");
  put(slots.message, message);
  put(slots.help, help);
  return element;
}

/** The person's own words with what was found marked in place, and only as much of them as shows where it stands. */
function quote(element, prompt, reasons) {
  const spans = reasons.filter((r) => Array.isArray(r.span))
    .map((r) => ({ start: r.span[0], end: r.span[1], value: r.code ?? "" }));
  const isHidden = (code) => code.startsWith("dlp.");
  const cutUp = pieces(prompt, spans, (code) => Number(isHidden(code))); // whatever else it stands in
  if (!cutUp.some((piece) => piece.mark !== null)) return;
  element.replaceChildren(...cutUp.map((piece, nth) => {
    if (piece.mark === null) return document.createTextNode(shorten(piece.text, nth === 0, nth === cutUp.length - 1));
    const mark = document.createElement("mark");
    mark.textContent = isHidden(piece.mark) ? conceal(piece.text) : piece.text;
    return mark;
  }));
  element.hidden = false;
}

function shorten(text, first, last) {
  if (first && last) return text;
  const letters = [...text];
  if (letters.length <= CONTEXT * (first || last ? 1 : 2)) return text;
  const head = first ? "" : letters.slice(0, CONTEXT).join("");
  const tail = last ? "" : letters.slice(-CONTEXT).join("");
  return `${head}…${tail}`;
}
