// One request on the stage: its title, its progress, its pictures as they become sharp.

import { count, cut, put, say } from "./dom.js";
import { fileName, pictureAddress } from "./pictures.js";

export class Run {
  /** `request` is {prompt?, model, n, size}, and `title` says what it is; `look(picture)` opens one of its pictures. */
  constructor(request, title, look) {
    this.request = request;
    this.title = title;
    this.look = look;
    this.id = "";
    this.finished = 0;
    const { element, slots } = cut("t-run");
    this.element = element;
    this.slots = slots;
    element.classList.add("busy");
    slots.title.textContent = title;
    slots.state.textContent = say("state.sending");
    slots.bar.removeAttribute("value"); // indeterminate until the first step is done
    slots.pictures.classList.toggle("one", request.n === 1);
    slots.pictures.classList.toggle("many", request.n > 4);
    this.figures = Array.from({ length: request.n }, (_, index) => this.#figure(index));
  }

  /** Everything said yes, and this is what the model will see. */
  accepted({ request_id: id, revised_prompt: revised }) {
    this.id = id;
    this.revised = revised;
    if (!revised) return;
    this.slots.revised.textContent = revised;
    this.slots.rewritten.hidden = false;
  }

  progress({ step, steps, queue_position: position, eta_seconds: eta }) {
    if (position > 0) {
      this.slots.state.textContent = say("state.queue", { position });
      return;
    }
    this.slots.bar.max = steps || 1;
    this.slots.bar.value = step || 0;
    const words = [say("state.step", { step, steps })];
    if (eta >= 1) words.push(say("state.eta", { seconds: Math.round(eta) }));
    this.slots.state.textContent = words.join(" · ");
  }

  partial({ b64_json: data, index = 0, partial_image_index: nth = 0, output_format: format }) {
    const figure = this.figures[index];
    if (!figure || !figure.element.classList.contains("working")) return;
    this.#show(figure, pictureAddress(data, format));
    figure.element.classList.toggle("sharper", nth > 0);
  }

  completed(told) {
    const { b64_json: data, index = this.finished, output_format: format = "png", size, seed } = told;
    const figure = this.figures[index];
    if (!figure) return;
    const { n, prompt = "", model } = this.request;
    const address = pictureAddress(data, format);
    this.#show(figure, address);
    figure.element.classList.remove("working", "sharper");
    figure.slots.image.alt = say("picture.alt", { prompt: this.title, index: index + 1, n });
    const words = told.revised_prompt || this.revised || this.title;
    const name = fileName(words, told.request_id ?? this.id, index, format);
    const { download, open } = figure.slots;
    download.href = address;
    download.download = name;
    download.hidden = false;
    open.disabled = false;
    open.setAttribute("aria-label", say("picture.open", { index: index + 1, n }));
    const picture = { address, name, prompt, words, title: this.title, model: told.model || model, size, format, seed, id: told.request_id ?? this.id, made: new Date() };
    open.addEventListener("click", () => this.look(picture));
    this.finished++;
    this.last = told;
  }

  /** All pictures have come. */
  done() {
    const cost = this.last?.credits;
    const left = this.last?.credits_remaining;
    this.#close(Number.isInteger(cost) ? say("state.done", { cost: count("cost", cost), left }) : "");
  }

  /** It ended early: what is finished stays, what isn't goes. */
  stop(state) {
    for (const figure of this.figures) {
      if (!figure.element.classList.contains("working")) continue;
      URL.revokeObjectURL(figure.slots.image.src);
      figure.element.remove();
    }
    this.#close(say(state));
    if (this.finished === 0) this.slots.pictures.remove();
  }

  #close(state) {
    this.element.classList.remove("busy");
    put(this.slots.state, state);
  }

  #figure(index) {
    const figure = cut("t-picture");
    const [width, height] = (this.request.size ?? "").split("x").map(Number);
    if (width && height) figure.element.style.aspectRatio = `${width} / ${height}`;
    figure.slots.open.setAttribute("aria-label", say("picture.working", { index: index + 1, n: this.request.n }));
    this.slots.pictures.append(figure.element);
    return figure;
  }

  #show(figure, address) {
    const { image } = figure.slots;
    if (image.src) URL.revokeObjectURL(image.src);
    image.src = address;
    image.hidden = false;
  }
}
