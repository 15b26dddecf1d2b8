"""The repository as a whole: layers, workflows, the makefile, prose, and the pages against ledger and contents."""

import ast
import html
import json
import re
import subprocess
import sys

import pytest
import yaml

from advsmooth import claims, pages, scoreboard
from advsmooth.places import BOOK, NOTEBOOKS, ROOT

PAGES = pages.every()
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")[
    :-1
]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
# What a layer may import: notebooks -> analysis -> training, theory -> attacks, models -> data, settings. A sweep is an
# analysis of trainings; training imports no analysis.
LAYERS = {
    "analysis": {
        "training",
        "attacks",
        "models",
        "theory",
        "data",
        "places",
        "records",
        "refusals",
        "settings",
        "sweep",
    },
    "training": {"attacks", "models", "data", "devices", "places", "records", "refusals", "settings", "sweep"}
    | {"atomic", "lifeline"},
    "theory": {"models", "data", "settings"},
    "attacks": {"data", "settings"},
    "models": {"data", "settings", "places", "plain_yaml"},
}


def imported(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("advsmooth"):
            parts = node.module.split(".")
            yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]


@pytest.mark.parametrize("folder", sorted(LAYERS))
def test_dependencies_run_one_way(folder):
    for path in (ROOT / "lib" / "advsmooth" / folder).glob("*.py"):
        wrong = set(imported(path.read_text())) - LAYERS[folder] - {folder}
        assert not wrong, f"{path.name} imports {wrong}"


def test_no_module_is_a_drawer_for_odds_and_ends():
    names = {path.stem for path in (ROOT / "lib").rglob("*.py")}
    assert not names & {"utils", "util", "helpers", "helper", "common", "misc"}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.key)
def test_a_pair_is_in_step(page):
    assert list(pages.differences(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.key)
def test_a_stored_page_is_whole(page):
    notebook = page.stored()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not any(output["output_type"] == "error" for output in outputs)
    assert not any(output.get("name") == "stderr" for output in outputs), "nothing on stderr: nbval compares it"
    assert not any("injected-parameters" in cell["metadata"].get("tags", []) for cell in notebook.cells)
    assert notebook.metadata["advsmooth"]["page"] == page.key
    assert notebook.metadata["advsmooth"]["seconds"] <= pages.BUDGET, "too slow at quick, or measured on a busy machine"
    pictures = [v for o in outputs for k, v in o.get("data", {}).items() if k.startswith("image/")]
    assert sum(len("".join(v)) for v in pictures) < 270_000, "figures of a page stay small"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.key)
def test_every_figure_has_a_caption_and_a_text_alternative(page):
    for cell in page.stored().cells:
        if any(k.startswith("image/") for o in cell.get("outputs", []) for k in o.get("data", {})):
            about = cell["metadata"].get("mystnb", {})
            assert len(about.get("figure", {}).get("caption", "")) > 40
            assert len(about.get("image", {}).get("alt", "")) > 40


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.key)
def test_the_words_in_a_figure_can_be_shown_by_any_browser(page):
    """Text stays text in our SVG, so it must be of the one font family that is everywhere: no script letters."""
    from matplotlib import font_manager, ft2font

    known = ft2font.FT2Font(font_manager.findfont("DejaVu Sans")).get_charmap()
    for cell in page.stored().cells:
        for output in cell.get("outputs", []):
            picture = output.get("data", {}).get("image/svg+xml", "")
            words = " ".join(re.findall(r">([^<>]+)</(?:text|tspan)>", picture))
            unknown = {c for c in html.unescape(words) if not c.isspace() and ord(c) not in known}
            assert not unknown, f"{page.key}: {unknown}"
            assert not set(re.findall(r"'(cm\w+|STIX[\w-]*)'", picture)), "a mathematical font the reader may not have"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.key)
