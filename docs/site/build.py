"""
Builds the site: `python docs/site/build.py [FOLDER]` (`make docs`).

The pages stay where their readers look for them in the repository. Here they are put into one
folder, with their links changed accordingly, and Zensical makes HTML of it.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
MARK = ROOT / "server/keystay_server/control/dashboard/assets/mark.svg"

# Pages outside of docs/, and their place on the site.
ELSEWHERE = {
    "README.md": "index.md",
    "docs/README.md": "pages.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "reference/benchmarks.md",
    "client_js/README.md": "reference/javascript.md",
    "deploy/README.md": "guides/deployment.md",
    "examples/game/README.md": "examples/game.md",
    "protocol/SPEC.md": "reference/spec.md",
}

_FENCE = re.compile(r"^( *)(`{3,}).*?^\1\2$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"""(\]\(|src="|srcset="|href=")([^)"#:\s]+)(#[^)"\s]*)?(?=[)"])""")


def pages() -> dict[str, str]:
    """Every page and picture: its path in the repository, and on the site."""
    inside = {
        path.relative_to(ROOT).as_posix(): path.relative_to(DOCS).as_posix()
        for path in sorted(DOCS.rglob("*"))
        if path.is_file() and DOCS / "site" not in path.parents
    }
    return {**inside, **ELSEWHERE}


class Site:
    """The folder that the site is made of."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places = pages()

    def collect(self) -> None:
        """Write all pages, and the files that they link to."""
        for source in list(self._places):
            self._write(source)
        for file in (DOCS / "site/style.css", MARK):
            shutil.copy(file, self._folder)

    def _write(self, source: str) -> None:
        target = self._folder / self._places[source]
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.endswith(".md"):
            target.write_text(self._with_links(source, (ROOT / source).read_text()))
        else:
            shutil.copy(ROOT / source, target)

    def _with_links(self, source: str, text: str) -> str:
        def link(found: re.Match[str]) -> str:
            before, path, anchor = found.groups()
            return f"{before}{self._relative(source, path)}{anchor or ''}"

        parts, end = [], 0
        for fence in _FENCE.finditer(text):  # What looks like a link in code is none.
            parts += [_LINK.sub(link, text[end : fence.start()]), fence[0]]
            end = fence.end()
        return "".join([*parts, _LINK.sub(link, text[end:])])

    def _relative(self, source: str, path: str) -> str:
        aim = Path(os.path.normpath((ROOT / source).parent / path))
        if aim.is_dir():
            aim /= "README.md"
        if not aim.is_file():
            raise SystemExit(f"{source}: {path} leads nowhere")
        name = aim.relative_to(ROOT).as_posix()
        if name not in self._places:
            self._places[name] = f"files/{name}"
            self._write(name)
        here = PurePosixPath(self._places[source]).parent
        return os.path.relpath(self._places[name], here).replace(os.sep, "/")


def build(folder: Path) -> int:
    """Build the site into `folder`/site; return the exit code of Zensical, 1 for warnings."""
    shutil.rmtree(folder, ignore_errors=True)
    Site(folder / "pages").collect()
    shutil.copy(DOCS / "site/zensical.toml", folder)
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file"]
    return subprocess.run([*command, folder / "zensical.toml"], check=False).returncode


if __name__ == "__main__":
    sys.exit(build(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/docs").resolve()))
