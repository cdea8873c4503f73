// The panel "Classify a picture".

import { score, Failure } from "./api.js";
import { bytes, el, percent, scoreBar } from "./dom.js";
import { origin } from "./origin.js";
import { Panel } from "./panel.js";

const path = "/api/image?top_k=5";
const { types, maxBytes, maxText } = document.body.dataset;

export function picture(form, region, said) {
  const panel = new Panel(region, said);
  const preview = new Preview(form);
  const input = form.querySelector("input[type=file]");

  const take = (file) => {
    const refused = check(file);
    if (refused) {
      preview.clear();
      panel.reset();
      panel.fail(refused);
      return;
    }
    preview.show(file);
    panel.run(async (signal) => classes(await score(path, file, file.type, signal)));
  };

  input.addEventListener("change", () => {
    const [file] = input.files;
    if (file) take(file);
    input.value = ""; // so that the same file can be chosen again
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.querySelector("#clear").addEventListener("click", () => {
    preview.clear();
    panel.reset();
    input.focus();
  });
  acceptDrops(form.querySelector(".drop"), take);
  acceptPaste(take);
}

// check refuses what the server would refuse as well, before it is sent.
function check(file) {
  if (!types.split(",").includes(file.type)) {
    const kind = file.type ? `a file of type ${file.type}` : "a file of an unknown type";
    return new Failure(`“${file.name}” is ${kind}.`, { hint: "Choose a JPEG, PNG, WebP or GIF picture." });
  }
  if (file.size === 0) return new Failure(`“${file.name}” is empty.`, { hint: "Choose another picture." });
  if (file.size > Number(maxBytes)) {
    return new Failure(`“${file.name}” is too large: ${bytes(file.size)}.`, { hint: `Choose a picture of at most ${maxText}.` });
  }
  return null;
}

// A drop anywhere on the page counts: a near miss must not make the browser
// leave the page to show the file.
function acceptDrops(zone, take) {
  let depth = 0; // of nested elements under the pointer
  const over = (change) => {
    depth = Math.max(depth + change, 0);
    zone.classList.toggle("over", depth > 0);
  };
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");

  addEventListener("dragenter", (event) => hasFiles(event) && over(1));
  addEventListener("dragleave", (event) => hasFiles(event) && over(-1));
  addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    over(-depth);
    const [file] = event.dataTransfer.files;
    if (file) take(file);
  });
}

// Pasted text stays text, also where a picture of it comes along.
function acceptPaste(take) {
  addEventListener("paste", (event) => {
    const data = event.clipboardData;
    const file = [...(data?.files ?? [])].find(({ type }) => type.startsWith("image/"));
    if (!file || data.types.includes("text/plain")) return;
    event.preventDefault();
    take(file);
  });
}

// Preview shows the chosen picture in the drop zone, from the browser's memory.
class Preview {
  #zone;
  #empty;
  #shown;
  #clear;
  #address = "";

  constructor(form) {
    this.#zone = form.querySelector(".drop");
    this.#empty = form.querySelector(".drop-empty");
    this.#shown = form.querySelector(".drop-preview");
    this.#clear = form.querySelector("#clear");
  }

  show(file) {
    this.#release();
    this.#address = URL.createObjectURL(file);
    const image = el("img", { src: this.#address, alt: `Preview of ${file.name}` });
    const caption = el("span", {}, `${file.name} · ${bytes(file.size)}`);
    image.addEventListener("load", () => {
      caption.textContent = `${file.name} · ${image.naturalWidth} × ${image.naturalHeight} · ${bytes(file.size)}`;
    });
    image.addEventListener("error", () => image.remove()); // Onda says what is wrong with it
    this.#shown.replaceChildren(image, caption);
    this.#toggle(true);
  }

  clear() {
    this.#release();
    this.#shown.replaceChildren();
    this.#toggle(false);
  }

  #release() {
    if (this.#address) URL.revokeObjectURL(this.#address);
    this.#address = "";
  }

  #toggle(filled) {
    this.#zone.classList.toggle("filled", filled);
    this.#empty.hidden = filled;
    this.#shown.hidden = !filled;
    this.#clear.hidden = !filled;
  }
}

function classes(answer) {
  const found = answer.predictions[0]?.classes ?? [];
  if (found.length === 0) {
    return { said: "No classes", nodes: [el("div", { class: "nothing" }, el("p", {}, "No class stands out.")), origin(answer)] };
  }
  const list = el("ol", { class: "ranked" }, ...found.map(row));
  return { said: `${found[0].label}, ${percent(found[0].score)}`, nodes: [list, origin(answer)] };
}

function row({ index, label, score: value }) {
  return el("li", { class: "class", "data-index": index }, el("span", { class: "label" }, label), scoreBar(value));
}