def test_long_code_is_folded(page):
    """A reader wants the picture; the code behind it is one click away."""
    for number, cell in enumerate(page.source().cells):
        if cell.cell_type == "code" and len(cell.source.splitlines()) > 20:
            assert "hide-input" in cell.metadata.get("tags", []), f"{page.key}: tag cell {number} hide-input"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.key)
def test_a_page_states_the_claims_it_judges_under_the_papers_own_numbers(page):
    source = page.script.read_text()
    stated = dict(re.findall(r"\{prf:\w+\} (.+)\n# :label: (\S+)", source))
    stated = {label: title for title, label in stated.items()}
    judged = {verdict["claim"] for verdict in page.verdicts()}
    ours = {label for label in stated if label in {c.id for c in claims.all_claims()}}
    assert ours == judged
    for claim_id in judged:
        number = re.match(
            r"(Theorem|Lemma|Proposition|Corollary|Table|Figure|Definition|Assumption) [A-Z]?\.?\d+",
            claims.claim(claim_id).place,
        )
        if number:
            assert number[0].lower() in stated[claim_id].lower(), f"{claim_id}: the title should say {number[0]}"
    assert all(claim_id.startswith(page.key.split("/")[0]) for claim_id in judged)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.key)
def test_a_page_reports_verdicts_or_findings(page):
    """A page without a claim of the ledger still reports checks, under a name that says whose paper it is about."""
    names = [found["name"] for found in page.findings()]
    assert page.verdicts() or names
    assert len(set(names)) == len(names)
    assert all(name.startswith(page.key.split("/")[0]) for name in names)
    source = page.script.read_text()
    assert page.verdicts() or all(f"# :label: {name}\n" in source for name in names), "state what is compared with"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.key)
def test_a_page_has_its_parts_in_order(page):
    source = page.script.read_text()
    parts = [
        "# # ",
        "{prf:",
        "**In short.**",
        'tags=["parameters"]',
        "settings.resolve(",
        "## Verdict",
        "claims.report(",
        "## Limits",
    ]
    if page.key.endswith("/errata"):  # one statement a section, and an outcome of each in place of a verdict
        parts.remove("{prf:")
        parts[parts.index("## Verdict")] = "## Outcome"
    places = [source.find(part) for part in parts]
    assert -1 not in places, f"missing: {parts[places.index(-1)]}"
    assert places == sorted(places)
    assert f"papermill notebooks/{page.key}.ipynb" in source, "one thing to try"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.key)
def test_a_page_repeats_no_published_number_of_its_claims(page):
    """Published numbers live in the ledger; a page reads them from there."""
    code = "\n".join(cell.source for cell in page.source().cells if cell.cell_type == "code")
    literals = {node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)}
    for verdict in page.verdicts():
        published = claims.claim(verdict["claim"]).published or {}
        values = [float(v) for v in re.findall(r"\d+\.\d{2,}", json.dumps(published))]
        assert not literals & set(values)


def test_every_page_is_in_the_contents_and_every_entry_exists():
    text = (ROOT / "_toc.yml").read_text()
    files = re.findall(r"(?:root|file): (\S+)", text)
    assert {f for f in files if f.startswith("notebooks/")} == {f"notebooks/{page.key}" for page in PAGES}
    for file in files:
        made = file in ("book/scoreboard", "book/errata") or file.startswith("book/api/")  # by make html
        assert any((ROOT / f"{file}{suffix}").exists() for suffix in (".md", ".py")) or made


def test_every_claim_has_one_row_and_at_most_one_page():
    table = scoreboard.rows()
    assert sorted(row.claim.id for row in table) == sorted(c.id for c in claims.all_claims())
    judged = {v["claim"] for page in PAGES for v in page.verdicts()}
    assert {row.claim.id for row in table if row.verdict != scoreboard.NO_PAGE} == judged


def test_a_claim_judged_twice_is_refused():
    page = PAGES[0]
    with pytest.raises(scoreboard.ScoreboardError, match="claimed by"):
        scoreboard.rows([page, page])


