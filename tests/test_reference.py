"""The reference lists every module, and says of each what its docstring says."""

import ast

from advsmooth import pages, reference


def test_every_module_stands_on_one_page(tmp_path):
    said = reference.write(tmp_path)
    on_pages = "\n".join((tmp_path / f"{name}.md").read_text() for name in reference.PAGES)
    files = [path for path in reference.LIBRARY.rglob("*.py") if not path.stem.startswith("__")]
    assert on_pages.count(".. automodule::") == len(files)
    assert said == f"reference: {len(files)} modules"
    index = (tmp_path / "index.md").read_text()
    assert "| {py:mod}`advsmooth.attacks.ball` |" in index
    assert all(
        f"`advsmooth.{'.'.join(p.relative_to(reference.LIBRARY).with_suffix('').parts)}`" in index for p in files
    )


def test_a_page_names_the_functions_it_uses_but_not_those_of_the_house():
    used = pages.find("zhu2022/perturbation_stability").library()
    assert "advsmooth.analysis.stability.perturbation_stability" in used
    assert "advsmooth.theory.initialisation.Response" in used
    assert not [name for name in used if name.split(".")[1] in ("checks", "plotting", "settings", "claims")]
    tree = ast.parse("from advsmooth.analysis import stability as s\nfrom advsmooth import checks\ns.f(checks.g, s.C)")
    assert pages._used(tree) == {"advsmooth.analysis.stability.f"}
