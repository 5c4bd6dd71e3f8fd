"""The model's server: whatever it does, a call comes back as a reply or as what to do about it."""

import json
from collections.abc import Sequence

import pytest
from llm_server import Clock, Script, Step, serving

from autoresearch.proposer.model.client import Endpoint, Unavailable
from autoresearch.proposer.model.response import retry_after
from autoresearch.proposer.model.server import Price, Server, Structure, server_key
from autoresearch.proposer.store import Answer
from miniscale.setting.decode import InputError

HELLO = [{"role": "user", "content": "hello"}]
SCHEMA = {"type": "object"}
OK = Step('{"ok": true}')


def ask(
    script: Script | Sequence[Step], **options: object
) -> tuple[Answer | Unavailable, Clock, Endpoint]:
    clock, said = Clock(), list[str]()
    options = {"structure": Structure.TEXT, "timeout_s": 5.0, **options}
    with serving(script) as server:
        config = Server(base_url=server.url, **options)  # type: ignore[arg-type]
        endpoint = Endpoint(config, clock=clock, sleep=clock.sleep, say=said.append)
        try:
            return endpoint.ask(HELLO, SCHEMA), clock, endpoint
        except Unavailable as error:
            return error, clock, endpoint


def answered(script: Script | Sequence[Step], **options: object) -> tuple[Answer, list[float]]:
    answer, clock, _ = ask(script, **options)
    assert isinstance(answer, Answer), answer
    return answer, clock.waits


def test_a_reply_comes_with_what_it_took() -> None:
    answer, _ = answered([Step("hi", usage=(7, 3))])
    assert (answer.text, answer.problem) == ("hi", "")
    assert (answer.tokens_in, answer.tokens_out) == (7, 3)


def test_tokens_are_estimated_where_the_server_does_not_say() -> None:
    answer, _ = answered([Step("hi there", usage=None)])
    assert (answer.tokens_in, answer.tokens_out) == (2, 3)


@pytest.mark.parametrize(
    "bad",
    [
        Step(status=500),
        Step(status=503),
        Step(status=429),
        Step(status=408),
        Step(fault="drop"),
        Step(fault="half"),
        Step(fault="garbage"),
        Step(fault="empty"),
    ],
    ids=["500", "503", "429", "408", "dropped", "half a body", "no JSON", "no choices"],
)
def test_a_passing_fault_is_waited_out_with_doubling_waits(bad: Step) -> None:
    answer, waits = answered([bad, bad, bad, Step("there")])
    assert answer.text == "there"
    assert waits == [1.0, 2.0, 4.0]
    assert answer.tries == 4


@pytest.mark.parametrize("wait", ["7", "300"], ids=["short", "above what the client honours"])
def test_retry_after_is_honoured(wait: str) -> None:
    _, waits = answered([Step(status=429, headers={"retry-after": wait}), Step("there")])
    assert waits == [float(wait)]


def test_a_server_that_is_silent_is_given_up_on_and_asked_again() -> None:
    answer, waits = answered([Step(fault="hang"), Step("there")], timeout_s=0.15)
    assert (answer.text, waits) == ("there", [1.0])


def test_patience_ends_and_a_server_that_is_down_is_then_asked_once_only() -> None:
    with serving([Step(status=503)]) as server:
        clock = Clock()
        config = Server(base_url=server.url, structure=Structure.TEXT, patience_s=60)
        endpoint = Endpoint(config, clock=clock, sleep=clock.sleep, say=lambda text: None)
        with pytest.raises(Unavailable, match="did not answer: status 503"):
            endpoint.ask(HELLO, SCHEMA)
        n, waited = server.n, sum(clock.waits)
        assert waited <= 60
        with pytest.raises(Unavailable):
            endpoint.ask(HELLO, SCHEMA)
        assert server.n == n + 1


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (Step(status=429, code="insufficient_quota"), "no money left"),
        (Step(status=401), "the key is refused"),
        (Step(status=404, message="no model x"), "no such model or address"),
        (Step(status=400, message="maximum context length is 10"), "agent.brief_tokens"),
    ],
    ids=["quota", "key", "model", "too long"],
)
def test_what_waiting_does_not_mend_is_said_at_once(step: Step, says: str) -> None:
    answer, clock, _ = ask([step])
    assert isinstance(answer, Unavailable)
    assert says in str(answer)
    assert clock.waits == []


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (Step("half a", finish="length"), "cut off at max_tokens"),
        (Step("half a", finish=None), "broke off"),
        (Step("", finish="content_filter"), "content filter"),
        (Step(""), "is empty"),
        (Step(None), "is empty"),
        (Step(tool="launch"), "calls launch, but there are no tools"),
        (Step(refusal="I will not"), "refused: I will not"),
    ],
    ids=["length", "no finish", "filter", "empty", "null", "tool", "refusal"],
)
def test_a_reply_that_did_not_end_well_is_no_reply(step: Step, says: str) -> None:
    answer, _ = answered([step])
    assert says in answer.problem


