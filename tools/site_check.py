"""Look over the built site: no dead internal link, no missing picture, no picture without a text alternative."""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The links, anchors and pictures of one HTML file."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.pictures: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.anchors.update(v for key in ("id", "name") if (v := values.get(key)))
        if tag in ("a", "link") and values.get("href"):
            self.links.append(str(values["href"]))
        elif tag == "script" and values.get("src"):
            self.links.append(str(values["src"]))
        elif tag == "img":
            self.pictures.append((values.get("src") or "", values.get("alt")))


def read(path: Path) -> Page:
    """Parse one file."""
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def problems(site: Path) -> list[str]:
    """Everything wrong with the site, one line each."""
    pages = {path: read(path) for path in sorted(site.rglob("*.html")) if "_static" not in path.parts}
    found = [] if pages else [f"{site}: no pages"]
    for path, page in pages.items():
        where = path.relative_to(site)
        for link in [*page.links, *(src for src, _ in page.pictures)]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link.startswith("data:"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.exists():
                found.append(f"{where}: {link} leads nowhere")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"{where}: {link} names an anchor that {target.name} does not have")
        found += [f"{where}: {src} has no text alternative" for src, alt in page.pictures if not alt or alt == src]
    return found


def main(site: Path) -> int:
    """Print the problems; 1 if there are any."""
    found = problems(site)
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
