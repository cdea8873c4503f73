// Answers are plain text with the little markup that people use when they write
// about code: back-ticks, fences, and four spaces in front of a line.

import { el } from "./dom.js";

// richText returns the nodes of an answer.
export function richText(text) {
  return blocks(text).map(({ code, lines }) => {
    if (!code) return el("p", {}, ...inline(lines.join("\n")));
    // A wide line scrolls, so the block must be reachable by keyboard.
    return el("pre", { tabindex: "0" }, el("code", {}, lines.join("\n")));
  });
}

// blocks cuts text into paragraphs and code. An unclosed fence runs to the end.
// Unlike in Markdown, an indented line right below a paragraph is code as well:
// that is what the authors of answers mean by it.
function blocks(text) {
  const found = [];
  let open = null; // the block that takes the next line, null between blocks
  let fence = "";
  const start = (code) => found.push((open = { code, lines: [] }));

  for (const line of text.replace(/\r\n?/g, "\n").split("\n")) {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1];
    if (fence) {
      if (mark?.startsWith(fence)) [fence, open] = ["", null];
      else open.lines.push(line);
    } else if (mark) {
      fence = mark;
      start(true);
    } else if (/^( {4}|\t)/.test(line) && line.trim()) {
      if (!open?.code) start(true);
      open.lines.push(line.replace(/^( {4}|\t)/, ""));
    } else if (!line.trim()) {
      if (open?.code) open.lines.push("");
      else open = null;
    } else {
      if (!open || open.code) start(false);
      open.lines.push(line);
    }
  }
  return found.map(trimEnd).filter(({ lines }) => lines.length > 0);
}

function trimEnd(block) {
  while (block.lines.length > 0 && !block.lines.at(-1).trim()) block.lines.pop();
  return block;
}

// inline turns spans in back-ticks, one or more on both sides, into code.
function inline(text) {
  const nodes = [];
  let rest = 0;
  for (const span of text.matchAll(/(?<!`)(`+)(?!`)([\s\S]*?[^`])\1(?!`)/g)) {
    nodes.push(text.slice(rest, span.index), el("code", {}, span[2].trim()));
    rest = span.index + span[0].length;
  }
  nodes.push(text.slice(rest));
  return nodes;
}
