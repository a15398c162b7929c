// Before anything is painted: the theme that was chosen here, if one was. Not a module, for
// modules run after the page is there.
"use strict";

(() => {
  const NAMES = ["system", "light", "dark"];
  const LABELS = { system: "Theme: as the system", light: "Theme: light", dark: "Theme: dark" };
  const PLACE = "keystay.theme";

  const read = () => {
    try {
      const name = localStorage.getItem(PLACE);
      return NAMES.includes(name) ? name : "system";
    } catch {
      return "system"; // Storage may be forbidden here.
    }
  };

  const keep = (name) => {
    try {
      localStorage.setItem(PLACE, name);
    } catch {
      // Then it lasts as long as the page.
    }
  };

  let current = read();
  const apply = () => {
    document.documentElement.dataset.theme = current;
    const button = document.getElementById("theme");
    if (button) {
      button.dataset.theme = current;
      button.setAttribute("aria-label", LABELS[current]);
      button.title = LABELS[current];
    }
  };

  apply();
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme")?.addEventListener("click", () => {
      current = NAMES[(NAMES.indexOf(current) + 1) % NAMES.length];
      keep(current);
      apply();
    });
  });
})();
