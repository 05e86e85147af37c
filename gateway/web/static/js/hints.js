// While a person types: what screening would find, marked beneath their own words before anything is sent.

import { cut, say } from "./dom.js";
import { call } from "./gateway.js";
import { pieces } from "./spans.js";

const PAUSE_MS = 400;
const SHORTEST = 4;
const STRICTNESS = ["allow", "mask", "review", "deny"];

/** Watch `field`; paint marks into `shadow`, sentences into `list`. Returns {refresh} for changes made by a script. */
export function watch(field, shadow, list) {
  let timer = 0;
  let asked = null;

  const paint = (text, findings) => {
    const spans = findings.map((f) => ({ ...f, value: f.effect }));
    shadow.replaceChildren(...pieces(text, spans, (effect) => STRICTNESS.indexOf(effect)).map((piece) => {
      if (piece.mark === null) return document.createTextNode(piece.text);
      const mark = document.createElement("mark");
      mark.className = piece.mark;
      mark.textContent = piece.text;
      return mark;
    }), "\u200b"); // keeps a last empty line as tall as the field's
  };

  const tell = (findings) => {
    const said = new Set();
    list.replaceChildren(...findings.filter((f) => f.message && !said.has(f.message) && said.add(f.message)).map((f) => {
      const { element, slots } = cut("t-hint");
      slots.effect.classList.add(f.effect);
      slots.effect.textContent = say(`hint.${f.effect}`);
      slots.message.textContent = f.message;
      return element;
    }));
  };

  const ask = async () => {
    const text = field.value;
    asked?.abort();
    if (text.trim().length < SHORTEST) return tell([]);
    asked = new AbortController();
    try {
      const response = await call("POST", "/v1/screening/hints", { text }, { signal: asked.signal });
      const findings = response.ok ? (await response.json()).findings ?? [] : [];
      if (field.value !== text) return undefined; // an answer about words that are no longer there
      paint(text, findings);
      tell(findings);
    } catch {
      // Hints are a courtesy: the gateway screens for itself when the request comes.
    }
    return undefined;
  };

  const refresh = () => {
    paint(field.value, []);
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE_MS);
  };
  field.addEventListener("input", refresh);
  refresh();
  return { refresh };
}
