"""Trials in the box: capped from outside, honest ones undisturbed, nothing left or forged."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_box import KINDS, needs
from test_worker import ESCAPES, until
from tiny_trials import PYTHON, WRITES, processes_with, spec

from miniscale.box import BoxKind, BoxReport, try_out
from miniscale.process import cgroup, meters
from miniscale.run import trial_folder
from miniscale.run.runner.local import LocalRunner
from miniscale.setting.records import decode_record, encode_record
from miniscale.setting.trial import Cause, TrialResult, TrialSpec, TrialState, read_result

pytestmark = [
    pytest.mark.level2,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc"),
]


def boxed(kind: BoxKind) -> BoxReport:
    if kind is BoxKind.PROCESS:
        return BoxReport(kind)
    needs(kind)
    return BoxReport(kind, {"files": True})


def run(folder: Path, kind: BoxKind, code: str, **more: Any) -> TrialResult:
    with LocalRunner(1, box=boxed(kind)) as runner:
        runner.submit([spec(folder, code, **more)])
        while not (results := runner.poll(5.0)):
            pass
    return results[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_trainer_sees_its_data_and_the_record_says_what_it_ran_in(
    kind: BoxKind, tmp_path: Path
) -> None:
    for name in ("train", "heldout"):
        (tmp_path / name).write_text("5")
    code = "import os, sys; root = os.path.dirname(os.path.dirname(sys.argv[1]))\n"
    code += "try: v = open(root + '/../heldout').read()\n"
    code += "except OSError: v = open(root + '/../train').read() + '1'\n"
    code = code.replace("/..", "") + WRITES % "int(v)"
    reads = (str(tmp_path / "train"),)
    result = run(tmp_path, kind, code, reads=reads, evaluator=())
    assert result.value == 51, result.reason
    assert result.box == boxed(kind).name
    assert decode_record(TrialResult, json.loads(json.dumps(encode_record(result)))) == result


@pytest.mark.parametrize("kind", [*KINDS, BoxKind.PROCESS])
def test_room_on_disk_is_capped_deleted_files_included(kind: BoxKind, tmp_path: Path) -> None:
    fill = "import os, sys, time\nfor n in range(40):\n"
    fill += "    open(f'{sys.argv[1]}/{n}', 'wb').write(bytes(1_000_000))\ntime.sleep(20)"
    result = run(tmp_path, kind, fill, disk_gb=0.02)
    assert (result.state, result.value) == (TrialState.OVER_BUDGET, None)
    assert "more than disk_gb=0.02" in result.reason
    hide = fill.replace("    open", "    kept = globals().setdefault('k', []); f = open")
    hide = hide.replace(".write(", "; f.write(").replace("\ntime", "; kept.append(f)\ntime")
    hide = hide.replace("; kept.append(f)", "; f.flush(); kept.append(f); os.unlink(f.name)")
    result = run(tmp_path, kind, hide, identity="hidden", disk_gb=0.02)
    assert result.state is TrialState.OVER_BUDGET, result.reason
    free = run(tmp_path, kind, hide.replace("sleep(20)", "sleep(.6)") + "\n" + WRITES % 1,
               identity="free", disk_gb=0.02, walls_down=("disk",))  # fmt: skip
    assert free.is_complete


@pytest.mark.parametrize("kind", [*KINDS, BoxKind.PROCESS])
def test_the_number_of_processes_is_capped(kind: BoxKind, tmp_path: Path) -> None:
    code = "import os, time\nfor _ in range(40):\n    if os.fork() == 0: time.sleep(20)\n"
    code += "time.sleep(20)"
    result = run(tmp_path, kind, code, processes=20)
    assert result.state is TrialState.OVER_BUDGET
    assert "more than processes=20" in result.reason
    assert not processes_with(f"{tmp_path}/trials/t")


def test_cpu_time_of_children_that_nobody_waits_for_is_counted(tmp_path: Path) -> None:
    """They are too short-lived to be seen while they run."""
    counter = meters.kernel_counter()
    if counter is None:
        pytest.skip("the kernel gives no count of CPU time here")
    os.close(counter)
    code = "import os, signal, sys, time; signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
    code += (
        "for _ in range(12):\n    if os.fork() == 0:\n        end = time.process_time() + 0.04\n"
    )
    code += "        while time.process_time() < end: pass\n        os._exit(0)\n"
    code += "    try: os.wait()\n    except OSError: pass\n"
    code += WRITES % 1
    for kind in (BoxKind.PROCESS, *(k for k in KINDS if try_out(k).held)):
        result = run(tmp_path, kind, code, identity=f"t-{kind}")
        assert result.metrics["trainer_cpu_seconds"] > 0.4, kind


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_boxed_trial_outlives_it(kind: BoxKind, tmp_path: Path) -> None:
    assert run(tmp_path, kind, ESCAPES + WRITES % 1).is_complete
    assert not processes_with(f"{tmp_path}/trials/tMARK")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("victim", ["harness", "worker"])
def test_kill_nine_leaves_nothing_running_and_loses_nothing(
    kind: BoxKind, victim: str, tmp_path: Path
) -> None:
    needs(kind)
    path = tmp_path / "spec.json"
    trial = spec(tmp_path, ESCAPES + "time.sleep(60)")
    path.write_text(json.dumps(encode_record(trial)))
    code = "import json, sys; from miniscale.box import BoxKind, BoxReport\n"
    code += "from miniscale.run.runner.local import LocalRunner\n"
    code += "from miniscale.setting.records import decode_record\n"
    code += "from miniscale.setting.trial import TrialSpec\n"
    code += "r = LocalRunner(1, box=BoxReport(BoxKind(sys.argv[2]), {'files': True}))\n"
    code += "r.submit([decode_record(TrialSpec, json.load(open(sys.argv[1])))])\n"
    code += "r.poll(60); r.poll(60)"
    harness = subprocess.Popen([sys.executable, "-c", code, str(path), kind])
    mark = f"{trial.out}MARK"
    assert until(lambda: len(processes_with(mark)) == 3)
    first = set(processes_with(mark))
    if victim == "worker":
        for pid in processes_with("miniscale.run.worker"):
            if trial.out.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        # the next attempt, and nothing of the first
        assert until(lambda: len(n := set(processes_with(mark))) == 3 and not n & first)
    harness.kill()
    harness.wait()
    assert until(lambda: not processes_with(str(tmp_path)))
    assert not (tmp_path / "trials/t/result.json").exists()
    again = spec(tmp_path, WRITES % 2)
    with LocalRunner(1, box=boxed(kind)) as runner:
        runner.submit([again])
        assert runner.poll(30.0)[0].value == 2


def test_a_result_that_a_trainer_forged_does_not_stand(tmp_path: Path) -> None:
    trial = spec(tmp_path)
    forged = {"identity": "t", "state": "complete", "value": 0.1, "cause": ""}
    trial_folder.write_result(trial.out, {**forged, "value": 1.25})
    honest = read_result(Path(trial.out))
    with LocalRunner(1) as runner:
        runner.submit([trial])
        assert runner.poll(5.0)[0] == honest
    Path(trial.out, "result.json").write_text(json.dumps(forged))
    with LocalRunner(1) as runner:
        runner.submit([trial])
        assert runner.poll(20.0)[0].value == 1.5  # what it really gives


@pytest.mark.parametrize("kind", KINDS)
def test_a_boxed_trainer_that_always_kills_itself_does_not_stop_the_study(
    kind: BoxKind, tmp_path: Path
) -> None:
    result = run(tmp_path, kind, f"import os; os.kill(os.getpid(), {signal.SIGKILL:d})")
    assert (result.state, result.cause) == (TrialState.FAILED, Cause.CRASH), result.reason
    assert result.attempt == 2


@pytest.mark.parametrize("kind", KINDS)
def test_links_and_pipes_are_gone_before_the_evaluator_reads(kind: BoxKind, tmp_path: Path) -> None:
    code = "import os, sys; os.symlink('/etc/hostname', sys.argv[1] + '/model.safetensors')\n"
    code += "os.mkfifo(sys.argv[1] + '/pipe')"
    looks = "import json, os, sys; f = sys.argv[1]; left = os.listdir(f)\n"
    looks += "json.dump({'v': len({'pipe', 'model.safetensors'} & set(left))}, "
    looks += "open(f + '/answer.json', 'w'))"
    out = str(tmp_path / "trials/t")
    assert run(tmp_path, kind, code, evaluator=(*PYTHON, looks, out)).value == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_box_that_cannot_be_put_up_is_infrastructure_and_no_fault_of_the_change(
    kind: BoxKind, tmp_path: Path
) -> None:
    code = "import sys; sys.stderr.write('box: Landlock: no; nothing was run'); sys.exit(126)"
    result = run(tmp_path, kind, code)
    assert result.attempt == 2  # tried again; but who forges these words does not stop a study
    assert result.cause is Cause.CRASH


def test_a_trainer_cannot_flood_the_records(tmp_path: Path) -> None:
    code = (
        "import json, sys; n = {f'x{i}': i for i in range(5000)} | {'\\x1b[2J': 1, 'y' * 90: 1}\n"
    )
    code += "json.dump(n, open(sys.argv[1] + '/trainer.json', 'w'))\n" + WRITES % 1
    metrics = run(tmp_path, BoxKind.PROCESS, code).metrics
    assert len([name for name in metrics if name[0] in "xy\x1b"]) == 200
    assert "\x1b[2J" not in metrics


def test_a_control_group_ends_and_counts_what_is_in_it() -> None:
    group = cgroup.make(str(os.getpid()))
    if group is None:
        pytest.skip("may make no control group here")
    try:
        code = f"open({group.door!r}, 'w').write('0')\nwhile True: pass"
        process = subprocess.Popen([*PYTHON, code])
        assert until(lambda: group.cpu_seconds() > 0.05)
        group.kill()
        assert process.wait(10) == -signal.SIGKILL
    finally:
        group.close()


def test_specs_of_before_the_box_still_open(tmp_path: Path) -> None:
    data = encode_record(spec(tmp_path))
    for name in ("reads", "walls_down", "disk_gb", "processes"):
        del data[name]
    assert decode_record(TrialSpec, data) == spec(tmp_path)
