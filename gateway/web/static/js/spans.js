// The gateway counts characters (Unicode code points); a browser counts UTF-16 units. An emoji is one and two.

/** The position in `text` of its `n`-th code point, in UTF-16 units. */
export function unitOffset(text, n) {
  let units = 0;
  for (let seen = 0; seen < n && units < text.length; seen++) units += text.codePointAt(units) > 0xffff ? 2 : 1;
  return units;
}

/**
 * Cut `text` into pieces, marked and plain: [{text, mark}], `mark` being the span's own value or null.
 * Spans are [{start, end, value}] in code points. Where some overlap, the piece is of the one whose value ranks highest
 * (`rank`), among equals of the one that begins first, then of the longer; one that lies outside the text is left out.
 */
export function pieces(text, spans, rank = () => 0) {
  const found = spans
    .map(({ start, end, value }) => ({ start: unitOffset(text, start), end: unitOffset(text, end), value }))
    .filter(({ start, end }) => start < end)
    .sort((a, b) => rank(b.value) - rank(a.value) || a.start - b.start || b.end - a.end);
  const edges = [...new Set([0, text.length, ...found.flatMap(({ start, end }) => [start, end])])].sort((a, b) => a - b);
  const cut = [];
  let last;
  for (let at = 0; at + 1 < edges.length; at++) {
    const [from, to] = [edges[at], edges[at + 1]];
    const owner = found.find(({ start, end }) => start <= from && to <= end) ?? null;
    if (cut.length && owner === last) cut[cut.length - 1].text += text.slice(from, to);
    else cut.push({ text: text.slice(from, to), mark: owner?.value ?? null });
    last = owner;
  }
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
