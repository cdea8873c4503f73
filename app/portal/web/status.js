// The pill that says whether Onda can be reached.

const whenReady = 20000;
const whenAway = 4000; // someone may be waiting for it to come up

export function watch(pill, text) {
  let timer = 0;

  const show = (state, words, why = "") => {
    pill.dataset.state = state;
    pill.title = why;
    // Setting the same words again would make them be read aloud again.
    if (text.textContent !== words) text.textContent = words;
  };

  const ask = async () => {
    clearTimeout(timer);
    const ready = await reach(show);
    if (!document.hidden) timer = setTimeout(ask, ready ? whenReady : whenAway);
  };

  // A page in the background asks nothing, and catches up when it returns.
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : ask()));
  ask();
}

async function reach(show) {
  try {
    const response = await fetch("/readyz", { signal: AbortSignal.timeout(6000) });
    if (response.ok) {
      show("ready", "Onda is ready");
      return true;
    }
    const { error = "", hint = "" } = await response.json();
    show("away", "Onda is not ready", `${error} ${hint}`);
  } catch {
    show("away", "Portal is not reachable");
  }
  return false;
}
