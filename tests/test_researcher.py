"""A model that researches: studies go on through its faults, its crashes and ours, within caps."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from llm_server import Step, serving
from oracle import oracle_job
from researching import FAULTS, Played, faulty, idea, lab, play, reply

from autoresearch.brief import Asking, TooLong, brief
from autoresearch.brief.history import crash_to_mend, is_plateau, resting
from autoresearch.proposer.make_proposer import AgentContext, decode_agent
from autoresearch.proposer.turns import Turns
from miniscale.setting.decode import InputError
from transfer.events import CallBilled, Event, Proposed, Refused
from transfer.journal.state import replay
from transfer.report.proposer_accounts import calibrations
from transfer.study.limits import Limits, spend_words, spent
from transfer.study.proposer_protocol import Done, Paused
from transfer.study.simulated_study import MemoryLedger

OK = Step('{"ok": true}')


def fresh(n: int, request: dict[str, Any]) -> Step:
    """Answer the probe, then with four new ideas."""
    gains = [0.0, 0.1, -0.1, 0.05]
    return reply(*[idea(gains[k] + 0.001 * n, n=10 * n + k) for k in range(4)]) if n else OK


def asked(events: list[Event]) -> list[CallBilled]:
    return [event for event in events if isinstance(event, CallBilled)]


def refused(played: Played) -> list[str]:
    return [event.reason for event in played.lab.study.events if isinstance(event, Refused)]


def test_a_study_runs_on_a_models_ideas_to_its_end(tmp_path: Path) -> None:
    played = play(fresh, tmp_path)
    state = played.lab.study.state
    assert played.reason == "12 changes were tried"
    assert state.changes.n_fresh == 12
    assert all(p.change.expected for p in state.changes.values() if not p.change.members)
    assert len(asked(played.lab.study.events)) == played.server.n


def test_every_call_is_journaled_with_its_cost_before_its_change(tmp_path: Path) -> None:
    events = play(fresh, tmp_path).lab.study.events
    first = next(i for i, event in enumerate(events) if isinstance(event, Proposed))
    calls = asked(events)
    assert isinstance(events[first - 1], CallBilled)
    assert [c.outcome for c in calls[:2]] == ["probe", "ok"]
    assert calls[1].usd == pytest.approx(100e-6 + 50 * 4e-6)
    assert replay(events).spending["openai"].calls == len(calls)


def test_the_brief_and_every_reply_lie_beside_the_study(tmp_path: Path) -> None:
    play(fresh, tmp_path)
    record = json.loads((tmp_path / "proposals" / "openai-00000.json").read_text())
    assert "# Setting" in record["brief"]
    assert json.loads(record["calls"][1]["reply"])["ideas"][0]["hypothesis"] == "planted"
    assert record["entries"][0]["title"].startswith("gain")


class Killed(BaseException):
    """The process ends here."""


def test_killed_anywhere_a_study_ends_the_same_and_pays_no_reply_twice(tmp_path: Path) -> None:
    whole = play(fresh, tmp_path / "whole")
    expected = whole.lab.study.events
    rng = random.Random(3)
    with serving(fresh) as server:
        ledger = MemoryLedger()
        for _ in range(8):
            left = rng.randrange(2, 40)

            class Killing(MemoryLedger):
                def append(self, event: Event, left: list[int] = [left]) -> None:  # noqa: B006
                    left[0] -= 1
                    if not left[0]:
                        raise Killed
                    ledger.events.append(event)

            killing = Killing(ledger.events)
            opened = lab(server, tmp_path / "cut", ledger=killing)
            try:
                opened.run()
                break
            except Killed:
                continue
        lab(server, tmp_path / "cut", ledger=ledger).run()
        n = server.n
    kept = [event for event in ledger.events if "Stopped" not in type(event).__name__]
    assert kept == [event for event in expected if "Stopped" not in type(event).__name__]
    assert n == whole.server.n


def test_a_reply_that_was_under_way_when_we_died_is_counted_at_its_most(tmp_path: Path) -> None:
    def deadly(n: int, request: dict[str, Any]) -> Step:
        return Step(fault="drop") if n == 1 else fresh(n, request)

    with serving(deadly) as server:
        ledger = MemoryLedger()

        def die(seconds: float) -> None:
            raise Killed

        opened = lab(server, tmp_path, ledger=ledger, sleep=die)
        with pytest.raises(Killed):
            opened.run()
        again = lab(server, tmp_path, ledger=ledger)
        assert again.run() == "12 changes were tried"
    lost = [call for call in asked(ledger.events) if call.outcome.startswith("lost")]
    assert len(lost) == 1
    assert lost[0].tokens_out == 8000
    assert lost[0].usd is not None
    assert lost[0].usd > 8000 * 4e-6


def test_a_duplicate_goes_back_to_the_model_and_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transfer.study.loop.REFUSALS", 2)
    one = reply(idea(0.1, n=1))
    played = play([OK, one, one, one, one], tmp_path, limits=Limits(changes=3), ideas_at_once=1)
    assert played.lab.study.state.changes.n_fresh == 1
    complaints = [m["content"] for r in played.server.requests for m in r["messages"]]
    assert any("was tried: the same as c1 'gain 0.1 number 1'" in text for text in complaints)
    assert any("3 replies in a row could not be used" in reason for reason in refused(played))


def test_three_bad_replies_end_a_proposal_and_the_study_goes_on(tmp_path: Path) -> None:
    bad = Step("no idea")
    played = play([OK, bad, bad, bad, *(reply(idea(0.1 + n / 100, n=n)) for n in range(20))],
                  tmp_path, limits=Limits(changes=3), ideas_at_once=1)  # fmt: skip
    assert played.lab.study.state.changes.n_fresh == 3
    assert len(refused(played)) == 1
    assert "no JSON object" in refused(played)[0]


def test_changes_in_flight_do_not_wait_for_a_proposer_that_has_run_dry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transfer.study.loop.REFUSALS", 5)
    good, bad = reply(idea(0.1, n=1)), Step("no idea")
    played = play([OK, good, bad], tmp_path, ideas_at_once=1)
    kinds = [type(event).__name__ for event in played.lab.study.events]
    assert kinds.index("TrialsRequested") < len(kinds) - 1 - kinds[::-1].index("Refused")
    assert kinds[: kinds.index("TrialsRequested")].count("Refused") == 3
    assert "5 proposals in a row were refused" in played.reason


@pytest.mark.parametrize("fault", range(len(FAULTS)))
def test_no_fault_of_a_server_or_model_stops_a_study(fault: int, tmp_path: Path) -> None:
    def script(n: int, request: dict[str, Any]) -> Step:
        return FAULTS[fault] if n in (1, 2, 5) else fresh(n, request)

    played = play(script, tmp_path, limits=Limits(changes=2), ideas_at_once=1)
    assert played.lab.study.state.changes.n_fresh == 2


def test_money_is_never_spent_beyond_its_cap(tmp_path: Path) -> None:
    limits = Limits(changes=1000, usd=0.045)
    played = play(fresh, tmp_path, limits=limits)
    state = played.lab.study.state
    assert "budget.usd is $0.04" in played.reason
    assert 0 < spent(state).usd <= 0.045
    assert not state.in_flight()
    assert "of $0.04" in spend_words(state, limits)


@pytest.mark.parametrize(
    ("cap", "says"),
    [({"tokens": 12_000}, "budget.tokens is 12000"), ({"calls": 3}, "budget.calls is 3")],
)
def test_tokens_and_calls_have_caps_too(cap: dict[str, float], says: str, tmp_path: Path) -> None:
    played = play(fresh, tmp_path, limits=Limits(changes=1000, **cap))
    assert says in played.reason
    warned = [text for text in played.lab.said if "are used" in text]
    assert len(warned) <= 1
    assert warned or "calls" not in cap


def test_an_unknown_price_is_said_and_cannot_be_capped(tmp_path: Path) -> None:
    from autoresearch.proposer.model.server import Price

    played = play(fresh, tmp_path, limits=Limits(changes=2), price=Price())
    assert "price unknown" in spend_words(played.lab.study.state)
    data = {"name": "openai", "base_url": "http://localhost:1/v1"}
    with pytest.raises(InputError, match="price of the model is unknown"):
        decode_agent(data, AgentContext(oracle_job().ladder, [], 0, Limits(usd=5.0)))


def crashing(n: int, request: dict[str, Any]) -> Step:
    """Give one crash, and mend it into another each time it comes back."""
    if not n:
        return OK
    last = request["messages"][-1]["content"]
    knobs = [{"name": "crash", "value": 1.0}, {"name": "idea", "value": n}]
    is_mend = "Mend this change" in last
    return reply(idea(n=n, title="mended" if is_mend else f"crash {n}", knobs=knobs))


def test_a_crash_goes_back_with_its_last_words_at_most_twice(tmp_path: Path) -> None:
    played = play(crashing, tmp_path, limits=Limits(changes=6), ideas_at_once=1,
                  job=oracle_job("study.in_flight=1", "budget.compute=1e6"))  # fmt: skip
    mended = [p.change.repairs for p in played.lab.study.state.changes.values()]
    assert mended == ["", "c1", "c2", "", "c4", "c5"]
    told = [r["messages"][-1]["content"] for r in played.server.requests]
    assert any("| RuntimeError: planted crash" in text for text in told)


def test_a_category_that_is_ground_goes_back_once_and_steers_the_brief(tmp_path: Path) -> None:
    def grinding(n: int, request: dict[str, Any]) -> Step:
        return reply(idea(-0.1 - n / 1000, n=n, category="the same")) if n else OK

    job = oracle_job("study.in_flight=1", "budget.compute=1e6")
    played = play(grinding, tmp_path, limits=Limits(changes=11), ideas_at_once=1, job=job)
    state = played.lab.study.state
    assert state.changes.n_fresh == 11
    assert resting(state, "openai") == "the same"
    assert is_plateau(state, "openai")
    told = [r["messages"][-1]["content"] for r in played.server.requests]
    assert any("'the same' has brought nothing lately" in text for text in told)
    assert any("nearly all 'the same', brought nothing: leave it" in text for text in told)
    assert any("Small moves are lost in the noise" in text for text in told)


def test_one_reply_gives_several_ideas_told_apart_by_category(tmp_path: Path) -> None:
    ideas = [idea(0.1, n=1, category="a"), idea(0.2, n=2, category="a"), idea(0.3, n=3)]
    more = [reply(idea(0.1 + n / 100, n=n)) for n in range(9, 20)]
    played = play([OK, reply(*ideas), *more], tmp_path, limits=Limits(changes=3))
    titles = [p.change.title for p in played.lab.study.state.changes.values()]
    assert titles[:2] == ["gain 0.1 number 1", "gain 0.3 number 3"]
    assert "of the same category" in refused(played)[0]


def test_a_key_reaches_no_file_and_no_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")

    def leaking(n: int, request: dict[str, Any]) -> Step:
        return reply(idea(0.1 + n / 100, n=n, hypothesis="key sk-very-secret")) if n else OK

    with serving(leaking) as server:
        opened = lab(server, tmp_path, limits=Limits(changes=2), key_name="OPENAI_API_KEY")
        opened.run()
        sent = {headers["authorization"] for headers in map(_lower, server.headers)}
    assert sent == {"Bearer sk-very-secret"}
    assert "very-secret" not in repr(opened.study.events) + "".join(opened.said)
    assert not [p for p in tmp_path.rglob("*.json") if "very-secret" in p.read_text()]


def _lower(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def test_a_brief_is_the_same_for_the_same_study_and_stays_in_its_budget(tmp_path: Path) -> None:
    from autoresearch.brief.section import tokens_of

    opened = play(fresh, tmp_path, limits=Limits(changes=40)).lab
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "hint.md").write_text("look at the gain\n" * 50)
    asking = Asking(ideas=2, proposer="openai", program="Prefer simple ideas.")
    full = brief(opened.request, asking, budget=20_000)
    assert full == brief(opened.request, asking, budget=20_000)
    for part in ("Prefer simple ideas.", "hint.md:", "cannot be seen", "Give 2 ideas"):
        assert part in full
    for budget in (2_200, 1_600):
        short = brief(opened.request, asking, budget=budget)
        assert tokens_of(short) <= budget
        assert "more" in short
    with pytest.raises(TooLong):
        brief(opened.request, asking, budget=300)


def test_expectations_are_scored_against_what_came(tmp_path: Path) -> None:
    job = oracle_job("budget.compute=1e6", "round.accepts=99")
    study = play(fresh, tmp_path, job=job).lab.study
    scores = {one.where: one for one in calibrations(study.ladder, study.state, "openai")}
    small = scores["small"]
    assert small.n >= 10
    assert 3 < small.n_right >= 0.6 * small.n_clear
    assert abs(small.expected - small.came) < 0.03


def test_several_proposers_take_turns_and_one_that_has_none_is_passed_over(tmp_path: Path) -> None:
    job = oracle_job("agent=several", "agent.agents.model.base_url=http://localhost:1/v1",
                     "budget.changes=6")  # fmt: skip
    assert isinstance(job.proposer, Turns)
    assert [member.name for member in job.proposer.members] == ["model", "knobs"]
    played = play(
        fresh, tmp_path, limits=Limits(changes=8), ideas_at_once=1,
        beside=lambda model: Turns((model, job.proposer.members[1])),
    )  # fmt: skip
    by = [p.change.proposer for p in played.lab.study.state.changes.values()]
    assert by[:6] == ["openai", "knobs"] * 3


def test_a_server_that_is_down_pauses_the_study_and_others_go_on(tmp_path: Path) -> None:
    down = [Step(status=503)]
    played = play(down, tmp_path, limits=Limits(changes=2))
    assert "did not answer" in played.reason
    assert "the same command goes on" in played.reason
    stopped = played.lab.study.state.stopped
    assert stopped is not None
    assert not stopped.is_final

    class Idle:
        name = "idle"

        def propose(self, request: object) -> Done:
            return Done("nothing")

    turns = Turns((played.lab.proposer, Idle()))
    answer = turns.propose(played.lab.request)
    assert isinstance(answer, Paused)
    assert "idle: nothing" in answer.reason


def test_no_crash_is_mended_that_another_proposed(tmp_path: Path) -> None:
    played = play(crashing, tmp_path, limits=Limits(changes=1), ideas_at_once=1)
    assert crash_to_mend(played.lab.study.state, "openai") == "c1"
    assert crash_to_mend(played.lab.study.state, "search") == ""


@pytest.mark.level1
def test_a_night_of_faults_ends_by_its_budget(tmp_path: Path) -> None:
    job = oracle_job("budget.compute=1e9", "study.in_flight=8")
    limits = Limits(changes=100, usd=0.6)
    played = play(faulty(1), tmp_path, limits=limits, job=job)
    state = played.lab.study.state
    assert state.changes.n_fresh == 100 or "budget.usd" in played.reason
    assert spent(state).usd <= 0.6
    proposed = [record.proposed for record in state.changes.values()]
    programs = [p.program for p in proposed if p.program and not p.rescreens]
    assert len(programs) == len(set(programs))
    assert replay(played.lab.study.events).spending == state.spending
