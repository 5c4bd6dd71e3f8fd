"""The audit of a ladder: known changes on every rung, the top one playing the target.

>>> from transfer.audit import audit, runs_of      # doctest: +SKIP
"""

from transfer.audit.audit_result import Audit
from transfer.audit.judge_panel import audit
from transfer.audit.load_panel_runs import Runs, read_runs

__all__ = ["Audit", "Runs", "audit", "read_runs"]
