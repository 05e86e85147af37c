// Bytes of a picture as something an <img> and a download can use.

// A Map, not an object: "constructor" is no format.
const TYPES = new Map([["png", "image/png"], ["webp", "image/webp"], ["jpeg", "image/jpeg"]]);

/** A blob address for base64 of a known format. Throws for any other: an SVG would be a document, not a picture. */
export function pictureAddress(base64, format) {
  const type = TYPES.get(format ?? "png");
  if (!type) throw new Error("not a picture format");
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  return URL.createObjectURL(new Blob([bytes], { type }));
}

/** `a-fox-on-a-blue-background-0197f2c1-2.png`. From the words the model saw, so that what was masked stays masked. */
export function fileName(words, requestId, index, format) {
  const slug = words
    .normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "");
  const short = [...slug].slice(0, 48).join("").replace(/-[^-]*$/, (tail) => ([...slug].length > 48 ? "" : tail));
  const id = requestId.replaceAll("-", "").slice(-8);
  return [short || "picture", id, index + 1].filter((part) => part !== "").join("-") + `.${format === "jpeg" ? "jpg" : format}`;
}
