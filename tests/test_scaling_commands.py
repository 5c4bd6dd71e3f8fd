"""The command line: every example of its help runs, refusals are one line, pages need nothing."""

import re
import shlex
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import scaling.__main__ as cli
from scaling.commands import fit_command
from scaling.law.form import PowerSum

ROOT = Path(__file__).parent.parent
CHINCHILLA = "tests/data/chinchilla/svg_extracted_data.csv"
OWN = PowerSum("own", "A x^-alpha + B", 1, (("B", ()), ("A", ((0, "alpha"),))))


def arms() -> pl.DataFrame:
    """Return two arms with three seeds a scale, the second worth 1.2 times the compute."""
    rng = np.random.default_rng(7)
    rows = []
    for arm, gain in (("adamw", 1.0), ("muon", 1.2)):
        for n in (1e7, 3e7, 1e8, 3e8, 1e9):
            for seed in range(3):
                d = 20.0 * n
                loss = 1.7 + 400 * (n * gain**0.5) ** -0.34 + 900 * (d * gain**0.5) ** -0.34
                rows.append((arm, seed, n, d, loss * np.exp(0.001 * rng.standard_normal())))
    return pl.DataFrame(rows, schema=["arm", "seed", "params", "tokens", "loss"], orient="row")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    arms().write_csv(tmp_path / "runs.csv")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def examples() -> list[str]:
    return re.findall(r"python -m scaling (.+)", cli.__doc__ or "")


@pytest.mark.parametrize("line", examples())
def test_every_example_of_the_help_runs(
    line: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*shlex.split(line), "--resamples", "50"]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 5


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    out = capsys.readouterr().out
    assert all(command in out for command in cli.COMMANDS)


def test_the_published_fit_is_printed_to_seven_digits(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["fit", CHINCHILLA, "--drop-top", "5", "--resamples", "50"]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("477.8259", "2143.417", "0.001018274018", "converged"))
    assert "the 5 highest losses were left out, as asked" in out


def test_a_page_is_one_file_that_fetches_nothing(place: Path) -> None:
    stem = place / "out" / "fit"
    argv = ["fit", CHINCHILLA, "--drop-top", "5", "--resamples", "50", "--out", str(stem)]
    assert cli.main(argv) == 0
    page = stem.with_suffix(".html").read_text()
    assert "<svg" in page
    assert "477.8259" in page
    assert "<script" not in page
    assert not re.search(r"(src|href)=.https?:", page)
    assert len(page) < 400_000
    assert stem.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (["fit", "nowhere.csv"], "no such file"),
        (["fit", "runs.csv", "--law", "nope"], "no law 'nope'"),
        (["fit", "runs.csv", "--loss", "nope"], "no column for loss=nope"),
        (["fit", "runs.csv", "--set", "flops=x"], "no positive number"),
        (["forecast", "runs.csv"], "say where"),
        (["forecast", "runs.csv", "--at", "1e9"], "needs N,D"),
        (["forecast", "runs.csv", "--below", "1"], "no rows on one of its sides"),
        (["compare", "runs.csv", "--baseline", "adamw", "--change", "x"], "no arm 'x'"),
        (["isoflop", "runs.csv", "--law", "power"], "needs a law of N and D"),
        (["design", "runs.csv", "--law", "power", "--gain", "1"], "multiplier above 1"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(
    argv: list[str], word: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*argv, "--resamples", "20"]) == 2
    said = capsys.readouterr()
    assert word in said.err.replace("\n", " ")
    assert "Traceback" not in said.err


def test_several_arms_in_one_fit_are_warned_of_and_taken_apart(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["fit", "runs.csv", "--law", "power", "--resamples", "20"]) == 0
    assert "--only ARM" in capsys.readouterr().out
    argv = ["fit", "runs.csv", "--law", "power", "--only", "muon", "--resamples", "20"]
    assert cli.main(argv) == 0
    assert "--only ARM" not in capsys.readouterr().out


def test_a_law_of_ones_own_is_named_by_module_and_object(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    law = f"{__name__}:OWN"
    assert cli.main(["fit", "runs.csv", "--law", law, "--resamples", "20"]) == 0
    assert "own: L = A x^-alpha + B" in capsys.readouterr().out


def test_three_scales_say_that_the_floor_is_not_identified(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = arms().filter((pl.col("params") < 2e8) & (pl.col("arm") == "adamw"))
    few.write_csv("few.csv")
    assert cli.main(["fit", "few.csv", "--law", "power", "--resamples", "50"]) == 0
    out = capsys.readouterr().out
    assert "E is not identified here: read its interval" in out
    assert re.search(r"E +[\d.e-]+ +\[", out)


def test_a_report_goes_into_wandb_offline_with_flops_as_its_axis(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scaling.report.wandb_log import log_report

    monkeypatch.setenv("WANDB_DIR", str(place))
    options = cli.parser().parse_args(["fit", CHINCHILLA, "--drop-top", "5", "--resamples", "20"])
    options.name, options.confidence = "chinchilla", 0.95
    where = log_report(fit_command(options), project="p", group="g", environ={})
    folder = Path(where).parent
    assert list(folder.glob("*.wandb"))
    assert list(folder.rglob("*.png"))
    names = {path.name for path in folder.rglob("*.table.json")}
    assert any(name.startswith("charts") or "law" in name for name in names)
