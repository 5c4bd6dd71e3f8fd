"""A night by simulation: a thousand proposals through a server that fails, on the oracle trainer.

    python benchmarks/overnight.py [--proposals 1000] [--usd 6] [--trace]

The official client talks over loopback to a server that answers 35 % of the calls with a fault
(429 with and without Retry-After, 5xx, dropped and half sent bodies, refusals, tool calls, 200 kB
of braces, damaged text, instructions to the harness); waiting is by a clock that only waiting
moves. The baseline never does, so that changes are proposals. What the study must hold is checked
here and fails the run. Own time is CPU of the thread that proposes, without the client's.
``--trace`` says which lines hold the memory that the last three quarters of the proposals added.
"""

import argparse
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from llm_server import serving  # noqa: E402
from oracle import oracle_job  # noqa: E402
from researching import Lab, faulty, lab  # noqa: E402

from autoresearch.proposer.model.client import Endpoint  # noqa: E402
from transfer.journal.state import replay  # noqa: E402
from transfer.journal.store import Journal, read_journal  # noqa: E402
from transfer.study.limits import Limits, spend_words, spent  # noqa: E402
from transfer.study.proposer_protocol import Session, asked_before  # noqa: E402


class Timed:
    """A proposer with the seconds it took, and those of them that its model took."""

    def __init__(self, inner: Any, session: Session, *, traced_at: tuple[int, int]) -> None:
        self.name, self._inner, self._traced_at = inner.name, inner, traced_at
        self.seconds = self.model = 0.0
        self.n = 0
        self.memory: list[tuple[int, float]] = []
        self.traced: list[tracemalloc.Snapshot] = []
        endpoint: Endpoint = inner.connected(session)
        sent = endpoint._sent

        def timed(request: Any) -> Any:
            begun = time.thread_time()
            try:
                return sent(request)
            finally:
                self.model += time.thread_time() - begun

        endpoint._sent = timed  # type: ignore[method-assign]

    def propose(self, request: Any) -> Any:
        """Time one proposal."""
        begun = time.thread_time()
        found = self._inner.propose(request)
        self.seconds += time.thread_time() - begun
        self.n += 1
        if tracemalloc.is_tracing() and self.n in self._traced_at:
            self.traced.append(tracemalloc.take_snapshot())
        if self.n % 100 == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.memory.append((self.n, pages * 4096 / 1e6))
        return found


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--proposals", type=int, default=1000)
    options.add_argument("--usd", type=float, default=6.0)
    options.add_argument("--trace", action="store_true")
    given = options.parse_args()
    if given.trace:
        tracemalloc.start()
    folder = Path(tempfile.mkdtemp(prefix="overnight-"))
    limits = Limits(changes=given.proposals, usd=given.usd)
    still = ["round.accepts=100000", "round.changes=100000", "round.budget_share=1000"]
    job = oracle_job("policy=greedy", "budget.compute=1e9", *still)
    begun = time.perf_counter()
    with serving(faulty(7), keep=0) as server:
        ledger: Any = Journal(folder / "journal", clock=time.time)
        opened = lab(server, folder, job=job, limits=limits, ledger=ledger)
        timed = Timed(
            opened.proposer, opened.session, traced_at=(given.proposals // 4, given.proposals - 1)
        )
        opened.proposer = timed
        reason = opened.run()
        ledger.close()
    report(opened, timed, reason, server.n, time.perf_counter() - begun, folder, given.usd)


def report(
    opened: Lab, timed: Timed, reason: str, calls: int, seconds: float, folder: Path, cap: float
) -> None:
    """Check what must hold, and print what was seen."""
    state = opened.study.state
    proposed = [record.proposed for record in state.changes.values()]
    programs = [p.program for p in proposed if p.program and not p.rescreens]
    events, repairs = read_journal(folder / "journal")
    again = replay(events)
    assert len(programs) == len(set(programs)), "a duplicate was run"
    assert spent(state).usd <= cap, "spent beyond the cap"
    assert again.spending == state.spending, "the journal does not add up"
    assert list(again.changes) == list(state.changes), "the journal does not replay"
    assert not repairs, "the journal is damaged"
    own = (timed.seconds - timed.model) / max(timed.n, 1)
    print(f"ended      {reason}")
    print(f"proposals  {asked_before(state, 'openai')}, changes {state.changes.n_fresh}, "
          f"refused {len(state.refused)}, trials {len(state.trials.results)}")  # fmt: skip
    print(f"calls      {calls} requests; {spend_words(state)}; cap ${cap:.2f}")
    print(f"clock      {opened.clock.now / 3600:.1f} h waited by it, {seconds:.0f} s in truth")
    print(f"own time   {1000 * own:.1f} ms of CPU a proposal beside the model and the trainer")
    if timed.memory:
        print("memory     " + ", ".join(f"{n}: {mb:.1f} MB" for n, mb in timed.memory))
    if len(timed.traced) == 2:
        grown = timed.traced[1].compare_to(timed.traced[0], "lineno")
        grown = [one for one in grown if one.traceback[0].filename != tracemalloc.__file__]
        print(f"grown      {sum(one.size_diff for one in grown) / 1e3:.0f} kB, the most at")
        for one in grown[:20]:
            line = one.traceback[0]
            print(f"           {one.size_diff / 1e3:7.1f} kB  {line.filename}:{line.lineno}")


if __name__ == "__main__":
    main()
