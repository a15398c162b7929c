"""
Puts the results of the last run into the documentation: `python -m benchmarks.publish`.
"""

import argparse
from pathlib import Path

from benchmarks.document import Document, read
from benchmarks.markdown import with_measured
from benchmarks.plots import plots
from benchmarks.suite import FOLDER, RESULTS

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs/images"
KEPT = IMAGES / "benchmarks.json"
"""The results that the pages show."""
PAGES = ("README.md", "docs/performance.md", "docs/guides/capacity.md")


def published(document: Document) -> dict[Path, str]:
    """The text of each page and plot, as these results make it."""
    pages = {ROOT / page: (ROOT / page).read_text() for page in PAGES}
    texts = {page: with_measured(text, document) for page, text in pages.items()}
    return texts | {IMAGES / name: svg for name, svg in plots(document).items()}


def main(arguments: list[str] | None = None) -> None:
    """Write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=FOLDER / RESULTS, help="from this file")
    document = read(parser.parse_args(arguments).results)
    document.write(KEPT)
    for file, text in published(document).items():
        file.write_text(text)


if __name__ == "__main__":
    main()
