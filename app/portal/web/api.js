// Calls to the portal's own server, and what its answers mean.

// Failure is an error that is fit to be read: what is wrong, and what to do.
export class Failure extends Error {
  constructor(message, { hint = "", status = 0, retryAfter = "" } = {}) {
    super(message);
    this.hint = hint;
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

// The server ends a scoring by itself; this only covers a server that is gone.
const grace = 5000;
const limit = Number(document.body.dataset.timeoutMs) + grace;

// score posts body and returns the answer with its timing. The signal ends it
// early, when a newer request has taken its place.
export async function score(path, body, type, signal) {
  const begun = performance.now();
  try {
    const response = await fetch(path, {
      method: "POST",
      body,
      headers: { "content-type": type },
      signal: AbortSignal.any([signal, AbortSignal.timeout(limit)]),
    });
    const text = await response.text();
    const took = performance.now() - begun;
    if (!response.ok) throw refusal(response, text);
    const answer = parse(text);
    if (!answer?.predictions) throw new Failure("The answer was incomplete.", { hint: "Try again." });
    return { ...answer, took, phases: serverTiming(response.headers.get("server-timing") ?? "") };
  } catch (error) {
    throw explain(error, signal);
  }
}

function explain(error, signal) {
  if (error instanceof Failure || signal.aborted) return error;
  if (error.name === "TimeoutError") return new Failure("The portal did not answer in time.", { hint: "Try again." });
  return new Failure("The portal cannot be reached.", { hint: "Check that it is running, then try again." });
}

function refusal(response, text) {
  const { error, hint } = parse(text) ?? {};
  return new Failure(error ? sentence(error) : `The request failed with status ${response.status}.`, {
    hint,
    status: response.status,
    retryAfter: response.headers.get("retry-after") ?? "",
  });
}

// sentence makes an error that was written for a program fit for a person.
function sentence(text) {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

// serverTiming reads the header of that name: [{name, ms}], in its order.
export function serverTiming(header) {
  return [...header.matchAll(/([\w-]+)\s*;[^,]*?\bdur=([\d.]+)/g)]
    .map(([, name, ms]) => ({ name, ms: Number(ms) }))
    .filter(({ ms }) => Number.isFinite(ms));
}
