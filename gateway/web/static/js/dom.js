// Pieces of a page are cut from its <template>s and filled with text: never with markup.

const strings = JSON.parse(document.getElementById("strings").textContent);

/** A sentence of the page's language. `{name}` is replaced by `values.name`; an unknown key shows itself. */
export function say(key, values = {}) {
  return (strings[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/** `say` for a counted thing: `key.one` or `key.many`. */
export function count(key, n) {
  return say(`${key}.${n === 1 ? "one" : "many"}`, { n });
}

/** A copy of template `id`: its element, and its `data-slot` parts by name. */
export function cut(id) {
  const element = document.getElementById(id).content.firstElementChild.cloneNode(true);
  const slots = {};
  for (const part of element.querySelectorAll("[data-slot]")) slots[part.dataset.slot] = part;
  if (element.dataset.slot) slots[element.dataset.slot] = element;
  return { element, slots };
}

/** Put `text` into an element and show it; hide it when there is none. */
export function put(element, text) {
  element.textContent = text ?? "";
  element.hidden = !text;
}

export const byId = (id) => document.getElementById(id);
