// The dialogs: end sessions, send an event, change meta.

import { ask, ofActor, ofSession } from "./api.js";
import { say } from "./element.js";
import { shortId } from "./format.js";

let lastTarget = null;

const byId = (id) => document.getElementById(id);

for (const dialog of document.querySelectorAll("dialog")) {
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  // A click beside it: the dialog itself is under the pointer there, inside it is the form.
  dialog.addEventListener("pointerdown", (event) => event.target === dialog && dialog.close());
}

/**
 * Ask for a reason, and end a session or all; return the reason, or null if it was not done.
 * `onReason` is called with the reason before anything is done.
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
    const path = session
      ? `${ofSession(session.id)}?${new URLSearchParams({ reason })}`
      : ofActor(actorId, "sessions", { reason });
    await ask("DELETE", path);
    return reason;
  });
}

/**
 * Ask for an event, and send it; return its name, or null if it was not sent. It goes to a session,
 * to all sessions of an actor, or without either to every connection.
 */
export function writeEvent({ actorId = null, session = null } = {}) {
  const [what, path, to] = session
    ? [`To the connections of session ${shortId(session.id)}.`, ofSession(session.id, "/events")]
    : actorId !== null
      ? [
          `To all sessions of ${actorId}; clients that are away get it when they come back.`,
          "v1/emit",
          { actorId },
        ]
      : ["To every connection that is subscribed to it now.", "v1/broadcast"];
  say(byId("emit-what"), what);
  const [name, data] = [byId("emit-name"), byId("emit-data")];
  const target = JSON.stringify([path, to]);
  if (target !== lastTarget) [name.value, data.value] = ["", ""]; // It was meant for another target.
  lastTarget = target;
  return opened("emit", name, async () => {
    const body = { ...to, name: name.value.trim(), data: parsed(data) };
    await ask("POST", path, { body });
    return name.value.trim();
  });
}

/** Ask for new meta of a session, and change it; return whether that was done. */
export async function changeMeta(session) {
  say(byId("meta-what"), `Of session ${shortId(session.id)}. Its clients get it at once.`);
  const data = byId("meta-data");
  data.value = JSON.stringify(session.meta, null, 2);
  const changed = await opened("meta", data, async () => {
    const body = { meta: parsed(data) ?? {}, revision: session.revision };
    await ask("PATCH", ofSession(session.id), { body });
    return true;
  });
  return changed === true;
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
        (problem.field ?? first).focus();
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

/** The value of a field that holds JSON; an error names the field, which gets the focus. */
function parsed(field) {
  if (!field.value.trim()) return null;
  try {
    return JSON.parse(field.value);
  } catch (error) {
    throw Object.assign(new Error(`This is not JSON: ${error.message}`), { field });
  }
}
