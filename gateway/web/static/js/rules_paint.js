// A text in colour: Rego, YAML and JSON as far as comments, strings, numbers and words go. Pieces are text, never markup.

const REGO = new Set(("package import as default if else not some every in with contains true false null set").split(" "));
const GRAMMARS = {
  rego: { words: REGO, pieces: /(#[^\n]*)|("(?:\\.|[^"\\\n])*"?|`[^`]*`?)|(-?\b\d+(?:\.\d+)?\b)|([A-Za-z_]\w*)/g },
  yaml: { words: new Set(["true", "false", "null"]), pieces: /((?<=^|\s)#[^\n]*)|("(?:\\.|[^"\\\n])*"?|'(?:''|[^'\n])*'?)|(-?\b\d+(?:\.\d+)?\b)|([A-Za-z_][\w-]*)(?=:(?:\s|$))|([A-Za-z_]\w*)/gm },
  json: { words: new Set(["true", "false", "null"]), pieces: /($.)|("(?:\\.|[^"\\\n])*"?)|(-?\b\d+(?:\.\d+)?\b)|([A-Za-z_]\w*)/g },
};
GRAMMARS.yml = GRAMMARS.yaml;
GRAMMARS.manifest = GRAMMARS.json;
export const TOO_LONG = 200_000;

/** [start, end, class] of what has a colour, in order. */
export function colours(text, language) {
  const grammar = GRAMMARS[language];
  if (!grammar || text.length > TOO_LONG) return [];
  const found = [];
  for (const match of text.matchAll(grammar.pieces)) {
    const [whole, comment, string, number, word, plain] = match;
    let name = "";
    if (comment !== undefined) name = "c";
    else if (string !== undefined) name = "s";
    else if (number !== undefined) name = "n";
    else if (plain !== undefined) name = grammar.words.has(plain) ? "k" : "";
    else if (word !== undefined) name = grammar.words.has(word) || language.startsWith("y") ? "k" : "";
    if (name) found.push([match.index, match.index + whole.length, name]);
  }
  return found;
}

/** Put `text` into `element` with its colours and `marks`, which lie over them. Both are [start, end, class]. */
export function paint(element, text, language, marks = []) {
  const painted = document.createDocumentFragment();
  const spans = [...colours(text, language)];
  const edges = new Set([0, text.length]);
  for (const [start, end] of [...spans, ...marks]) edges.add(start).add(end);
  const at = [...edges].filter((edge) => edge <= text.length).sort((a, b) => a - b);
  const sorted = [...marks].sort((a, b) => a[0] - b[0]);
  let colour = 0;
  for (let n = 0; n + 1 < at.length; n += 1) {
    const [start, end] = [at[n], at[n + 1]];
    while (colour < spans.length && spans[colour][1] <= start) colour += 1;
    const names = [];
    if (colour < spans.length && spans[colour][0] <= start) names.push(spans[colour][2]);
    for (const [from, to, name] of sorted) if (from <= start && to >= end) names.push(name);
    const piece = text.slice(start, end);
    if (!names.length) painted.append(piece);
    else {
      const span = document.createElement("span");
      span.className = names.join(" ");
      span.textContent = piece;
      painted.append(span);
    }
  }
  painted.append("\n"); // an empty last line has a height only with something after it
  element.replaceChildren(painted);
}
