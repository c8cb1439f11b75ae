"""The documentation site is built without a warning and loads nothing from elsewhere.

Needs the extra ``docs``; `.ci/run` installs it.
"""

import importlib.util
import os
import re
import subprocess
import sys

import documents
import pytest

PACKAGES = ("latex2mathml", "material", "mkdocs", "mkdocstrings_handlers")
MISSING = [name for name in PACKAGES if importlib.util.find_spec(name) is None]

pytestmark = [
    pytest.mark.documents,
    pytest.mark.skipif(
        bool(MISSING),
        reason=f"the site needs {MISSING}: pip install -e '.[docs]'",
    ),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Builds the site into a temporary folder."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir"]
    done = subprocess.run(
        [*command, str(folder)],
        cwd=documents.ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},  # about another generator
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    assert "WARNING" not in done.stderr, done.stderr[-5000:]
    return folder


def test_every_document_is_a_page(site):
    for path in (documents.ROOT / "docs").rglob("*.md"):
        relative = path.relative_to(documents.ROOT / "docs").with_suffix(".html")
        assert (site / relative).exists(), relative


def test_pages_load_nothing_from_other_hosts(site):
    for path in site.rglob("*.html"):
        text = path.read_text()
        loaded = re.findall(r"<(?:script|img|iframe)[^>]*\ssrc=\"?([^\s\">]+)", text)
        for tag in re.findall(r"<link[^>]*>", text):
            if "canonical" not in tag:
                loaded += re.findall(r"href=\"?([^\s\">]+)", tag)
        outside = [url for url in loaded if re.match(r"(https?:)?//", url)]
        assert not outside, f"{path.name} loads {outside}"


def test_equations_are_drawn_without_a_script(site):
    for name in ("simclr", "supcon", "byol", "moco"):
        text = (site / "methods" / f"{name}.html").read_text()
        assert "<math" in text
        assert "arithmatex" not in text


def test_api_pages_show_what_the_packages_export(site):
    text = (site / "api" / "losses.html").read_text()
    for name in ("ntxent", "supcon", "info_nce", "chance_loss"):
        assert f'id="simclr_jax.losses.{name}"' in text, name


def test_doctests_and_comparisons_are_no_quotations(site):
    for path in (site / "api").glob("*.html"):
        assert "<blockquote>" not in path.read_text(), path.name
