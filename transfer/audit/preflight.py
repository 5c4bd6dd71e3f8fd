"""The preflight of a ladder: what is written, what first runs showed, and what it can see."""

from miniscale.preflight.check import PreflightCheck, Standing
from miniscale.preflight.written_checks import check_written
from transfer.audit.audit_result import Audit
from transfer.audit.calibrate import Calibration
from transfer.audit.resolution import check_sight, known_noise, resolve_rung
from transfer.ladder import Ladder


def preflight_checks(
    ladder: Ladder, calibration: Calibration | None, audit: Audit | None = None
) -> list[PreflightCheck]:
    """Return the whole table: checks of what is written, then those of runs, if there are any."""
    sight = [
        resolve_rung(rung, known_noise(rung.name, calibration, audit)) for rung in ladder.rungs
    ]
    unknown = PreflightCheck(
        "runs", Standing.UNKNOWN, "seeds, sizes, caps, files: no run of the baseline yet"
    )
    return [
        *check_written(ladder.setting, ladder.rungs),
        *(calibration.checks if calibration is not None else [unknown]),
        check_sight(sight, is_deterministic=ladder.setting.deterministic),
    ]
