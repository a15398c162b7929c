// Opens a second window: beside this one where there is room, as a tab where there is none.

const ROOMY_PX = 1_000;
const WIDTH_PX = [480, 720];
const HEIGHT_PX = 900;
const BARS_PX = 80;

/** Whether it was opened: a browser may block it. */
export function openWindow(hash) {
  const isRoomy = screen.availWidth >= ROOMY_PX;
  // Without features it is a tab.
  return window.open(`demo${hash}`, "_blank", isRoomy ? features() : undefined) !== null;
}

function features() {
  const { availLeft = 0, availWidth, availHeight } = screen;
  const end = availLeft + availWidth;
  const beside = screenX + outerWidth;
  const [least, most] = WIDTH_PX;
  const width = Math.min(most, Math.max(least, end - beside));
  const height = Math.min(HEIGHT_PX, availHeight - BARS_PX);
  return `popup,width=${width},height=${height},left=${Math.min(beside, end - width)}`;
}
