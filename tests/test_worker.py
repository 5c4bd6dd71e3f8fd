"""The worker turns every way a trial can end into a state, and leaves nothing running."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tiny_trials import PYTHON, WRITES, processes_with, spec

from miniscale.process.logs import CappedLog, last_words
from miniscale.run import worker
from miniscale.setting.records import encode_record
from miniscale.setting.trial import (
    Cause,
    MetricSource,
    Objective,
    Transform,
    TrialResult,
    TrialSpec,
    TrialState,
    read_result,
)
from transfer.constraint import number_of

STDOUT = MetricSource(line=r"loss: (\S+)$")
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


def write_spec(trial: TrialSpec) -> str:
    path = Path(trial.out, "spec.json")
    path.write_text(json.dumps(encode_record(trial)))
    return str(path)


def run(folder: Path, code: str = WRITES % 1.5, **more: Any) -> TrialResult:
    trial = spec(folder, code, **more)
    done = subprocess.run(worker.command(write_spec(trial)), check=False)
    result = read_result(Path(trial.out))
    assert done.returncode == 0
    assert result is not None
    return result


def until(condition: Any, *, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_a_complete_trial_has_its_value_and_what_it_cost(tmp_path: Path) -> None:
    code = WRITES % 1.5 + "; open(sys.argv[1] + '/trainer.json', 'w').write('{\"flops\": 7}')"
    result = run(tmp_path, code)
    assert (result.state, result.value) == (TrialState.COMPLETE, 1.5)
    assert result.metrics["flops"] == 7
    assert {"peak_memory_gb", "cpu_seconds", "trainer_seconds"} <= result.metrics.keys()
    assert result.metrics["supervisor_cpu_seconds"] < 0.3


def test_it_runs_as_a_module_too(tmp_path: Path) -> None:
    path = write_spec(spec(tmp_path))
    subprocess.run([sys.executable, "-m", "miniscale.run.worker", path], check=True)
    result = read_result(tmp_path / "trials" / "t")
    assert result is not None
    assert result.is_complete


def test_a_crash_gives_its_traceback_as_reason_without_control_characters(tmp_path: Path) -> None:
    result = run(tmp_path, "print('\\x1b[31mnoise\\x07'); raise KeyError('\\x1b[1mhead_dim')")
    assert (result.state, result.cause) == (TrialState.FAILED, Cause.CRASH)
    assert "Traceback (most recent call last):" in result.reason
    assert result.reason.rstrip().endswith("KeyError: '\\x1b[1mhead_dim'")
    assert "\x1b" not in result.reason
    assert len(result.reason) <= 2000


def test_a_traceback_is_told_whole_when_output_comes_after_it(tmp_path: Path) -> None:
    late = "import atexit, time; atexit.register(lambda: (time.sleep(0.1), print('bye')))"
    result = run(tmp_path, f"{late}; raise KeyError('head_dim')")
    assert result.reason.rstrip().endswith("KeyError: 'head_dim'")


def test_a_program_that_is_not_there_says_so(tmp_path: Path) -> None:
    result = run(tmp_path, trainer=("no-such-program-here",))
    assert result.cause is Cause.CRASH
    assert "cannot run 'no-such-program-here'" in result.reason


def test_time_out_is_over_trainer_and_evaluator_together(tmp_path: Path) -> None:
    sleeps = (*PYTHON, "import time; time.sleep(30)")
    start = time.monotonic()
    result = run(tmp_path, WRITES % 1, evaluator=sleeps, timeout_s=1.5)
    assert result.state is TrialState.TIMED_OUT
    assert "evaluator ran past timeout_s=1.5" in result.reason
    assert time.monotonic() - start < 10


@needs_proc
def test_memory_of_the_whole_tree_is_capped(tmp_path: Path) -> None:
    child = "import time; x = bytearray(70_000_000); time.sleep(30)"
    code = f"import subprocess, sys\nc = [sys.executable, '-I', '-S', '-c', {child!r}]\n"
    code += "a, b = subprocess.Popen(c), subprocess.Popen(c)\na.wait()"
    result = run(tmp_path, code, memory_gb=0.12)
    assert (result.state, result.cause) == (TrialState.FAILED, Cause.OOM)
    assert "memory_gb=0.12" in result.reason


def test_a_memory_error_of_the_trainer_is_out_of_memory(tmp_path: Path) -> None:
    assert run(tmp_path, "raise MemoryError('no more')").cause is Cause.OOM


def test_exit_code_three_is_divergence(tmp_path: Path) -> None:
    result = run(tmp_path, "import sys; print('loss is nan at step 7'); sys.exit(3)")
    assert (result.state, result.cause) == (TrialState.DIVERGED, Cause.NONE)
    assert result.reason == "loss is nan at step 7"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "answer.json: cannot be read"),
        ("{", "not valid JSON"),
        ('{"w": 1}', "no key 'v'"),
        ('{"v": "low"}', "'v' is 'low', needs a number"),
        ('{"v": true}', "needs a number"),
    ],
)
def test_a_missing_value_is_a_failure_with_its_reason(
    tmp_path: Path, content: str | None, said: str
) -> None:
    code = "import sys"
    if content is not None:
        code += f"; open(sys.argv[1] + '/answer.json', 'w').write({content!r})"
    result = run(tmp_path, code)
    assert (result.state, result.value) == (TrialState.FAILED, None)
    assert said in result.reason


def test_a_pipe_in_place_of_the_answer_does_not_hang(tmp_path: Path) -> None:
    result = run(tmp_path, "import os, sys; os.mkfifo(sys.argv[1] + '/answer.json')")
    assert "not a plain file" in result.reason


@pytest.mark.parametrize("value", ["float('nan')", "float('inf')", "10 ** 400"])
def test_a_value_that_is_not_finite_is_divergence(tmp_path: Path, value: str) -> None:
    assert run(tmp_path, WRITES % value).state is TrialState.DIVERGED


def test_the_last_matching_line_of_standard_output_counts(tmp_path: Path) -> None:
    code = "import sys; print('loss: 3'); print('loss: 2.5', end='')"
    code += "; print('loss: 1', file=sys.stderr)"
    assert run(tmp_path, code, reading=STDOUT).value == 2.5


def test_a_line_that_never_came_is_a_failure(tmp_path: Path) -> None:
    result = run(tmp_path, "print('done')", reading=STDOUT)
    assert result.cause is Cause.CRASH
    assert "no line matches" in result.reason


def test_no_secret_of_the_parent_reaches_a_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    code = "import json, os, sys; json.dump({'v': 1, **os.environ},"
    code += " open(sys.argv[1] + '/answer.json', 'w'))"
    run(tmp_path, code, threads=3, env={"MINE": "yes"})
    seen = json.loads((tmp_path / "trials/t/answer.json").read_text())
    ours = {"TMPDIR", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "MINE", "v"}
    ours |= {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "LC_CTYPE"}
    assert seen.keys() <= ours | set(worker.PASSED_ON)
    assert seen["OMP_NUM_THREADS"] == "3"
    assert seen["MINE"] == "yes"


def test_the_evaluator_makes_the_number_and_not_the_trainer(tmp_path: Path) -> None:
    forged = WRITES.replace("answer", "evaluation") % 0.1
    out = str(tmp_path / "trials/t")
    honest = (*PYTHON, WRITES.replace("answer", "evaluation") % 2.0, out)
    reading = MetricSource(file="evaluation.json", key="v")
    assert run(tmp_path, forged, evaluator=honest, reading=reading).value == 2.0
    silent = run(tmp_path, forged, evaluator=(*PYTHON, "pass"), reading=reading)
    assert (silent.state, silent.value) == (TrialState.FAILED, None)


def test_an_evaluator_collects_numbers_and_digests(tmp_path: Path) -> None:
    data = {"val_bpb": 1.2, "sealed_bpb": 1.3, "seconds": 9, "digests": {"code": "ab"}, "is": True}
    code = f"import sys; open(sys.argv[1] + '/evaluation.json', 'w').write({json.dumps(data)!r})"
    evaluator = (*PYTHON, code, str(tmp_path / "trials/t"))
    reading = MetricSource(file="evaluation.json", key="val_bpb")
    result = run(tmp_path, "pass", evaluator=evaluator, reading=reading)
    assert result.value == 1.2
    assert result.metrics["sealed_bpb"] == 1.3
    assert not {"seconds", "is"} & result.metrics.keys()
    assert result.digests == {"code": "ab"}


def test_a_file_cannot_say_what_is_measured_from_outside(tmp_path: Path) -> None:
    told = dict.fromkeys(("memory", "memory_gb", "seconds", "evaluator_seconds"), 0.001)
    tell = f"; open(sys.argv[1] + '/trainer.json', 'w').write({json.dumps({**told, 'flops': 7})!r})"
    result = run(tmp_path, WRITES % 1.5 + tell)
    assert result.metrics["flops"] == 7
    assert not told.keys() & result.metrics.keys()
    measured = [number_of(result.metrics, name) for name in ("memory", "memory_gb", "seconds")]
    assert all(value is not None and value > 0.001 for value in measured)
    readings = {"memory_gb": MetricSource(line="held {number}")}
    result = run(tmp_path, WRITES % 1.5 + tell + "; print('held 3')", extra_readings=readings)
    assert result.metrics["memory_gb"] == 3


def test_a_share_in_percent_is_no_value(tmp_path: Path) -> None:
    reading = MetricSource(file="answer.json", key="v")
    bounds = Objective("acc", False, reading, Transform.LOGIT).bounds
    result = run(tmp_path, WRITES % 93.1, bounds=bounds)
    assert (result.state, result.value) == (TrialState.FAILED, None)
    assert "93.1" in result.reason
    assert "is it in percent?" in result.reason
    assert run(tmp_path, WRITES % 1, bounds=bounds).value == 1
    assert run(tmp_path, WRITES % 93.1, bounds=Objective("acc", False, reading).bounds).is_complete


TRAPS = {
    "nested": "[(os.mkdir('a' * 250), os.chdir('a' * 250)) for _ in range(20)]",
    "deep": "[(os.mkdir('a'), os.chdir('a')) for _ in range(1500)]",
    "closed": "os.mkdir('a'); open('a/f', 'w'); os.symlink('/', 'a/l'); os.chmod('a', 0o555)",
}


@pytest.mark.parametrize("keep", [(), ("answer.json",)])
@pytest.mark.parametrize("trap", TRAPS)
def test_no_folder_that_a_trainer_leaves_stops_the_worker(
    tmp_path: Path, trap: str, keep: tuple[str, ...]
) -> None:
    code = f"{WRITES % 1.5}; import os; os.chdir(sys.argv[1]); {TRAPS[trap]}"
    code += "; os.symlink('/', 'link')"
    for _ in range(2):  # what is left does not stop a second attempt either
        assert run(tmp_path, code, keep=keep).value == 1.5
    out = tmp_path / "trials/t"
    assert trap == "closed" or not (out / "a").exists()
    assert not (out / "a/l").is_symlink()
    assert {"answer.json", "result.json"} <= set(os.listdir(out))
    shutil.rmtree(out)


def test_exit_code_four_of_the_evaluator_is_tampering(tmp_path: Path) -> None:
    out = str(tmp_path / "trials/t")
    code = "import sys; open(sys.argv[1] + '/evaluation.json', 'w')"
    code += '.write(\'{"tampered": "causal: looks ahead"}\'); sys.exit(4)'
    result = run(tmp_path, evaluator=(*PYTHON, code, out))
    assert (result.state, result.reason) == (TrialState.TAMPERED, "causal: looks ahead")


def test_a_locked_file_altered_in_a_trial_is_tampering(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/tokens.py").write_text("honest")
    locked = {"tokens.py": hashlib.sha256(b"honest").hexdigest()}
    assert run(tmp_path, locked=locked).is_complete
    result = run(tmp_path, "open('tokens.py', 'w'); " + WRITES % 1, locked=locked)
    assert result.state is TrialState.TAMPERED
    assert "locked file tokens.py" in result.reason
    assert "after the trial" in result.reason
    again = run(tmp_path, locked=locked)
    assert "before the trial" in again.reason


def test_an_earlier_attempt_leaves_nothing_to_resume_from(tmp_path: Path) -> None:
    trial = spec(tmp_path)
    Path(trial.out, "checkpoint.pt").write_text("stronger")
    Path(trial.out, "answer.json").write_text('{"v": 0}')
    assert run(tmp_path, "pass").state is TrialState.FAILED
    assert not Path(trial.out, "checkpoint.pt").exists()


def test_bulky_files_are_gone_after_the_trial(tmp_path: Path) -> None:
    code = WRITES % 1 + "; import os; open(sys.argv[1] + '/model.safetensors', 'w')"
    code += "; open(os.environ['TMPDIR'] + '/scratch', 'w')"
    run(tmp_path, code)
    left = {path.name for path in (tmp_path / "trials/t").iterdir()}
    assert left == {"spec.json", "result.json", "answer.json", "log.txt"}


ESCAPES = """
import os, signal, sys, time
def stay():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.execv(sys.executable, [sys.executable, '-I', '-S', '-c', STAY, sys.argv[1] + 'MARK'])
STAY = 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)'
if os.fork() == 0:            # a daemon by double fork, in a session of its own
    os.setsid()
    if os.fork() == 0:
        stay()
    os._exit(0)
