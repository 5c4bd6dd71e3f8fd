"""The local runner: same results whatever the slots, nothing run twice, nothing left."""

import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from tiny_trials import PYTHON, WRITES, processes_with, spec

from miniscale.run.progress import progress
from miniscale.run.runner.local import LocalRunner, usable_cores
from miniscale.run.runner.protocol import Runner
from miniscale.setting.trial import Cause, TrialResult, TrialSpec, TrialState

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
MEASURED = (
    "peak_memory_gb",
    "cpu_seconds",
    "trainer_seconds",
    "supervisor_cpu_seconds",
    "trainer_cpu_seconds",
    "peak_disk_gb",
)
NOTES = "import os, sys, time; open(sys.argv[1] + '/../order', 'a').write(sys.argv[1][-1]); "


def drain(runner: Runner, count: int, *, seconds: float = 30.0) -> list[TrialResult]:
    found: list[TrialResult] = []
    deadline = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < deadline:
        found += runner.poll(1.0)
    return found


def content(result: TrialResult) -> object:
    metrics = {k: v for k, v in result.metrics.items() if k not in MEASURED}
    return result.identity, result.state, result.value, result.cause, result.reason, metrics


def batch(folder: Path) -> list[TrialSpec]:
    folder.mkdir()
    codes = [WRITES % f"{n} / 7" for n in range(4)] + ["raise ValueError('bad')"]
    codes.append("import sys; sys.exit(3)")
    return [spec(folder, code, identity=f"t{n}") for n, code in enumerate(codes)]


def test_results_are_the_same_with_one_slot_and_with_two(tmp_path: Path) -> None:
    seen = []
    for slots in (1, 2):
        with LocalRunner(slots) as runner:
            runner.submit(batch(tmp_path / str(slots)))
            results = drain(runner, 6)
        seen.append(sorted(content(r) for r in results))  # type: ignore[type-var]
    assert len(seen[0]) == 6
    assert seen[0] == seen[1]


def test_trials_start_in_the_order_given_and_one_slot_runs_one_at_a_time(tmp_path: Path) -> None:
    code = NOTES + "time.sleep(0.05); " + WRITES % 1
    trials = [spec(tmp_path, code, identity=name) for name in ("c", "a", "b")]
    with LocalRunner(1) as runner:
        runner.submit(trials)
        runner.submit(trials)
        assert [trial.identity for trial in runner.running()] == ["c"]
        assert [result.identity for result in drain(runner, 3)] == ["c", "a", "b"]
        assert runner.poll(0.0) == []
    assert (tmp_path / "trials/order").read_text() == "cab"


def test_a_trial_takes_as_many_lanes_as_it_has_threads(tmp_path: Path) -> None:
    code = "import time; time.sleep(0.2); " + WRITES % 1
    wide = [spec(tmp_path, code, identity=f"w{n}", threads=2) for n in range(2)]
    with LocalRunner(3) as runner:
        runner.submit([*wide, spec(tmp_path, code, identity="n")])
        # the first that does not fit is not overtaken, or it might wait for ever
        assert [trial.identity for trial in runner.running()] == ["w0"]
        drain(runner, 3)


def test_slots_by_default_are_the_usable_cores_over_threads() -> None:
    assert LocalRunner().slots == usable_cores()
    assert LocalRunner(threads=10_000).slots == 1
    with pytest.raises(ValueError, match="needs at least 1"):
        LocalRunner(0)


def test_an_existing_result_is_returned_and_nothing_is_run(tmp_path: Path) -> None:
    trial = spec(tmp_path, NOTES + WRITES % 1)
    for _ in range(2):
        with LocalRunner(1) as runner:
            runner.submit([trial])
            assert drain(runner, 1)[0].value == 1
            assert not runner.running()
    assert (tmp_path / "trials/order").read_text() == "t"


@pytest.mark.parametrize(
    "left",
    [
        "torn {",
        json.dumps({"v": 1}),
        json.dumps({"identity": "other", "state": "complete", "value": 9.0, "cause": ""}),
        json.dumps({"identity": "t", "state": "cancelled", "cause": ""}),
        json.dumps({"identity": "t", "state": "failed", "cause": "infrastructure"}),
    ],
)
def test_what_is_no_result_of_this_trial_does_not_stand(tmp_path: Path, left: str) -> None:
    trial = spec(tmp_path)
    Path(trial.out, "result.json").write_text(left)
    with LocalRunner(1) as runner:
        runner.submit([trial])
        assert drain(runner, 1)[0].value == 1.5