def test_a_stream_is_gathered_and_one_that_is_cut_is_noticed() -> None:
    long = "a long reply that comes in many pieces"
    answer, _ = answered([Step(long)], is_streamed=True)
    assert (answer.text, answer.problem) == (long, "")
    cut, _ = answered([Step(long, finish=None)], is_streamed=True)
    assert "broke off" in cut.problem


def test_the_strictest_form_that_works_is_found_and_kept() -> None:
    def script(n: int, request: dict) -> Step:  # type: ignore[type-arg]
        kind = (request.get("response_format") or {}).get("type", "text")
        return Step(status=500, message="no") if kind == "json_schema" else OK

    with serving(script) as server:
        clock = Clock()
        endpoint = Endpoint(
            Server(base_url=server.url), clock=clock, sleep=clock.sleep, say=lambda text: None
        )
        endpoint.probe()
        assert endpoint.structure is Structure.OBJECT
        n = server.n
        endpoint.probe()
        assert server.n == n


def test_a_server_that_ignores_the_form_is_asked_for_text() -> None:
    _, _, endpoint = ask([Step("Sure! Here it is.")], structure=Structure.TEXT)
    with serving([Step("Sure! Here it is.")]) as server:
        config = Server(base_url=server.url)
        endpoint = Endpoint(config, clock=Clock(), sleep=lambda s: None, say=lambda text: None)
        endpoint.probe()
    assert endpoint.structure is Structure.TEXT


def test_a_schema_that_is_refused_later_steps_down() -> None:
    def script(n: int, request: dict) -> Step:  # type: ignore[type-arg]
        is_formal = "response_format" in request
        return Step(status=400, message="unsupported schema keyword") if is_formal else Step("ok")

    answer, _, endpoint = ask(script, structure=Structure.SCHEMA)
    assert isinstance(answer, Answer)
    assert endpoint.structure is Structure.TEXT


def test_a_model_that_wants_max_completion_tokens_gets_them() -> None:
    def script(n: int, request: dict) -> Step:  # type: ignore[type-arg]
        if "max_tokens" in request:
            return Step(status=400, message="use max_completion_tokens instead")
        return Step(str(request["max_completion_tokens"]))

    assert answered(script)[0].text == "8000"


def test_nothing_is_sent_that_was_not_set() -> None:
    with serving([Step("x")]) as server:
        config = Server(base_url=server.url, structure=Structure.TEXT)
        endpoint = Endpoint(config, clock=Clock(), sleep=lambda s: None, say=lambda text: None)
        endpoint.ask(HELLO, SCHEMA)
        assert server.requests[0].keys() == {"model", "messages", "max_tokens"}
        assert server.requests[0]["model"] == "scripted-1"


def test_a_key_is_taken_out_of_whatever_a_server_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-verysecret")
    answer, _ = answered([Step("you are sk-verysecret")], key_name="MY_KEY")
    assert answer.text == "you are [key]"
    failed, _, _ = ask([Step(status=401, message="bad sk-verysecret")], key_name="MY_KEY")
    assert "verysecret" not in str(failed)


def test_without_a_key_the_hosted_service_is_not_asked() -> None:
    with pytest.raises(InputError, match=r"OPENAI_API_KEY holds no key.*agent=search") as caught:
        server_key(Server(model="m", key_name="OPENAI_API_KEY"), {"OPENAI_API_KEY": " "})
    assert "\n" not in str(caught.value)
    assert server_key(Server(base_url="http://localhost:1/v1"), {}) == "none"


def test_a_password_in_an_address_is_refused_since_addresses_are_written_down() -> None:
    with pytest.raises(InputError, match="written down"):
        server_key(Server(base_url="http://me:secret@host/v1"), {})


def test_a_hosted_services_key_is_not_sent_to_another_server() -> None:
    from autoresearch.proposer.make_proposer import OpenAIKeys

    assert OpenAIKeys("openai", base_url="http://localhost:1/v1").server().key_name == ""


def test_an_unknown_price_is_unknown_and_not_nothing() -> None:
    assert Price().of(1000, 1000) is None
    assert Price(input=2.0, output=8.0).of(1_000_000, 500_000) == pytest.approx(6.0)
    assert Price(input=0.0, output=0.0).of(10, 10) == 0.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
    ],
)
def test_retry_after_is_read_in_all_its_forms(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after(headers) == seconds


def test_a_200_kb_reply_arrives_whole() -> None:
    text = json.dumps({"title": "x" * 200_000})
    assert answered([Step(text)])[0].text == text
