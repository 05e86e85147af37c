// Size, count and model: what the gateway says this person may use, as native radio buttons.

import { cut, say } from "./dom.js";
import { call } from "./gateway.js";

const COUNTS = [1, 2, 4, 6, 8, 10];
const USUAL_COUNT = 4;

/** The models this person may use; empty when none, or when the gateway can't say now. */
export async function models() {
  try {
    const response = await call("GET", "/v1/models");
    return response.ok ? (await response.json()).data ?? [] : [];
  } catch {
    return [];
  }
}

/** Fill a fieldset with one chip a choice: [{value, label}]. Keeps what was chosen if it is still there. */
export function offer(fieldset, name, choices, usual) {
  const before = fieldset.querySelector("input:checked")?.value;
  const kept = choices.some((c) => String(c.value) === before) ? before : String(usual);
  for (const old of fieldset.querySelectorAll("label")) old.remove();
  for (const { value, label } of choices) {
    const { element, slots } = cut("t-chip");
    const input = element.querySelector("input");
    input.name = name;
    input.value = value;
    input.checked = String(value) === kept;
    slots.label.textContent = label;
    fieldset.append(element);
  }
}

/** Sizes as words: "Square 512", and the numbers alone where two would share a word. */
export function sizeChoices(sizes) {
  const seen = new Map();
  for (const size of sizes) seen.set(shape(size), (seen.get(shape(size)) ?? 0) + 1);
  return sizes.map((size) => {
    const word = say(`size.${shape(size)}`);
    return { value: size, label: seen.get(shape(size)) > 1 ? `${word} ${size.replace("x", "×")}` : word };
  });
}

function shape(size) {
  if (size === "auto") return "auto";
  const [width, height] = size.split("x").map(Number);
  return width === height ? "square" : width > height ? "wide" : "tall";
}

export const countChoices = (most) =>
  COUNTS.filter((n) => n <= most).map((n) => ({ value: n, label: String(n) }));

export const usualCount = (most) => Math.min(USUAL_COUNT, most);
