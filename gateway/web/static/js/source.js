// The picture to work on: shown above the words, with the part of it that shall change.

import { brush } from "./brush.js";
import { drawn, picture, png, squareOf } from "./bytes.js";
import { byId, put, say } from "./dom.js";

const SIDES = ["left", "top", "width", "height"]; // of the box, in percent

/** `changed()` is told when a picture comes or goes. */
export function source(changed) {
  const panel = byId("source");
  const overlay = byId("overlay");
  const paint = brush(overlay, () => put(byId("where-told"), ""));
  let image = null;

  const where = () => panel.querySelector('input[name="where"]:checked').value;
  const box = () => SIDES.map((side) => Number(byId(`box-${side}`).value) / 100);

  /** Fill the box, cut to the picture, into a context of the picture's size. */
  function fillBox(context) {
    const [left, top, width, height] = box();
    context.fillRect(left * overlay.width, top * overlay.height, width * overlay.width, height * overlay.height);
  }

  function show() {
    const kind = where();
    byId("box").hidden = kind !== "box";
    byId("painting").hidden = kind !== "paint";
    overlay.hidden = kind === "all";
    overlay.classList.toggle("painted", kind === "paint");
    put(byId("where-told"), "");
    if (kind === "paint") paint.show();
    if (kind !== "box") return;
    const ink = overlay.getContext("2d");
    ink.clearRect(0, 0, overlay.width, overlay.height);
    ink.fillStyle = getComputedStyle(overlay).color;
    fillBox(ink);
  }

  async function take(from) {
    put(byId("source-told"), "");
    try {
      image = await picture(from);
    } catch {
      put(byId("source-told"), say("source.broken"));
      return;
    }
    const { width, height } = drawn(image);
    overlay.width = width;
    overlay.height = height;
    paint.clear();
    byId("source-picture").src = image.src;
    panel.querySelector('input[value="all"]').checked = true;
    panel.hidden = false;
    show();
    changed();
  }

  function away() {
    image = null;
    panel.hidden = true;
    byId("source-picture").removeAttribute("src");
    changed();
  }

  /** Opaque, but for what shall change; null = everything. */
  function mask() {
    if (where() === "all") return null;
    const canvas = document.createElement("canvas");
    canvas.width = overlay.width;
    canvas.height = overlay.height;
    const context = canvas.getContext("2d");
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.globalCompositeOperation = "destination-out";
    if (where() === "box") fillBox(context);
    else paint.trace(context);
    return canvas;
  }

  byId("upload").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    event.target.value = ""; // the same file again is a change again
    if (file) await take(file);
  });
  byId("source-away").addEventListener("click", away);
  byId("brush-undo").addEventListener("click", () => paint.undo());
  byId("brush-clear").addEventListener("click", () => paint.clear());
  byId("brush-width").addEventListener("input", (event) => { paint.share = Number(event.target.value) / 100; });
  panel.addEventListener("input", show);

  return {
    take,
    away,
    get isThere() { return image !== null; },
    get size() { return `${overlay.width}x${overlay.height}`; },
    /** Whether something is marked to change; says what is missing when not. */
    isReady() {
      const [, , width, height] = box();
      const missing = (where() === "paint" && paint.isEmpty) || (where() === "box" && !(width > 0 && height > 0));
      if (missing) put(byId("where-told"), say(`where.${where()}.missing`));
      return !missing;
    },
    /** The files of an edit. */
    async files() {
      const hole = mask();
      const sent = [["image", await png(drawn(image), "picture.png")]];
      if (hole) sent.push(["mask", await png(hole, "mask.png")]);
      return sent;
    },
    get picture() { return image; },
  };
}

/** The files of a variation of the picture at an address, or of an image that is there already. */
export async function squared(from) {
  return [["image", await squareOf(from instanceof Image ? from : await picture(from))]];
}
