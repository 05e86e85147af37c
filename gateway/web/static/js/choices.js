// Size, count and model: what the gateway says this person may use, as native radio buttons.

import { cut, say } from "./dom.js";
import { call } from "./gateway.js";

// What the shipped rules let an employee ask for at once; programs may ask for more where their rules say so.
const COUNTS = { generate: [1, 2, 4], edit: [1, 2, 3] };

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

/** Sizes as words; with numbers where two would share a word, and numbers alone where all would. Small ones first. */
export function sizeChoices(sizes) {
  const seen = new Map();
  for (const size of sizes) seen.set(shape(size), (seen.get(shape(size)) ?? 0) + 1);
  const label = (size) => {
    const word = say(`size.${shape(size)}`);
    const numbers = shape(size) === "square" ? size.split("x")[0] : size.replace("x", "×");
    if (seen.get(shape(size)) === 1) return word;
    return seen.size === 1 ? `${numbers} px` : `${word} ${numbers}`;
  };
  return [...sizes].sort((a, b) => area(a) - area(b)).map((size) => ({ value: size, label: label(size) }));
}

const area = (size) => size.split("x").reduce((product, side) => product * (Number(side) || 0), 1);

function shape(size) {
  if (size === "auto") return "auto";
  const [width, height] = size.split("x").map(Number);
  return width === height ? "square" : width > height ? "wide" : "tall";
}

export const countChoices = (task, most) =>
  COUNTS[task].filter((n) => n <= most).map((n) => ({ value: n, label: String(n) }));

export const usualCount = (task, most) => Math.min(COUNTS[task].at(-1), most);
