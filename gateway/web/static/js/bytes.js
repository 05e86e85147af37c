// A picture as bytes to send: drawn anew on a canvas, so that it is upright, no larger than a model can use, and PNG.

const MOST_SIDE = 1536; // models make less; and what comes back has this size
const MOST_BYTES = 4_000_000; // of a picture to vary, as OpenAI has it

/** The picture at a blob address or in a file. Throws when it is none. */
export async function picture(source) {
  const image = new Image();
  const address = source instanceof Blob ? URL.createObjectURL(source) : source;
  image.src = address;
  try {
    await image.decode();
  } catch (error) {
    if (source instanceof Blob) URL.revokeObjectURL(address);
    throw error;
  }
  return image;
}

/** A canvas with `image` on it, no side longer than `most`; `square` takes the middle of it. */
export function drawn(image, { square = false, most = MOST_SIDE } = {}) {
  const { naturalWidth: width, naturalHeight: height } = image;
  const [w, h] = square ? [Math.min(width, height), Math.min(width, height)] : [width, height];
  const scale = Math.min(1, most / Math.max(w, h));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(w * scale));
  canvas.height = Math.max(1, Math.round(h * scale));
  canvas.getContext("2d").drawImage(image, (width - w) / 2, (height - h) / 2, w, h, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** A canvas as a PNG file. */
export function png(canvas, name) {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(new File([blob], name, { type: "image/png" })) : reject(new Error("no picture"))), "image/png");
  });
}

/** The square in the middle of `image`, as small as a picture to vary must be. */
export async function squareOf(image) {
  for (let most = MOST_SIDE; ; most *= 0.7) {
    const file = await png(drawn(image, { square: true, most }), "picture.png");
    if (file.size < MOST_BYTES) return file;
  }
}
