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
        (["fit", "runs.csv", "--only", "muon", "--law", "nope"], "no law 'nope'"),
        (["fit", "runs.csv", "--loss", "nope"], "no column for loss=nope"),
        (["fit", "runs.csv", "--set", "flops=x"], "no positive number"),
        (["forecast", "runs.csv", "--only", "muon"], "say where"),
        (["forecast", "runs.csv", "--only", "muon", "--at", "1e9"], "needs N,D"),
        (["forecast", "runs.csv", "--only", "muon", "--below", "1"], "no rows on one of its sides"),
        (["compare", "runs.csv", "--baseline", "adamw", "--change", "x"], "no arm 'x'"),
        (["isoflop", "runs.csv", "--only", "muon", "--law", "power"], "needs a law of N and D"),
        (
            ["design", "runs.csv", "--law", "power", "--gain", "1", "--only", "muon"],
            "multiplier above 1",
        ),
        (["fit", "runs.csv"], "runs of 2 kinds of arm"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(
    argv: list[str], word: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*argv, "--resamples", "20"]) == 2
    said = capsys.readouterr()
    assert word in said.err.replace("\n", " ")
    assert "Traceback" not in said.err


def test_several_arms_in_one_fit_are_refused_and_taken_apart(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["fit", "runs.csv", "--law", "power", "--resamples", "20"]) == 2
    assert "--only ARM" in capsys.readouterr().err.replace("\n", " ")
    argv = ["fit", "runs.csv", "--law", "power", "--only", "muon", "--resamples", "20"]
    assert cli.main(argv) == 0
    assert "--only ARM" not in capsys.readouterr().out


def one_seed(n_scales: int) -> pl.DataFrame:
    scales = 1e16 * 10.0 ** np.arange(n_scales)
    noise = 0.002 * np.random.default_rng(5).standard_normal((2, n_scales))
    rows = [
        (arm, 1, c, (1.7 + 400 * (c * gain) ** -0.17) * np.exp(noise[i, j]))
        for i, (arm, gain) in enumerate((("base", 1.0), ("new", 1.2)))
        for j, c in enumerate(scales.tolist())
    ]
    return pl.DataFrame(rows, schema=["arm", "seed", "flops", "loss"], orient="row")


@pytest.mark.parametrize("n_scales", [2, 3, 4, 6])
def test_one_seed_gives_no_interval_without_width(
    n_scales: int, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one_seed(n_scales).write_csv("one.csv")
    asked = ["--law", "power", "--allow", "few-scales", "--resamples", "200"]
    assert cli.main(["compare", "one.csv", "--baseline", "base", "--change", "new", *asked]) == 0
    assert cli.main(["fit", "one.csv", "--only", "base", *asked]) == 0
    out = capsys.readouterr().out
    intervals = re.findall(r"\[([-+.e\d]+), ([-+.e\d]+)\]", out)
    assert all(low != high for low, high in intervals)
    assert ("no-noise" in out, "unknown" in out) == (n_scales <= 3,) * 2 or n_scales == 3


def test_intervals_of_one_seed_hold_the_planted_gain(place: Path) -> None:
    from scaling.compare_arms import arm_of, compare
    from scaling.law.law_catalogue import POWER

    c = 1e16 * 10.0 ** np.arange(6)
    names = [f"s{i}" for i in range(6)]
    hits = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        arms_ = [arm_of((c,), (1.7 + 400 * (c * g) ** -0.17)
                        * np.exp(0.003 * rng.standard_normal(6)), names)
                 for g in (1.0, 1.2)]  # fmt: skip
        gain = compare(*arms_, form=POWER, target=(1e21,), rng=rng, n=200).by_scale[2]
        hits += gain.low <= np.log(1.2) <= gain.high
    assert hits >= 24  # 80 % intervals of 40: binomial, fewer than one time in 400


def test_a_law_of_ones_own_is_named_by_module_and_object(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    law = f"{__name__}:OWN"
    assert cli.main(["fit", "runs.csv", "--only", "muon", "--law", law, "--resamples", "20"]) == 0
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
