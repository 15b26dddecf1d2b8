"""The picture of the home page is what the record says."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from advsmooth import answer, records

pytestmark = pytest.mark.skipif(records.newest(answer.PAGE) is None, reason="no record of the synthesis")


def test_the_stored_picture_is_the_one_the_record_gives():
    assert answer.PICTURE.read_text(encoding="utf-8") == answer.picture(), "run `advsmooth answer`"


def test_it_says_every_number_also_in_words_and_is_well_formed():
    text = answer.picture()
    root = ElementTree.fromstring(text)
    spoken = next(child.text for child in root if child.tag.endswith("desc"))
    found = answer.matrix(records.newest(answer.PAGE))
    for quantities in answer.GROUPS.values():
        for column, (words, _) in quantities.items():
            shown = f"{column}*" if f"{column}*" in found.columns else column
            number = float(re.search(re.escape(words) + r" (minus )?([\d.]*\d)", spoken)[2])
            assert number == pytest.approx(abs(found.of(shown, "robust").value), abs=0.051)
    assert len(text) < 15_000


def test_other_numbers_make_another_picture(tmp_path):
    record = records.newest(answer.PAGE)
    found = answer.matrix(records.Record(record.table.assign(robust=-record.table["robust"]), record.provenance))
    assert answer.render(found, "") != answer.render(answer.matrix(record), "")
    answer.write(tmp_path / "answer.svg")
    assert (tmp_path / "answer.svg").read_text(encoding="utf-8").startswith("<svg")
