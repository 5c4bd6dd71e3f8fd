"""The report's part on models and agents that were called: what they cost, what they foresaw."""

from transfer.report.accounts import Account, accounts
from transfer.report.expected import ProposerCalibration
from transfer.report.findings import Findings, hit_interval
from transfer.report.page.html import esc, table
from transfer.units import percent, times


def account_section(findings: Findings) -> str:
    """Show what calls cost and how expectations fared; empty where none were made."""
    every = accounts(findings.ladder, findings.state)
    if not every:
        return ""
    caption = (
        "Calls of models and agents, all that were made: dollars at the price configured, "
        "proposals that could not be run among the refused."
    )
    head = ["proposer", "calls", "tokens", "dollars", "minutes", "changes", "refused", "accepted"]
    return (
        f"<h2>Who had the ideas</h2><figcaption>{caption}</figcaption>"
        + table(head, [_costs(one) for one in every], numbers=range(1, 8))
        + _foresight(every)
    )


def _costs(account: Account) -> list[str]:
    cost = account.spending
    return [
        esc(account.proposer),
        f"{cost.calls:,}",
        f"{cost.tokens:,}",
        esc(cost.dollars),
        f"{cost.seconds / 60:,.1f}",
        str(account.n_changes),
        str(account.n_refused),
        str(account.n_accepted),
    ]


def _foresight(every: list[Account]) -> str:
    rows = [_scored(account.proposer, one) for account in every for one in account.foresight]
    if not rows:
        return ""
    caption = (
        "What a change would bring, as said with it, against what came: measured on a rung, as "
        "judged at the target; means over its changes, in compute, more is better. Off by: root "
        "of the mean squared difference. Signs count where what came is clear of zero; a coin is "
        "right in half of them."
    )
    head = [
        "proposer",
        "at",
        "changes",
        "expected",
        "came",
        "off by",
        "sign right",
        "80 % interval",
    ]
    return f"<h3>What was expected, and what came</h3><figcaption>{caption}</figcaption>" + table(
        head, rows, numbers=range(2, 8)
    )


def _scored(proposer: str, one: ProposerCalibration) -> list[str]:
    low, high = hit_interval(one.n_right, one.n_clear)
    return [
        esc(proposer),
        esc(one.where),
        str(one.n),
        times(one.expected),
        times(one.came),
        percent(one.error, ".1f"),
        f"{one.n_right} of {one.n_clear}",
        f"{percent(low)} – {percent(high)}" if one.n_clear else "",
    ]
