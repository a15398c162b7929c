// What is asked before something is done: the two dialogs.

import { ask, ofActor, ofSession } from "./api.js";
import { say } from "./element.js";
import { shortId } from "./format.js";

const byId = (id) => document.getElementById(id);

for (const dialog of document.querySelectorAll("dialog")) {
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  // A click beside it: the dialog itself is under the pointer there, inside it is the form.
  dialog.addEventListener("pointerdown", (event) => event.target === dialog && dialog.close());
}

/**
 * Ask for a reason, and end a session or all; return the reason, or null if it was not done.
 * `onReason` is told the reason before anything is done.
 */
export function confirmEnd({ actorId, session = null, count = 0, onReason }) {
  const number = Number.isFinite(count) ? `${count} ` : "";
  const all = count === 1 ? "the session" : `all ${number}sessions`;
  say(byId("end-title"), session ? "End this session?" : `End ${all}?`);
  say(
    byId("end-what"),
    session
      ? `Session ${shortId(session.id)} of ${actorId}. Its key is worth nothing from then on.`
      : `Of ${actorId}, on every node. Their keys are worth nothing from then on.`,
  );
  say(byId("end-submit"), session ? "End session" : "End all sessions");
  const input = byId("end-reason");
  input.value = "revoked";
  return opened("end", input, async () => {
    const reason = input.value.trim();
    onReason(reason);
    const path = session ? ofSession(session.id) : ofActor(actorId, "sessions");
    await ask("DELETE", `${path}?reason=${encodeURIComponent(reason)}`);
    return reason;
  });
}

/** Ask for an event, and send it; return its name, or null if it was not sent. */
export function writeEvent({ actorId, session = null }) {
  say(
    byId("emit-what"),
    session
      ? `To the connections of session ${shortId(session.id)}.`
      : `To all sessions of ${actorId}; who is away hears it when they come back.`,
  );
  const name = byId("emit-name");
  return opened("emit", name, async () => {
    const data = parsed(byId("emit-data").value);
    const path = session ? ofSession(session.id, "/events") : ofActor(actorId, "events");
    await ask("POST", path, { body: { name: name.value.trim(), data } });
    return name.value.trim();
  });
}

/** Show a dialog until what it is for was done, or it is closed. What goes wrong is said in it. */
function opened(kind, first, act) {
  const [dialog, form, error, submit] = ["dialog", "form", "error", "submit"].map((part) =>
    byId(`${kind}-${part}`),
  );
  say(error, "");
  return new Promise((resolve) => {
    let result = null;
    const onSubmit = async (event) => {
      event.preventDefault();
      submit.disabled = true;
      try {
        result = await act();
        dialog.close();
      } catch (problem) {
        say(error, problem.message);
        first.focus();
      } finally {
        submit.disabled = false;
      }
    };
    const onClose = () => {
      form.removeEventListener("submit", onSubmit);
      resolve(result);
    };
    form.addEventListener("submit", onSubmit);
    dialog.addEventListener("close", onClose, { once: true });
    dialog.showModal();
    first.focus();
    first.select();
  });
}

function parsed(text) {
  if (!text.trim()) return null;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`This is not JSON: ${error.message}`);
  }
}
