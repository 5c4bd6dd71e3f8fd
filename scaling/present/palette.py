"""Colours of pages and plots: one name each, told apart by colour-blind readers too."""

from collections.abc import Mapping

LIGHT: Mapping[str, str] = {
    "paper": "#fefefd",
    "ink": "#1d2730",
    "muted": "#5f6b77",
    "faint": "#d9dee3",
    "grey": "#98a2ad",
    "green": "#00835f",
    "orange": "#bf6a02",
    "blue": "#1a6fb4",
    "red": "#cb3a1f",
    "violet": "#8a3f96",
}
"""Okabe and Ito's hues, darkened where needed to be read as text on white."""

DARK: Mapping[str, str] = {
    "paper": "#14191e",
    "ink": "#e4e9ed",
    "muted": "#98a4af",
    "faint": "#323b44",
    "grey": "#77828d",
    "green": "#35c496",
    "orange": "#f0a63c",
    "blue": "#66b3ee",
    "red": "#ff7d62",
    "violet": "#d495df",
}
"""The same names on a dark page."""


def css_variables() -> str:
    """Return the palette as CSS variables for light and dark pages."""
    light, dark = (
        "".join(f"--{name}:{colour};" for name, colour in palette.items())
        for palette in (LIGHT, DARK)
    )
    return f":root{{{light}}}\n@media (prefers-color-scheme: dark){{:root{{{dark}}}}}\n"
