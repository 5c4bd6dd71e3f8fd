"""``miniscale init`` on look-alikes of repositories that nobody described."""

import sys
from pathlib import Path

import pytest

from miniscale.setting.decode import InputError
from miniscale.setting.rung import decode_rungs
from miniscale.starter.draft import Draft, draft_setting
from miniscale.starter.init_command import load_written, run_init, with_run
from miniscale.starter.options import OptionStyle, ProgramOption
from miniscale.starter.read_source import read_options
from miniscale.starter.roles import role_of
from miniscale.starter.show_run import ShownRun, show_run
from miniscale.starter.write_yaml import ladder_yaml, setting_yaml
from miniscale.tree.git import git

ARGPARSE = """
import argparse
p = argparse.ArgumentParser()
p.add_argument("-n", "--num-points", type=int, default=16 * 1000, help="how many")
p.add_argument("--learning-rate", type=float, default=1, help="of the  optimiser")
p.add_argument("--eval-every", type=int, default=250)
p.add_argument("--kind", default="a", choices=["a", "b"])
p.add_argument("--fast", action="store_true")
p.add_argument("--seed", type=int, default=0)
"""
CLICK = """
import click
@click.command()
@click.option("--max-steps", "-s", default=4000, help="of training")
@click.option("--n-layers", default=8)
@click.option("--lr", default=3e-4)
@click.option("--cosine/--no-cosine", default=True)
@click.option("--opt", type=click.Choice(["adam", "sgd"]), default="adam")
@click.option("--random-seed", default=7)
def main(max_steps, n_layers, lr, cosine, opt, random_seed): ...
"""
TYRO = """
from dataclasses import dataclass, field
import tyro
@dataclass
class Optim:
    lr: float = 1e-3
    weight_decay: float = 0.1
@dataclass
class Config:
    optim: Optim = field(default_factory=Optim)
    depth: int = 8
    num_epochs: int = 32
    seed: int = 0
    name: str = "run"
config = tyro.cli(Config)
"""
TYPER = """
import typer
def main(epochs: int = typer.Option(64, help="passes"), hidden_dim: int = typer.Option(256),
         lr: float = typer.Option(0.1, "--step-size")): ...
typer.run(main)
"""
FIRE = """
import fire
def train(steps=1600, width=64, lr=0.01, seed=0): ...
fire.Fire(train)
"""
HYDRA = """
import hydra
@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg): ...
"""
GLOBALS = """
out_dir = 'out'
eval_interval = 2000
n_layer = 12
n_head = 12
learning_rate = 6e-4
max_iters = 600000
lr_decay_iters = 600000
compile = True
keys = [k for k in globals()]
exec(open('settings.py').read())
tokens = 5
import torch
torch.manual_seed(1337 + 0)
"""
CONSTANTS = """
import torch
from data import SECONDS_BUDGET, TIME_BUDGET, load
DEPTH = 8            # layers
MATRIX_LR = 0.04
TOTAL_BATCH_SIZE = 2**19
BETAS = (0.8, 0.95)
torch.manual_seed(42)
"""


