"""Write the table of attacks into docs/trust.md: ``python tests/attack_table.py``."""

from attack_scene import attacks
from oracle import ROOT

PAGE = ROOT / "docs" / "trust.md"
HEAD = "| attack | tries | defence | ends as |\n|---|---|---|---|\n"
START, END = "<!-- attacks -->\n", "<!-- end of attacks -->\n"


def page_with_table(page: str) -> str:
    """The page with the table as the attack files declare it."""
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    rows = [
        f"| `{a.name}` | {a.tries} | {a.defence} | {a.state} |\n"
        for a in sorted(attacks(), key=lambda a: (a.defence, a.name))
    ]
    return before + START + HEAD + "".join(rows) + END + after


if __name__ == "__main__":
    PAGE.write_text(page_with_table(PAGE.read_text()))
