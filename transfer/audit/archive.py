"""Where audits and calibrations lie, and whether one still holds for a ladder."""

import glob
import json
import re
from pathlib import Path

from miniscale.setting.decode import InputError
from miniscale.setting.records import decode_record, encode_record, replace_file
from transfer.audit.audit_result import VERSION, Audit
from transfer.journal.folder import StudyFolder, flatten
from transfer.ladder import Ladder
from transfer.ladder_trust import Trust

FOLDER = ".audits"


def audit_path(root: Path, ladder: Ladder, found: Audit) -> Path:
    """Return where an audit of exactly this ladder lies under a studies root.

    Those on other rungs, one with a held-out size on top among them, lie beside it.
    """
    seen = re.sub(r"[^\w.-]+", "-", ".".join(rung.rung for rung in found.rungs))
    return root / FOLDER / f"{ladder.name}-{ladder.digest}-{seen}.json"


def store(root: Path, ladder: Ladder, found: Audit) -> Path:
    """Keep an audit for later studies of the ladder; one on the same rungs is replaced."""
    path = audit_path(root, ladder, found)
    replace_file(path, json.dumps(encode_record(found), indent=1))
    return path


def _newest(folder: Path, pattern: str) -> Path | None:
    return max(folder.glob(pattern), key=lambda path: path.stat().st_mtime_ns, default=None)


def load_audit(path: Path) -> Audit:
    """Read a stored audit.

    Raises
    ------
    InputError
        If the file is no audit of this version.
    """
    try:
        data = json.loads(path.read_text())
        version = data["version"]
        if version > VERSION:
            raise InputError(f"{path}: audit format {version} is newer than {VERSION}; upgrade")
        return decode_record(Audit, data)
    except (OSError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: is no audit ({error}); delete it and audit again") from None


def stored_audit(root: Path, ladder: Ladder) -> tuple[Audit | None, str]:
    """Return the newest audit that holds for a ladder, and a line about it.

    Returns
    -------
    tuple
        The audit, or None with words that say whether there is none or what made it stale.
    """
    folder = root / FOLDER
    path = _newest(folder, f"{glob.escape(f'{ladder.name}-{ladder.digest}')}*.json")
    if path is not None:
        found = load_audit(path)
        return found, f"{found.light} by {found.n} known changes up to {found.target}"
    other = _newest(folder, f"{glob.escape(ladder.name)}-*.json")
    if other is None:
        return None, (
            "none: amber until 'python -m transfer audit' has tried known changes on this ladder"
        )
    return None, f"stale, so amber: {_what_changed(load_audit(other), ladder)}; audit again"


def trust_of(root: Path, ladder: Ladder) -> tuple[Trust, str]:
    """Return what a study may believe of its ladder, and a line about it."""
    found, words = stored_audit(root, ladder)
    return (found.trust if found is not None else Trust()), words


def _what_changed(found: Audit, ladder: Ladder) -> str:
    old = flatten(found.content)
    new = flatten(json.loads(json.dumps(ladder.content())))
    changed = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    first = changed[0] if changed else "the ladder"
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    if first not in old or first not in new:
        return f"{first} is {'new' if first in new else 'gone'}{more} since the last audit"
    return f"{first} was {old[first]!r} at the last audit and is {new[first]!r}{more} now"


def trust_for(study: StudyFolder, ladder: Ladder) -> tuple[Trust, str]:
    """Return what a study believes of its ladder, and a line about it.

    A study keeps the trust that it began with: its verdicts rest on it. A new one reads the audit
    that lies beside it.
    """
    now, words = trust_of(study.path.parent, ladder)
    if not study.exists:
        return now, words
    content = json.loads(study.config.read_text()).get("content", {})
    kept = content.get("trust")
    if kept is None:
        return Trust(), words
    began = decode_record(Trust, kept)
    if began != now:
        words = f"{began.light} as the study began; a new study would have: {words}"
    return began, words
