// Looking closer at one picture: a native dialog, so Escape, focus and the backdrop are the browser's own.

import { byId, say } from "./dom.js";

/**
 * `acts` = {again, edit, vary}, each of the picture: its words back on the paper, itself above them, more like it.
 * Returns the function that opens a picture.
 */
export function viewer(acts) {
  const dialog = byId("viewer");
  let shown = null;
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // the backdrop
  });
  for (const [name, act] of Object.entries(acts)) {
    byId(`viewer-${name}`).addEventListener("click", () => {
      dialog.close();
      act(shown);
    });
  }
  return (picture) => {
    shown = picture;
    byId("viewer-title").textContent = picture.title;
    const image = byId("viewer-picture");
    image.src = picture.address;
    image.alt = picture.title;
    const download = byId("viewer-download");
    download.href = picture.address;
    download.download = picture.name;
    byId("viewer-again").hidden = picture.prompt === "";
    byId("viewer-facts").replaceChildren(...[
      ["model", picture.model],
      ["size", picture.size?.replace("x", " × ")],
      ["seed", picture.seed],
      ["format", picture.format?.toUpperCase()],
      ["made", picture.made.toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "medium" })],
      ["request", picture.id],
    ].filter(([, value]) => value !== undefined && value !== null && value !== "").flatMap(([name, value]) => {
      const dt = document.createElement("dt");
      dt.textContent = say(`fact.${name}`);
      const dd = document.createElement("dd");
      dd.textContent = value;
      if (name === "request") dd.className = "mono";
      return [dt, dd];
    }));
    dialog.showModal();
  };
}
