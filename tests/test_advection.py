"""The example of another domain: its solver is right, and its ladder has something to find."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from miniscale.settings.advection.solve import carry, cells_for, profiles

ROOT = Path(__file__).parent.parent


def error(work: float, seed: int, **scheme: object) -> float:
    how = {"limiter": "van_leer", "cfl": 0.5, "viscosity": 0.0} | scheme
    smooth = float(how.pop("smooth", 0.0))
    cells = cells_for(work, **how)
    start, truth = (profiles(np.random.default_rng(seed), cells, s) for s in (smooth, 0.0))
    return float(abs(carry(start, **how) - truth).mean())


@pytest.mark.parametrize("limiter", ["upwind", "lax_wendroff", "minmod", "van_leer", "superbee"])
def test_a_uniform_tracer_stays_uniform(limiter: str) -> None:
    still = np.full((2, 50), 0.7)
    np.testing.assert_allclose(carry(still, limiter=limiter, cfl=0.5, viscosity=0.0), still)


@pytest.mark.parametrize(("limiter", "order"), [("upwind", 1), ("lax_wendroff", 2)])
def test_a_smooth_tracer_converges_at_the_order_of_the_scheme(limiter: str, order: int) -> None:
    errors = []
    for cells in (400, 800):
        wave = np.sin(2 * np.pi * (np.arange(cells) + 0.5) / cells)[None, :]
        round_trip = carry(wave, limiter=limiter, cfl=0.5, viscosity=0.0)
        errors.append(abs(round_trip - wave).mean())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)


def test_a_blur_wins_with_a_better_limiter_on_the_lowest_rung_and_loses_above() -> None:
    gains = []
    for work in (4.0e7, 1.44e9):
        pairs = [
            error(work, seed) - error(work, seed, limiter="mc", smooth=0.03) for seed in (0, 1)
        ]
        gains.append(np.mean(pairs))
    assert gains[0] > 0 > gains[1]


def test_a_better_limiter_wins_on_every_seed() -> None:
    assert all(error(4.0e7, seed) > error(4.0e7, seed, limiter="mc") for seed in range(4))


def test_the_script_answers_in_a_file_and_needs_nothing_of_ours(tmp_path: Path) -> None:
    script = ROOT / "miniscale" / "settings" / "advection" / "solve.py"
    argv = [sys.executable, "-I", str(script), "--work=4e6", "--seed=3", f"--out={tmp_path}"]
    subprocess.run(argv, check=True, cwd=tmp_path)
    assert json.loads((tmp_path / "error.json").read_text())["error"] == error(4e6, 3)


def test_setting_and_ladder_take_forty_lines_together() -> None:
    files = [ROOT / "conf" / group / "advection.yaml" for group in ("setting", "ladder")]
    lines = [line for file in files for line in file.read_text().splitlines()]
    assert len([line for line in lines if not line.startswith("# yaml-language-server")]) <= 40
