"""Build the site of a small book, or only put one in its place."""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import site_build

NAMES = ("first", "second")


def main(what, folder, word=""):
    source = Path(folder)
    if what == "build":
        status = site_build.main(source, source / "_build")
        assert status == 0, status
    else:
        sites = source / "_build" / "sites"
        work = Path(tempfile.mkdtemp(suffix=".partial", dir=sites))
        write_site(work / "made", word)
        site_build.put_in_place(work / "made", sites / work.stem, source / "_build" / "html")


def write_site(made, word):
    made.mkdir(parents=True, exist_ok=True)
    for name in (*NAMES, "index"):
        (made / f"{name}.html").write_text(f"<p>the word is {word}.</p></html>")


def write_source(folder, word):
    folder.mkdir(exist_ok=True)
    (folder / "_config.yml").write_text(
        "title: A book\nonly_build_toc_files: true\nexecute: {execute_notebooks: 'off'}\n"
    )
    (folder / "_toc.yml").write_text("format: jb-book\nroot: first\nchapters:\n- file: second\n")
    for name in NAMES:
        (folder / f"{name}.md").write_text(f"# {name}\n\nthe word is {word}.\n")


def words(folder):
    """The words of the pages of the site that is there, each read whole."""
    site = Path(folder) / "_build" / "html"
    found = []
    for name in NAMES:
        text = (site / f"{name}.html").read_text()
        assert text.rstrip().endswith("</html>"), "cut"
        found.append(text.partition("the word is ")[2].partition(".")[0])
    assert (site / "index.html").exists()
    return found


def after_kill(what, folder, word):
    assert words(folder) in (["old", "old"], [word, word])


def after_end(what, folder, word):
    assert words(folder) == [word, word]
