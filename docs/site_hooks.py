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


class ReadableSections(griffe.Extension):
    """Adapts docstrings to Markdown; the text that Python shows stays as it is.

    ``Example:`` becomes ``Examples:``, which griffe reads as a section with doctests.
    A description that begins with ``>``, as in ``> 0``, is no quotation.
    """

    def on_object(self, *, obj, **kwargs):
        """Changes the docstring of an object.

        Args:
          obj: a module, class, function or attribute.
          **kwargs: what else griffe passes.
        """
        del kwargs
        if obj.docstring is not None:
            text = re.sub(
                r"^( *)Example:$", r"\1Examples:", obj.docstring.value, flags=re.M
            )
            obj.docstring.value = re.sub(r"^( +[*\w]+: )>", r"\1\\>", text, flags=re.M)
