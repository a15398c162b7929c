// The page: what its address shows, the search, and the way out.

import { Activity } from "./activity.js";
import { ActorView } from "./actor.js";
import { ask, request } from "./api.js";
import { el, say } from "./element.js";
import { Overview } from "./overview.js";
import { addressOf, placeOf, soughtActor, soughtSession } from "./search.js";
import { pause } from "./waiting.js";

const SUGGEST_AFTER_MS = 150;

const overview = document.getElementById("overview");
const place = document.getElementById("actor");
const search = document.getElementById("find-actor");
const activity = new Activity();
let view = null;

function route() {
  const { actorId, sessionId } = placeOf(location.hash);
  if (view && view.actorId === actorId) return view.find(sessionId);
  view?.close();
  view = actorId ? new ActorView(actorId, sessionId) : null;
  overview.hidden = view !== null;
  if (view) activity.close();
  else activity.open();
  place.hidden = view === null;
  place.replaceChildren(...(view ? [view.root] : []));
  document.title = view ? `${actorId} · Keystay` : "Keystay";
  if (view) search.value = actorId;
  view?.open();
  view?.title.focus();
  scrollTo(0, 0);
}

const find = document.getElementById("find");
find.addEventListener("submit", (event) => {
  event.preventDefault();
  const [actorId, sessionId] = [soughtActor(search.value), soughtSession(search.value)];
  search.value = actorId;
  if (actorId) location.hash = addressOf(actorId, sessionId);
});

// Actors that are connected now and whose ids begin like this.
const suggestions = document.getElementById("actors");
let asked = new AbortController();
search.addEventListener("input", async () => {
  asked.abort();
  asked = new AbortController();
  const { signal } = asked;
  const prefix = soughtActor(search.value);
  if (!prefix) return suggestions.replaceChildren();
  await pause(SUGGEST_AFTER_MS, signal);
  if (signal.aborted) return;
  try {
    const { actors } = await ask("GET", `v1/actors?${new URLSearchParams({ prefix })}`, { signal });
    suggestions.replaceChildren(...actors.map((actorId) => el("option", { value: actorId })));
  } catch {
    // It is a help alone: the id can be written out.
  }
});

// Not before it works: the browser would send the form in its own way.
for (const control of find.elements) control.disabled = false;

document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault(); // The address is what is shown, not where one is on the page.
  document.getElementById("main").focus();
});

document.getElementById("logout").addEventListener("click", async () => {
  await request("POST", "logout").catch(() => {}); // Without a connection, nothing can be asked any more either.
  location.assign("./");
});

const link = document.getElementById("link");
const numbers = new Overview((state, word, more = "") => {
  link.dataset.state = state;
  say(document.getElementById("link-text"), word);
  say(document.getElementById("link-more"), more);
});

if (location.search) history.replaceState(null, "", location.pathname + location.hash);
addEventListener("hashchange", route);
route();
numbers.run();