def repository(folder: Path, **files: str) -> Path:
    """Write a repository; double underscores in names are folders."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ("" if "." in name else ".py"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def drafted(folder: Path, run: str = "", **files: str) -> Draft:
    return draft_setting(repository(folder, **files), run, name="mine")


def sizes(draft: Draft) -> dict[str, tuple[float, ...]]:
    return {dial.option.key: dial.values for dial in draft.dials}


def test_argparse_options_are_read_with_their_defaults(tmp_path: Path) -> None:
    options = {o.name: o for o in read_options(repository(tmp_path, train=ARGPARSE), "train.py")}
    assert list(options) == ["num-points", "learning-rate", "eval-every", "kind", "fast", "seed"]
    assert options["num-points"].default == 16000
    assert repr(options["learning-rate"].default) == "1.0"
    assert options["learning-rate"].about == "of the optimiser"
    assert options["kind"].choices == ("a", "b")
    assert options["fast"].style is OptionStyle.FLAG


def test_an_argparse_program_gets_a_command_of_all_that_moves(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "python train.py --num-points 500 --fast", train=ARGPARSE)
    assert draft.command[1:] == (
        "train.py", "--num-points", "{num_points}", "--fast",
        "--learning-rate={learning_rate}", "--seed={seed}",
    )  # fmt: skip
    assert sizes(draft) == {"num_points": (500, 1500, 5000)}
    assert [knob.key for knob in draft.knobs] == ["learning_rate"]
    assert not draft.is_seeded_by_us


def test_click_options_give_two_dials_and_a_seed_of_another_name(tmp_path: Path) -> None:
    draft = drafted(tmp_path, train=CLICK)
    assert sizes(draft) == {"n_layers": (2, 3, 4), "max_steps": (250, 500, 1000)}
    assert draft.scales == (1, 3, 8)
    assert "--random-seed={seed}" in draft.command
    assert "--lr={lr}" in draft.command


def test_nested_dataclasses_of_tyro_are_read_with_their_dots(tmp_path: Path) -> None:
    draft = drafted(tmp_path, train=TYRO)
    assert sizes(draft) == {"depth": (2, 3, 4), "num_epochs": (2, 4, 8)}
    assert "--optim.lr={optim_lr}" in draft.command
    assert [knob.key for knob in draft.knobs] == ["optim_lr", "optim_weight_decay"]


def test_typer_and_fire_are_read_off_the_signature(tmp_path: Path) -> None:
    typer = drafted(tmp_path / "typer", train=TYPER)
    assert sizes(typer) == {"hidden_dim": (64, 128, 256), "epochs": (4, 8, 16)}
    assert "--hidden-dim={hidden_dim}" in typer.command
    assert [knob.name for knob in typer.knobs] == ["step-size"]
    assert typer.scales == (1, 8, 64)
    assert sizes(drafted(tmp_path / "fire", train=FIRE))["steps"] == (100, 200, 400)


def test_hydra_leaves_are_set_without_dashes(tmp_path: Path) -> None:
    config = (
        "defaults:\n  - model: small\n  - _self_\nlr: 0.01\nmax_steps: 320\nseed: 1\nrun: ${x}\n"
    )
    draft = drafted(
        tmp_path,
        "python main.py max_steps=20 model.num_layers=3",
        main=HYDRA,
        **{"conf__config.yaml": config, "conf__model__small.yaml": "num_layers: 8\n"},
    )
    assert draft.command[1:] == (
        "main.py", "max_steps={max_steps}", "model.num_layers={model_num_layers}", "lr={lr}",
        "seed={seed}",
    )  # fmt: skip
    assert sizes(draft) == {"model_num_layers": (3, 5, 6), "max_steps": (20, 40, 80)}


def test_globals_that_a_file_overrides_are_options_and_schedules_follow(tmp_path: Path) -> None:
    run = "python train.py small.py --max_iters=20 --lr_decay_iters=20 --eval_interval=20"
    draft = drafted(tmp_path, run, train=GLOBALS, small="n_layer = 4\nlearning_rate = 1e-3\n")
    assert sizes(draft) == {"n_layer": (1, 2, 3), "max_iters": (20, 40, 80)}
    assert draft.command[1:6] == (
        "train.py", "small.py", "--max_iters={max_iters}", "--lr_decay_iters={max_iters}",
        "--eval_interval=20",
    )  # fmt: skip
    assert "--out_dir={out}" in draft.command
    assert [(knob.key, knob.default) for knob in draft.knobs] == [("learning_rate", 1e-3)]
    assert draft.constants == {"train.py": {"torch.manual_seed()": "{seed}"}}
    assert draft.is_seeded_by_us
    assert "tokens" not in {o.name for o in read_options(tmp_path, "train.py")}
    assert "set in the source (train.py: torch.manual_seed(1337 + 0))" in draft.notes[0]


def test_constants_become_placeholders_of_the_file_that_holds_them(tmp_path: Path) -> None:
    data = "TIME_BUDGET = 300\nSHARDS = 5\nload = 0\n"
    draft = drafted(tmp_path, train=CONSTANTS, data=data)
    assert draft.constants["data.py"] == {"TIME_BUDGET": "{TIME_BUDGET}"}
    assert draft.constants["train.py"]["DEPTH"] == "{DEPTH}"
    assert set(draft.constants["train.py"]) == {
        "DEPTH", "MATRIX_LR", "TOTAL_BATCH_SIZE", "torch.manual_seed()",
    }  # fmt: skip
    # where seconds are the budget, they are the work, whatever the depth
    assert [dial.power for dial in draft.dials] == [0.0, 1.0]
    assert draft.editable == ("train.py", "data.py")
    text = setting_yaml(draft, tmp_path / "conf")
    assert 'DEPTH: "{DEPTH}"' in text
    assert "torch.manual_seed(42)" in text


def test_data_that_git_ignores_are_named_by_their_whole_path_and_may_be_read(
    tmp_path: Path,
) -> None:
    program = "dataset = 'tiny'\n" + GLOBALS
    repo = repository(tmp_path / "repo", train=program, **{".gitignore": "*.bin\n.venv\n"})
    data = repo / "data" / "tiny"
    for folder in (data, repo / ".venv"):
        folder.mkdir(parents=True)
        (folder / "train.bin").write_bytes(bytes(20_000))
    (data / "prepare.py").touch()
    git(repo, "init", "-q")
    git(repo, "add", "-A")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    draft = draft_setting(repo, f"HOME_OF_IT={elsewhere} python train.py")
    assert f"--dataset={data}" in draft.command
    assert draft.reads == (data, elsewhere)
    text = setting_yaml(draft, tmp_path / "conf")
    assert f'reads: ["{{cache}}", "{data}"' in text.replace("\n   ", "")
    assert "seeding: auto" in text


def test_a_width_that_follows_the_depth_counts_into_the_work(tmp_path: Path) -> None:
    program = ARGPARSE.replace("--num-points", "--depth").replace("--kind", "--aspect-ratio")
    assert drafted(tmp_path, "python train.py --depth=4", train=program).dials[0].power == 3.0


def test_without_a_run_the_objective_is_read_off_what_the_source_prints(tmp_path: Path) -> None:
    program = ARGPARSE + 'print(f"step {i:05d} | loss: {x:.2f}")\nprint(f"val_bpb:   {bpb:.6f}")\n'
    draft = drafted(tmp_path, train=program)
    assert draft.metrics[0].line == "val_bpb: {number}"
    assert "read off the source" in setting_yaml(draft, tmp_path / "conf")


def test_a_program_that_imports_from_the_top_is_run_as_a_module(tmp_path: Path) -> None:
    program = ARGPARSE + "from lab.model import net\n"
    draft = drafted(tmp_path, **{"scripts__train.py": program, "lab__model.py": "net = 0\n"})
    assert draft.command[1:3] == ("-m", "scripts.train")
    assert draft.editable == ("scripts/train.py", "lab/model.py")


@pytest.mark.parametrize(
    ("name", "default", "text"),
    [
        ("EMBEDDING_LR", 0.6, "low: 0.06, high: 6, log: true"),
        ("beta2", 0.95, "low: 0.75, high: 0.995"),
        ("dropout", 0.2, "low: 0.02, high: 0.9, log: true"),
        ("batch_size", 8, "low: 2, high: 32, log: true"),
    ],
)
def test_ranges_of_knobs_are_such_as_they_take(
    tmp_path: Path, name: str, default: float, text: str
) -> None:
    source = f"import fire\ndef f({name}={default}, steps=5): ...\nfire.Fire(f)\n"
    written = setting_yaml(drafted(tmp_path, train=source), tmp_path / "conf")
    assert f"{name}: {{default: {default}, {text}}}" in written


@pytest.mark.parametrize("name", ["train.py", "src/lab/train_model.py", "scripts/base_train.py"])
def test_the_program_that_trains_is_found(tmp_path: Path, name: str) -> None:
    for other in ("setup.py", "model.py", "tests/test_train.py", "evaluate.py", ".venv/train.py"):
        (tmp_path / other).parent.mkdir(exist_ok=True)
        (tmp_path / other).write_text("x = 1\n")
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(ARGPARSE)
    assert draft_setting(tmp_path).program == name


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ("python train.py | tee log", "needs a shell"),
        ("python other.py", "names no Python file"),
        ("python train.py '--name", "close the quotes"),
    ],
)
def test_a_command_that_cannot_be_taken_is_one_clear_line(
    tmp_path: Path, run: str, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        drafted(tmp_path, run, train=ARGPARSE)


def test_a_folder_without_a_program_says_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--run 'python FILE\.py"):
        draft_setting(repository(tmp_path, **{"readme.md": "no program"}))


def test_source_that_does_not_parse_or_raises_powers_is_data(tmp_path: Path) -> None:
    repository(tmp_path, train="DEPTH = 9**9**9\nSTEPS = 1 / 0\nN_LAYERS = -3\nLR = 2**-2\n")
    options = {option.name: option.default for option in read_options(tmp_path, "train.py")}
    assert options == {"N_LAYERS": -3, "LR": 0.25}
    assert read_options(repository(tmp_path, broken="def ("), "broken.py") == []


def test_what_is_written_reads_back_and_is_short(tmp_path: Path) -> None:
    draft = with_run(
        drafted(tmp_path / "repo", train=TYRO), ShownRun("val loss 2.5\n", 0, seconds=3.0)
    )
    out = tmp_path / "conf"
    paths = [out / "setting" / "mine.yaml", out / "ladder" / "mine.yaml"]
    texts = (setting_yaml(draft, out), ladder_yaml(draft))
    assert sum(len(text.splitlines()) for text in texts) < 40
    assert max(len(line) for text in texts for line in text.splitlines()) <= 120
    for path, text in zip(paths, texts, strict=True):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    setting, rungs = load_written(paths, out)
    assert setting.objective.reading.line == "val loss {number}"
    assert setting.source == tmp_path / "repo"
    assert [rung.scale for rung in rungs] == [1, 3, 8]
    assert rungs[2].timeout_s == 240
    assert decode_rungs({"rungs": {}}) == {}


def test_a_run_that_fails_is_shown_with_its_last_words_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repo = repository(tmp_path / "repo", train=ARGPARSE + "raise SystemExit('no data/train.bin')\n")
    out = tmp_path / "conf"
    assert run_init([str(repo), "--out", str(out), "--run", f"{sys.executable} train.py"]) == 2
    assert "no data/train.bin" in capsys.readouterr().err
    assert not out.exists()


def test_a_name_that_ships_is_not_taken_for_it_would_hide_the_users(tmp_path: Path) -> None:
    repo, out = repository(tmp_path / "nanoChat", train=ARGPARSE), tmp_path / "conf"
    assert run_init([str(repo), "--out", str(out)]) == 0
    assert sorted(path.name for path in out.rglob("*.yaml")) == ["nanochat_own.yaml"] * 2
    assert "name: nanochat_own" in (out / "setting" / "nanochat_own.yaml").read_text()


def test_a_run_that_does_not_end_is_ended(tmp_path: Path) -> None:
    words = [sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(600)"]
    shown = show_run(words, tmp_path, env={}, timeout_s=1.0)
    assert shown.code is None
    assert "begun" in shown.output


@pytest.mark.level2
def test_init_on_a_look_alike_ends_green_with_the_command_to_type(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = ARGPARSE + (
        "import random\na = p.parse_args()\nrandom.seed(a.seed)\n"
        "loss = 0.2 + 3 * a.num_points**-0.3 + random.gauss(0, 0.003)\n"
        "print(f'step 0: train loss {loss + 1:.5f}', f'val loss {loss:.5f}', sep='\\n')\n"
    )
    repo, out = repository(tmp_path / "repo", train=program), tmp_path / "conf"
    run = f"{sys.executable} train.py --num-points=1000"
    assert run_init([str(repo), "--out", str(out), "--run", run]) == 0
    said = capsys.readouterr().out
    assert said.count("preflight  green") == 2
    assert "objective val_loss" in said
    assert said.splitlines()[-1].endswith("+ladder=repo dry_run=true")
    assert sorted(path.name for path in out.rglob("*.yaml")) == ["repo.yaml", "repo.yaml"]
    assert run_init([str(repo), "--out", str(out)]) == 2
    assert "is there already" in capsys.readouterr().err


@pytest.mark.level2
def test_init_on_constants_runs_them_in_a_box_each_with_its_seed_and_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = (
        "import random\nDEPTH = 3  # layers\nrandom.seed(42)\n"
        "print('val_bpb:   ', 1 / DEPTH + random.gauss(0, 0.003))\n"
    )
    repo, out = repository(tmp_path / "repo", train=program), tmp_path / "conf"
    run = f"{sys.executable} train.py"
    assert run_init([str(repo), "--out", str(out), "--run", run]) == 0
    said = capsys.readouterr().out
    assert said.count("preflight  green") == 2, said
    assert "sizes    DEPTH 1 → 2 → 3" in said
    assert (repo / "train.py").read_text() == program


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("n_estimators", "length"),
        ("d_model", "width"),
        ("rng_seed", "seed"),
        ("save_dir", "out"),
        ("adam_beta1", "knob"),
        ("port", "other"),
    ],
)
def test_roles_are_read_off_names(name: str, role: str) -> None:
    assert role_of(ProgramOption(name, 1.5, OptionStyle.EQUALS, "train.py")) == role
