"""Pages of HTML from templates: everything is escaped unless a template itself wrote it.

A page needs nothing but itself: no script, no reference outward, light and dark. Jinja is imported
when one is made.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.present.palette import LIGHT, css_variables

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

LONGEST_TEXT = 1500
"""Characters of any one text that a page shows."""
# assumption: a screenful; what is longer was no title, reason or hypothesis.


def make_environment(*folders: Path) -> "Environment":
    """Return an environment whose templates come from folders, then from here.

    Templates extend ``document.html.j2`` and take tables and lists from ``pieces.html.j2``. A name
    that is not given is an error, and a text is cut to ``LONGEST_TEXT``.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([*folders, Path(__file__).with_name("templates")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.filters["cut"] = cut_text
    environment.globals["css_variables"] = css_variables
    return environment


def _finalize(value: object) -> object:
    from markupsafe import Markup

    return value if isinstance(value, Markup) else cut_text(value)


def cut_text(text: object, most: int = LONGEST_TEXT) -> str:
    """Return a text without null characters, cut to ``most`` characters."""
    plain = str(text).replace("\x00", "")
    return plain if len(plain) <= most else plain[: most - 1].rstrip() + "…"


def inline_svg(svg: str, name: str) -> "Markup":
    """Make matplotlib's SVG part of a page: small, no references outward, colours by name."""
    from markupsafe import Markup

    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", body, flags=re.S)
    body = re.sub(r' xmlns(:xlink)?="[^"]*"| version="1.1"', "", body)
    for size in ("width", "height"):
        body = re.sub(rf'(<svg[^>]*?) {size}="[^"]*"', r"\1", body, count=1)
    body = re.sub(r"<style[^>]*>.*?</style>", "", body, flags=re.S)
    body = body.replace("xlink:href", "href")
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    body = re.sub(r"<[^>]+>", lambda m: re.sub(r"(\.\d)\d+", r"\1", m.group()), body)
    body = re.sub(r"(\d)\s*\n\s*([A-Z])", r"\1\2", body)
    body = re.sub(r"font: ?((?:bold )?[\d.]+px) [^;\"]*", r"font: \1 sans-serif", body)
    for colour_name, colour in LIGHT.items():
        body = body.replace(colour, f"var(--{colour_name})")
    return Markup(re.sub(r"\s*\n\s*", "\n", _as_classes(body, name)))


def _as_classes(body: str, prefix: str) -> str:
    """Give every distinct style a class, so that it is written once."""
    classes: dict[str, str] = {}

    def name(match: re.Match[str]) -> str:
        style = match.group(1).replace("; ", ";").replace(": ", ":")
        return f'class="{classes.setdefault(style, f"{prefix[0]}{len(classes)}")}"'

    body = re.sub(r'style="([^"]*)"', name, body)
    rules = "".join(f".{known}{{{style}}}" for style, known in classes.items())
    return body.replace(">", f"><style>{rules}</style>", 1)
