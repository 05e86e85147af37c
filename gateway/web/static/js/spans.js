// The gateway counts characters (Unicode code points); a browser counts UTF-16 units. An emoji is one and two.

/** The position in `text` of its `n`-th code point, in UTF-16 units. */
export function unitOffset(text, n) {
  let units = 0;
  for (let seen = 0; seen < n && units < text.length; seen++) units += text.codePointAt(units) > 0xffff ? 2 : 1;
  return units;
}

/**
 * Cut `text` into pieces, marked and plain: [{text, mark}], `mark` being the span's own value or null.
 * Spans are [{start, end, value}] in code points. Where two overlap the earlier one keeps the overlap; one that lies
 * outside the text is left out.
 */
export function pieces(text, spans) {
  const found = spans
    .map(({ start, end, value }) => ({ start: unitOffset(text, start), end: unitOffset(text, end), value }))
    .filter(({ start, end }) => start < end)
    .sort((a, b) => a.start - b.start || b.end - a.end);
  const cut = [];
  let at = 0;
  for (const { start, end, value } of found) {
    const from = Math.max(start, at);
    if (from >= end) continue;
    if (from > at) cut.push({ text: text.slice(at, from), mark: null });
    cut.push({ text: text.slice(from, end), mark: value });
    at = end;
  }
  if (at < text.length) cut.push({ text: text.slice(at), mark: null });
  return cut;
}

/** What was found, still recognisable to who typed it, no longer readable over their shoulder. */
export function conceal(value) {
  const letters = [...value];
  const shown = letters.length >= 12 ? 4 : letters.length >= 6 ? 2 : 1;
  return letters
    .map((c, i) => (i < shown || i >= letters.length - shown || !/[\p{L}\p{N}]/u.test(c) ? c : "•"))
    .join("");
}
