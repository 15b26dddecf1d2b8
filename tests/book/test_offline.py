"""Nothing of Thebe is left in a page, and everything else is."""

from types import SimpleNamespace

import offline


def test_thebe_goes_and_the_rest_stays():
    kept = SimpleNamespace(filename="_static/site.js", attributes={})
    by_name = SimpleNamespace(filename="_static/sphinx-thebe.js", attributes={})
    by_body = SimpleNamespace(filename=None, attributes={"body": "const THEBE_JS_URL = 'x'"})
    context = {"script_files": [kept, by_name, by_body], "css_files": ["_static/sphinx-thebe.css", "_static/a.css"]}
    offline.drop(None, "page", "page.html", context, None)
    assert context == {"script_files": [kept], "css_files": ["_static/a.css"]}
