"""
What a page can be asked about itself: what in it has no name, and what is too pale to be read.
"""

NAMELESS = """
() => [...document.querySelectorAll("input, select, textarea, button, a, svg[role=img]")]
  .filter((it) => !it.labels?.length && !it.getAttribute("aria-label"))
  .filter((it) => !it.textContent.trim())
  .map((it) => it.outerHTML)
"""

# WCAG 2, 1.4.3: the colour of each text that is seen, against what is behind it.
PALE = """
() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const onto = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => rgb
    .map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const found = [];
  for (const it of document.querySelectorAll("body *")) {
    const own = [...it.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || it.disabled || !it.checkVisibility()) continue;
    if (it.closest(".hidden, noscript, .skip")) continue;
    const behind = [];
    for (let at = it; at; at = at.parentElement)
      behind.unshift(getComputedStyle(at).backgroundColor);
    const { fill, color } = getComputedStyle(it);
    const a = light(onto(behind));
    const b = light(onto([...behind, it.ownerSVGElement ? fill : color]));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push(`${ratio.toFixed(2)} ${it.textContent.trim()}`);
  }
  return found;
}
"""
