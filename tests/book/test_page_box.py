"""The box under a page's question says what the page and its records say."""

import page_box
import pytest

from advsmooth import pages, records


@pytest.fixture
def page():
    return pages.find("zhu2022/width_depth_initialisation")


def test_the_box_has_every_verdict_the_command_and_the_files(page):
    box = page_box.render(page, "../../")
    for verdict in page.verdicts():
        assert f'<a href="#verdict-{verdict["claim"]}"><span class="badge verdict-{verdict["verdict"]}">' in box
    assert f"make run NB={page.key}" in box
    assert f'href="../../_downloads/pages/{page.key}.ipynb"' in box
    assert "book/api/analysis.html#advsmooth.analysis.width_and_depth.sweep" in box


def test_the_box_names_the_records_with_device_and_commit(page):
    box = page_box.render(page, "../../")
    (record,) = records.every(page.key)
    assert record.provenance["device"] in box
    assert record.provenance["commit"][:8] in box
    assert f'href="../../_downloads/recorded/{page.key}.cpu.csv"' in box
    without = page_box.render(pages.find("zhu2022/perturbation_stability"), "../../")
    assert "Recorded runs" not in without


def test_a_page_of_findings_shows_their_outcome():
    box = page_box.render(pages.find("liu2020/errata"), "../../")
    assert '<a href="#findings-liu2020-L1"><span class="badge">shown</span>' in box


def test_a_name_that_the_reference_does_not_have_is_not_linked():
    assert page_box._home("advsmooth.training.runs.Trained") == "advsmooth.training.loop.Trained"
    assert page_box._home("advsmooth.analysis.joined_minima.connectivity") == ""  # a module
    assert page_box._home("advsmooth.training.runs.FOLDER") == ""  # a constant
