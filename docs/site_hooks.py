"""Hooks of the documentation site: equations as MathML, examples in docstrings.

MkDocs calls ``on_page_content``; griffe reads the docstrings and loads the extension.
"""

import html
import re

import griffe
from latex2mathml import converter

_EQUATION = re.compile(
    r'<(div|span) class="arithmatex">\\[\[(](.*?)\\[\])]</\1>', re.DOTALL
)


def on_page_content(content, **kwargs):
    """Replaces TeX by MathML, which browsers draw without a script.

    Args:
      content: HTML of a page.
      **kwargs: the page and the site.

    Returns:
      The HTML with MathML.
    """
    del kwargs
    return _EQUATION.sub(_as_mathml, content)


def _as_mathml(found):
    is_block = found[1] == "div"
    tex = html.unescape(found[2]).strip()
    mathml = converter.convert(tex, display="block" if is_block else "inline")
    return f'<div class="equation">{mathml}</div>' if is_block else mathml


_DOCTEST = re.compile(r"^( *)>>> .*(?:\n\1\S.*|\n\1 +\S.*)*", re.MULTILINE)


class ReadableSections(griffe.Extension):
    """Adapts docstrings to Markdown; the text that Python shows stays as it is.

    ``Example:`` becomes ``Examples:``, which griffe reads as a section. Doctests become
    blocks of code, and a description that begins with ``>``, as in ``> 0``, is no
    quotation.
    """

    def on_object(self, *, obj, **kwargs):
        """Changes the docstring of an object.

        Args:
          obj: a module, class, function or attribute.
          **kwargs: what else griffe passes.
        """
        del kwargs
        if obj.docstring is not None:
            text = obj.docstring.value
            text = re.sub(r"^( *)Example:$", r"\1Examples:", text, flags=re.M)
            text = re.sub(r"^( +[*\w]+: )>", r"\1\\>", text, flags=re.M)
            obj.docstring.value = _DOCTEST.sub(_as_code, text)


def _as_code(found):
    code = re.sub(r" *# doctest: [+\w, ]+$", "", found[0], flags=re.M)
    return f"{found[1]}```pycon\n{code}\n{found[1]}```"
