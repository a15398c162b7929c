// Copies a text for whoever pressed a button, and says so on it.

import { say } from "../../assets/element.js";

const SAID_MS = 1_500;

export async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
    say(button, "Copied");
  } catch {
    say(button, "Not allowed");
  }
  setTimeout(() => say(button, "Copy"), SAID_MS);
}
