// The panel "Ask about JavaScript".

import { score, Failure } from "./api.js";
import { el, percent, scoreBar } from "./dom.js";
import { origin } from "./origin.js";
import { Panel } from "./panel.js";
import { richText } from "./text.js";

const path = "/api/faq?top_k=5";

export function faq(form, region, said) {
  const panel = new Panel(region, said);
  const question = form.elements.question;

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = question.value.trim();
    if (!text) {
      panel.fail(new Failure("There is no question yet.", { hint: "Type one, or pick an example." }));
      question.focus();
      return;
    }
    panel.run(async (signal) => matches(await score(path, text, "text/plain; charset=utf-8", signal)));
  });

  question.addEventListener("keydown", (event) => {
    // While a word is being composed, Enter belongs to the input method.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });

  for (const chip of form.querySelectorAll(".chip")) {
    chip.addEventListener("click", () => {
      question.value = chip.textContent;
      form.requestSubmit();
    });
  }
}

function matches(answer) {
  const found = answer.predictions[0]?.matches ?? [];
  if (found.length === 0) {
    const nothing = el("div", { class: "nothing" }, el("p", {}, "No entry of the FAQ matches."), el("p", {}, "Try other words."));
    return { said: "No matches", nodes: [nothing, origin(answer)] };
  }
  const list = el("ol", { class: "ranked" }, ...found.map(match));
  const count = found.length === 1 ? "1 match" : `${found.length} matches`;
  return { said: `${count}. Best: ${found[0].question}, ${percent(found[0].score)}`, nodes: [list, origin(answer)] };
}

function match({ id, question, answer, score: value }, rank) {
  const summary = el("summary", {}, el("span", { class: "question" }, question), scoreBar(value));
  const text = el("div", { class: "answer" }, ...richText(answer ?? ""));
  return el("li", { class: "match", "data-id": id }, el("details", { open: rank === 0 }, summary, text));
}
