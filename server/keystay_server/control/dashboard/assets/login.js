// The log-in page. It works without this; this keeps the place that a link led to.

const ASKED_AGAIN = "?here";

if (document.body.dataset.crossing === "yes" && location.search !== ASKED_AGAIN) {
  // A link on another site led here, and the cookie stayed at home. From our own page it comes.
  location.replace(location.pathname + ASKED_AGAIN + location.hash);
} else {
  const form = document.getElementById("login");
  form.action = "login" + location.hash;
  form.addEventListener("submit", () => {
    form.querySelector("button").disabled = true;
  });
}
