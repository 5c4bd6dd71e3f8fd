"""Colours of report and plots: one name each, told apart by colour-blind readers too."""

from collections.abc import Mapping

from transfer.report.findings import ChangeGroup

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

OF_GROUP: Mapping[ChangeGroup, str] = {
    ChangeGroup.ACCEPTED: "green",
    ChangeGroup.SET_ASIDE: "violet",
    ChangeGroup.TAKEN_BACK: "grey",
    ChangeGroup.SCALE_BOUND: "orange",
    ChangeGroup.UNDECIDED: "blue",
    ChangeGroup.IN_FLIGHT: "muted",
    ChangeGroup.REJECTED: "grey",
    ChangeGroup.CRASHED: "red",
}
"""Name of the colour of each group of changes."""


def light(group: ChangeGroup) -> str:
    """Return a group's colour on a light page."""
    return LIGHT[OF_GROUP[group]]
