// Building the page from data. Everything that comes from outside becomes a
// text node here and never markup; the page's content policy enforces it.

// el makes an element. Names of attributes are HTML's; a false, null or
// undefined one is left out. Children are nodes or text.
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value == null) continue;
    node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

// percent writes a score from 0 to 1. Below ten, a decimal tells small scores
// apart; a tiny one does not become a false zero.
export function percent(score) {
  const value = score * 100;
  if (value > 0 && value < 0.1) return "<0.1 %";
  return `${value < 9.95 ? value.toFixed(1) : value.toFixed(0)} %`;
}

// scoreBar shows a score as a bar and in figures. Readers of the page aloud get
// the figures alone.
export function scoreBar(score) {
  const fill = el("div", { class: "fill" });
  fill.style.width = `${Math.min(Math.max(score, 0), 1) * 100}%`;
  return el("div", { class: "score" }, el("div", { class: "bar", "aria-hidden": "true" }, fill), el("output", {}, percent(score)));
}

// bytes writes a size the way people do.
export function bytes(count) {
  if (count < 1024) return `${count} bytes`;
  if (count < 1024 * 1024) return `${(count / 1024).toFixed(0)} KB`;
  return `${(count / (1024 * 1024)).toFixed(1)} MB`;
}

// wave is the sign of work going on.
export function wave() {
  const ns = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(ns, "svg");
  svg.setAttribute("viewBox", "0 0 40 16");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(ns, "path");
  path.setAttribute("d", "M0 11c5 0 5-6 10-6s5 6 10 6 5-6 10-6 5 6 10 6 5-6 10-6 5 6 10 6");
  svg.append(path);
  return svg;
}