def test_the_scoreboard_says_what_the_pages_say():
    text = scoreboard.render(scoreboard.rows())
    for page in PAGES:
        for verdict in page.verdicts():
            row = re.search(rf'<tr id="{verdict["claim"]}".*?</tr>', text)[0]
            assert f">{verdict['verdict']}</span>" in row
            assert f"../notebooks/{page.key}.html#verdict-{verdict['claim']}" in row
    assert text.count("<tr id=") == 160


def test_the_exports_are_the_table(tmp_path):
    said = scoreboard.write(tmp_path / "scoreboard.md", tmp_path)
    as_json = json.loads((tmp_path / "scoreboard.json").read_text())
    lines = (tmp_path / "scoreboard.csv").read_text().splitlines()
    rows = scoreboard.rows()
    assert [(row["id"], row["verdict"]) for row in as_json] == [(row.claim.id, row.verdict) for row in rows]
    assert lines[0].split(",")[:3] == ["id", "paper", "kind"]
    assert len(lines) == 1 + len(rows)
    assert said.endswith(f"of {len(rows)} claims have a page")
    line = (tmp_path / "totals.md").read_text()
    assert line.startswith(f"{{doc}}`{len(rows)} claims")
    assert sum(map(int, re.findall(r"</span> (\d+)", line))) == len(rows)


def test_the_badge_of_the_readme_is_true():
    stored = (BOOK / "_static" / "claims.svg").read_text()
    assert stored == scoreboard.badge(scoreboard.rows()), "write it again with scoreboard.badge"


def test_the_small_pictures_count_every_claim_once_by_paper_and_once_by_kind():
    rows = scoreboard.rows()
    text = scoreboard.render(rows)
    counted = [int(n) for n in re.findall(r"<small>(\d+)</small></h3>", text)]
    papers = len(claims.papers())
    assert sum(counted[:papers]) == sum(counted[papers:]) == len(rows)


def test_workflows_fit_the_schema_of_github_actions():
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", *map(str, WORKFLOWS)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_broken_workflow_would_be_noticed(tmp_path):
    broken = tmp_path / "ci.yml"
    broken.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "run-on:"))
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(broken)]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize(
    "path", [*WORKFLOWS, ROOT / ".ci" / "run", ROOT / "README.md", *sorted(BOOK.glob("*.md"))], ids=lambda p: p.name
)
def test_every_make_target_that_is_named_exists(path):
    named = set(re.findall(r"(?:^|`|; |run: )make ([a-z]+)\b", path.read_text(), re.MULTILINE))
    assert named <= TARGETS, named - TARGETS


def test_the_three_workflows_are_there():
    assert [path.stem for path in WORKFLOWS] == ["ci", "gpu", "pages"]
    gpu = yaml.safe_load((ROOT / ".github" / "workflows" / "gpu.yml").read_text())
    assert set(gpu[True]) == {"workflow_dispatch", "schedule"}  # YAML reads `on` as true
    assert "self-hosted" in gpu["jobs"]["records"]["runs-on"]


def test_actions_are_pinned_to_a_version_and_jobs_have_little_permission():
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text())
        assert "permissions" in workflow, path.name
        assert all(re.search(r"@v\d+", use) for use in re.findall(r"uses: (\S+)", path.read_text()))
        assert all("timeout-minutes" in job for job in workflow["jobs"].values())


def test_nothing_large_or_private_is_tracked():
    for name in TRACKED:
        path = ROOT / name
        assert not path.exists() or path.stat().st_size < 1_500_000, name
        assert not name.endswith((".pkl", ".pt", ".pth", ".npz", ".safetensors")), name
    assert any(name.startswith("lib/") for name in TRACKED), "lib/ is source and must be tracked"


def test_notebooks_are_pairs():
    assert {p.with_suffix("") for p in NOTEBOOKS.glob("*/*.py")} == {
        p.with_suffix("") for p in NOTEBOOKS.glob("*/*.ipynb")
    }
