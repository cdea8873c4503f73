// Panel is the part of the page that shows one scenario's answer. It is in one
// of these states: idle, working, failed, or showing a result.

import { el, wave } from "./dom.js";
import { Failure } from "./api.js";

export class Panel {
  #region;
  #said;
  #idle;
  #running = null;

  // region takes the answer; said is read aloud whenever it changes.
  constructor(region, said) {
    this.#region = region;
    this.#said = said;
    this.#idle = [...region.childNodes];
  }

  // reset gives up what is running and goes back to the idle state.
  reset() {
    this.#running?.abort();
    this.#show("", ...this.#idle);
  }

  // run does work and shows what it returns, {said, nodes}. A newer run takes
  // the place of an older one, whose answer nobody waits for any more.
  async run(work) {
    this.#running?.abort();
    const running = (this.#running = new AbortController());
    this.#region.setAttribute("aria-busy", "true");
    this.#show("Scoring", waiting());
    try {
      const { said, nodes } = await work(running.signal);
      if (!running.signal.aborted) this.#show(said, ...nodes);
    } catch (error) {
      if (!running.signal.aborted) this.fail(error, () => this.run(work));
    } finally {
      if (this.#running === running) this.#region.removeAttribute("aria-busy");
    }
  }

  // fail shows an error, with a button to try again where that can help.
  fail(error, again = null) {
    this.#running?.abort();
    if (!(error instanceof Failure)) console.error(error);
    const known = error instanceof Failure ? error : new Failure("Something went wrong on this page.");
    this.#show("", failure(known, again && worthRepeating(known) ? again : null));
  }

  #show(said, ...nodes) {
    this.#said.textContent = said;
    this.#region.replaceChildren(...nodes);
  }
}

// A request that is wrong in itself stays wrong.
const worthRepeating = ({ status }) => status === 0 || status === 429 || status >= 500;

function waiting() {
  const bone = () => el("div", { class: "bone" });
  return el("div", { class: "waiting" }, el("p", {}, wave(), "Scoring"), bone(), bone(), bone());
}

function failure({ message, hint, status, retryAfter }, again) {
  const box = el("div", { class: "failure", role: "alert" }, el("strong", {}, message));
  if (hint) box.append(el("p", {}, hint));
  const facts = [status && `Status ${status}`, /^\d+$/.test(retryAfter) && `try again in ${retryAfter} s`].filter(Boolean);
  if (facts.length > 0) box.append(el("small", {}, facts.join(", ")));
  if (again) {
    const button = el("button", { class: "button quiet", type: "button" }, "Try again");
    button.addEventListener("click", again);
    box.append(button);
  }
  return box;
}