if os.fork() == 0:            # a child that left the process group
    os.setsid()
    stay()
if os.fork() == 0:            # one that stayed and ignores TERM
    stay()
time.sleep(0.3)
"""


@needs_proc
def test_daemons_and_those_that_ignore_term_are_gone_at_the_end(tmp_path: Path) -> None:
    assert run(tmp_path, ESCAPES + WRITES % 1).is_complete
    assert not processes_with(f"{tmp_path}/trials/tMARK")


@needs_proc
@pytest.mark.parametrize("wanted", [TrialState.TIMED_OUT, TrialState.CANCELLED])
def test_a_stopped_trial_leaves_nothing_either(tmp_path: Path, wanted: TrialState) -> None:
    trial = spec(tmp_path, ESCAPES + "time.sleep(60)", timeout_s=3.0)
    started = subprocess.Popen(worker.command(write_spec(trial)))
    mark = f"{trial.out}MARK"
    assert until(lambda: len(processes_with(mark)) == 3)
    if wanted is TrialState.CANCELLED:
        started.terminate()
    assert started.wait(10) == 0
    result = read_result(Path(trial.out))
    assert result is not None
    assert result.state is wanted
    assert not processes_with(mark)


@needs_proc
def test_kill_nine_of_the_harness_leaves_nothing(tmp_path: Path) -> None:
    path = write_spec(spec(tmp_path, ESCAPES + "time.sleep(60)"))
    code = "import subprocess, sys; from miniscale.run import worker\n"
    code += "subprocess.run(worker.command(sys.argv[1]), start_new_session=True)"
    harness = subprocess.Popen([sys.executable, "-c", code, path])
    assert until(lambda: len(processes_with(f"{tmp_path}/trials/tMARK")) == 3)
    os.kill(harness.pid, signal.SIGKILL)
    harness.wait()
    assert until(lambda: not processes_with(str(tmp_path)))
    assert not (tmp_path / "trials/t/result.json").exists()


@needs_proc
def test_kill_nine_of_the_worker_takes_its_trainer_along(tmp_path: Path) -> None:
    path = write_spec(spec(tmp_path, "import time; time.sleep(60)"))
    started = subprocess.Popen(worker.command(path))
    assert until(lambda: len(processes_with(f"{tmp_path}/trials/t")) == 2)
    started.kill()
    started.wait()
    assert until(lambda: not processes_with(f"{tmp_path}/trials/t"))


def test_a_worker_whose_parent_is_gone_already_runs_nothing(tmp_path: Path) -> None:
    argv = worker.command(write_spec(spec(tmp_path)))
    argv[-1] = "--parent=1"
    assert subprocess.run(argv, check=False).returncode == 1
    assert not (tmp_path / "trials/t/answer.json").exists()


def test_the_log_keeps_head_and_tail_within_its_cap(tmp_path: Path) -> None:
    log = CappedLog(str(tmp_path / "log.txt"), cap_bytes=1000)
    for number in range(1000):
        log.write(b"line %03d\n" % number)
    log.close()
    text = (tmp_path / "log.txt").read_text()
    assert text.startswith("line 000\n")
    assert text.endswith("line 999\n")
    assert "bytes left out" in text
    assert len(text) < 1100


def test_last_words_are_the_traceback_and_not_what_was_before_it() -> None:
    output = b"step 1\r\nstep 2\nTraceback (most recent call last):\n  File x\nE: no\n\n"
    assert last_words(output) == "Traceback (most recent call last):\n  File x\nE: no"
    assert last_words(b"a\n" * 5000 + b"b" * 5000).endswith("b" * 1997)


def test_states_and_causes_are_those_of_a_result() -> None:
    named = {"complete", "failed", "timed_out", "diverged", "tampered", "cancelled"}
    assert named <= {state.value for state in TrialState}
    assert {"crash", "oom", "infrastructure"} <= {cause.value for cause in Cause}


def test_a_folder_in_place_of_the_answer_is_a_crash_of_the_trial_not_of_the_machine(
    tmp_path: Path,
) -> None:
    result = run(tmp_path, "import os, sys; os.mkdir(sys.argv[1] + '/answer.json')")
    assert result.cause is Cause.CRASH
    assert "not a plain file" in result.reason
