// Four things to try, and which of them were.

export class Tour {
  #root = document.getElementById("tour");

  constructor() {
    for (const button of this.#root.querySelectorAll("button"))
      button.addEventListener("click", () => leadTo(document.getElementById(button.dataset.at)));
  }

  /** This one was tried. */
  done(step) {
    const item = this.#root.querySelector(`[data-step="${step}"]`);
    if (item.classList.contains("done")) return;
    item.classList.add("done");
    item.querySelector(".number").textContent = "✓";
    item.querySelector("button").ariaLabel += ", done";
  }
}

/** Lead the eye, and the focus, to where it is done. */
function leadTo(place) {
  place.scrollIntoView({ block: "nearest" });
  place.querySelector(":is(button, input):enabled")?.focus({ preventScroll: true });
  place.classList.remove("pointed");
  requestAnimationFrame(() => place.classList.add("pointed"));
}