@needs_proc
def test_a_worker_that_dies_is_tried_again_and_sweeps_what_it_left(tmp_path: Path) -> None:
    stay = "import time; time.sleep(60)"
    code = "import os, signal, subprocess, sys, time\n"
    code += f"subprocess.Popen([*{PYTHON!r}, {stay!r}, sys.argv[1] + 'MARK'],"
    code += " start_new_session=True)\n"
    code += "n = sys.argv[1] + '/../attempts'\nopen(n, 'a').write('x')\n"
    code += "os.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(60)"
    with LocalRunner(1) as runner:
        runner.submit([spec(tmp_path, code)])
        (result,) = drain(runner, 1)
    assert (result.state, result.cause) == (TrialState.FAILED, Cause.INFRASTRUCTURE)
    assert result.attempt == 2
    assert (tmp_path / "trials/attempts").read_text() == "xxx"
    assert not processes_with(f"{tmp_path}/trials/tMARK")


@needs_proc
def test_a_second_attempt_that_works_counts(tmp_path: Path) -> None:
    code = "import os, signal, sys\nn = sys.argv[1] + '/../was_here'\n"
    code += "if not os.path.exists(n):\n    open(n, 'w')\n"
    code += "    os.kill(os.getpid(), signal.SIGKILL)\n" + WRITES % 1
    with LocalRunner(1) as runner:
        runner.submit([spec(tmp_path, code)])
        (result,) = drain(runner, 1)
    assert (result.value, result.attempt) == (1, 1)


@needs_proc
def test_close_stops_all_at_once_and_they_run_again_later(tmp_path: Path) -> None:
    first = "import os, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    first += "n = sys.argv[1] + '/../go'\nwhile not os.path.exists(n): time.sleep(0.01)\n"
    trials = [spec(tmp_path, first + WRITES % 1, identity=f"t{n}") for n in range(3)]
    runner = LocalRunner(3)
    runner.submit(trials)
    runner.poll(0.3)
    assert len(runner.running()) == 3
    start = time.monotonic()
    runner.close()
    assert time.monotonic() - start < 4
    assert runner.running() == []
    assert not processes_with(f"{tmp_path}/trials")
    (tmp_path / "trials/go").touch()
    with LocalRunner(3) as again:
        again.submit(trials)
        assert {result.value for result in drain(again, 3)} == {1.0}


def gpu_of(result: TrialResult, folder: Path) -> str:
    return (folder / "trials" / result.identity / "gpu").read_text()


def test_gpus_are_handed_out_and_hidden_from_those_that_ask_for_none(tmp_path: Path) -> None:
    code = "import os, sys, time; time.sleep(0.1)\n"
    code += "open(sys.argv[1] + '/gpu', 'w').write(os.environ['CUDA_VISIBLE_DEVICES'])\n"
    asked = [0, 1, 1, 2]
    trials = [
        spec(tmp_path, code + WRITES % n, identity=f"t{n}", gpus=gpus)
        for n, gpus in enumerate(asked)
    ]
    with LocalRunner(4, gpus=["4", "7"]) as runner:
        runner.submit(trials)
        assert len(runner.running()) == 3
        results = sorted(drain(runner, 4), key=lambda result: result.identity)
        with pytest.raises(ValueError, match="gpus=3, but 2 usable here"):
            runner.submit([spec(tmp_path, gpus=3)])
    assert [gpu_of(result, tmp_path) for result in results] == ["", "4", "7", "4,7"]


def test_polling_waits_without_work(tmp_path: Path) -> None:
    with LocalRunner(1) as runner:
        runner.submit([spec(tmp_path, "import time; time.sleep(1); " + WRITES % 1)])
        start, cpu = time.monotonic(), time.process_time()
        (result,) = drain(runner, 1)
        assert time.monotonic() - start > 0.8
        assert time.process_time() - cpu < 0.1
    assert result.metrics["supervisor_cpu_seconds"] < 0.3


@pytest.mark.parametrize(
    ("lines", "step"),
    [
        ([], None),
        (['{"step": 3, "steps": 9, "loss": 1.5, "seconds": 2}'], 3),
        (['{"step": 3, "steps": 9, "loss": null}', '{"step": 4, "ste'], 3),
        (["not json", '{"step": "x"}'], None),
        (["x" * 9000, '{"step": 5, "steps": 9, "loss": NaN}'], 5),
    ],
)
def test_progress_is_the_last_whole_line(
    tmp_path: Path, lines: Sequence[str], step: int | None
) -> None:
    assert progress(tmp_path) is None
    is_torn = bool(lines) and not lines[-1].endswith("}")
    text = "\n".join(lines) + ("" if is_torn else "\n")
    (tmp_path / "metrics.jsonl").write_text(text)
    found = progress(tmp_path)
    assert (found.step if found else None) == step


def test_a_trial_killed_by_a_stranger_is_infrastructure(tmp_path: Path) -> None:
    with LocalRunner(1) as runner:
        runner.submit([spec(tmp_path, f"import os; os.kill(os.getpid(), {signal.SIGKILL:d})")])
        (result,) = drain(runner, 1)
    assert result.cause is Cause.INFRASTRUCTURE
    assert "killed from outside" in result.reason
    assert os.path.exists(tmp_path / "trials/t/result.json")
