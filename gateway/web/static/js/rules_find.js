// Finding in the editor's text: next, before, how many, and `:12` for a line.

/** Where `words` stand in `text`, whatever their case: [start, end] each. */
export function places(text, words) {
  const found = [];
  if (!words) return found;
  const [where, what] = [text.toLowerCase(), words.toLowerCase()];
  if (where.length !== text.length) return found; // a letter that grows in lower case would shift every place
  for (let at = where.indexOf(what); at >= 0 && found.length < 10_000; at = where.indexOf(what, at + what.length)) {
    found.push([at, at + what.length]);
  }
  return found;
}

/** The place of line `line` and column `column`, both from 1; the end when there are fewer. */
export function placeOf(text, line, column = 1) {
  let start = 0;
  for (let n = 1; n < line; n += 1) {
    const end = text.indexOf("\n", start);
    if (end < 0) return text.length;
    start = end + 1;
  }
  const end = text.indexOf("\n", start);
  return Math.min(start + Math.max(column, 1) - 1, end < 0 ? text.length : end);
}

/** The one to go to from `caret`: the next, or the one before when `step` is -1; around the end. */
export function next(found, caret, step) {
  if (!found.length) return -1;
  if (step > 0) {
    const after = found.findIndex(([start]) => start >= caret);
    return after < 0 ? 0 : after;
  }
  for (let n = found.length - 1; n >= 0; n -= 1) if (found[n][1] < caret) return n;
  return found.length - 1;
}
