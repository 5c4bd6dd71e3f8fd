"""What a ladder's file says of its own design, and whether that still holds."""

from miniscale.setting.trial import digest
from transfer.ladder import Ladder


def panel_digest(ladder: Ladder) -> str:
    """Return the digest of a panel's changes, null changes left out."""
    return digest(sorted(c.content_digest("") for c in ladder.panel if not c.is_control))


def design_line(ladder: Ladder) -> str:
    """Say in a line what the design of a ladder found; empty for one that was made by hand.

    It is stale when the setting or the panel is not what it was designed with.
    """
    known = ladder.design
    if not known:
        return ""
    stale = [
        f"the {part} has changed"
        for part, now in (
            ("setting", ladder.setting.content_digest),
            ("panel", panel_digest(ladder)),
        )
        if known.get(part) != now
    ]
    line = str(known.get("line", ""))
    if stale:
        return f"stale, {' and '.join(stale)} since: design again ({line})"
    return f"{line}, by {known.get('n')} known changes"
