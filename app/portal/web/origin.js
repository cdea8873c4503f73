// Where an answer comes from and where its time went.

import { el } from "./dom.js";

// Each phase keeps its colour; what a newer Onda adds shares the last one.
const colours = ["decode", "queue", "preprocess", "run", "postprocess"];

const ms = (value) => `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`;

// origin names the model and breaks the round trip down into its phases.
export function origin({ model = {}, took, phases }) {
  return el(
    "div",
    { class: "origin" },
    el(
      "div",
      { class: "facts" },
      el("span", {}, el("strong", {}, model.name ?? "model"), ` version ${model.version ?? "?"}`, digest(model.digest)),
      el("span", { class: "total" }, `${ms(took)} round trip`),
    ),
    ...breakdown(took, phases),
  );
}

// A digest is shown as far as people compare it; the whole one is a hover away.
function digest(value) {
  if (!value) return null;
  const short = value.replace(/^sha256:/, "").slice(0, 12);
  return el("span", {}, " · ", el("code", { title: value }, short));
}

function breakdown(took, phases) {
  if (phases.length === 0) return [];
  const inside = phases.reduce((sum, phase) => sum + phase.ms, 0);
  const shown = [...phases, { name: "network and sidecars", ms: Math.max(took - inside, 0) }];
  const stack = el("div", { class: "stack", "aria-hidden": "true" });
  const legend = el("ul", { class: "legend", "aria-label": "Where the time went" });
  for (const phase of shown) {
    const colour = colours.indexOf(phase.name);
    const key = { "data-phase": colour < 0 ? colours.length : colour };
    legend.append(el("li", key, `${phase.name} ${ms(phase.ms)}`));
    if (phase.ms <= 0) continue;
    const part = el("span", key);
    part.style.flexGrow = phase.ms;
    stack.append(part);
  }
  return [stack, legend];
}
