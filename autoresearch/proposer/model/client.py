"""A model behind any OpenAI-compatible server: one call that comes back, or says why not.

All waiting and trying again is done here, not by the client: it would wait ten minutes three
times over for a server that is silent, give up at a Retry-After above two minutes, and ask an
account without money again and again.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from autoresearch.brief.section import tokens_of
from autoresearch.proposer.model.response import Got, gathered, received, retry_after
from autoresearch.proposer.model.server import RUNGS, Server, Structure, server_key
from autoresearch.proposer.store import Answer

if TYPE_CHECKING:
    from openai import OpenAI

Message = dict[str, str]
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 120.0
"""assumption: between tries, doubled each time, unless the server names a wait."""
PROBE_TOKENS = 2_000
"""assumption: room for models that think before they answer."""
FORM_WORDS = ("response_format", "schema", "grammar", "json")
"""By these a server says that it is the form of reply that it does not take."""


class Unavailable(Exception):
    """No reply, and none to be had by waiting longer; the message says what to do."""


class Endpoint:
    """Owns the client of one server, and what was found out about it."""

    def __init__(
        self,
        server: Server,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        say: Callable[[str], None],
        known: Structure | None = None,
    ) -> None:
        self.server = server
        self.structure = server.structure if known is None else known
        self._clock, self._sleep, self._say = clock, sleep, say
        self._key = server_key(server)
        self._limit_name = "max_tokens"
        self._is_down = False
        self._model = server.model
        self._made: OpenAI | None = None

    @property
    def _client(self) -> "OpenAI":
        from openai import OpenAI

        if self._made is None:
            self._made = OpenAI(
                api_key=self._key,
                base_url=self.server.base_url or None,
                timeout=self.server.timeout_s,
                max_retries=0,
            )
        return self._made

    @property
    def model(self) -> str:
        """The model's name; a server that is not told one is asked what it has."""
        if not self._model:
            from openai import APIError

            try:
                self._model = next(iter(self._client.models.list())).id
            except (APIError, StopIteration, ValueError, AttributeError):
                self._model = "default"
        return self._model

    def redact(self, text: str) -> str:
        """Take the key out of a text."""
        return text.replace(self._key, "[key]") if len(self._key) > 6 else text

    def probe(self) -> list[Answer]:
        """Find out how a reply can be held to a form, once; return the calls that it took."""
        if self.structure is not Structure.AUTO:
            return []
        schema = {
            "type": "object",
            "properties": {"ok": {"type": "boolean"}},
            "required": ["ok"],
            "additionalProperties": False,
        }
        messages = [{"role": "user", "content": 'Reply with the JSON object {"ok": true}.'}]
        answers = []
        for structure in RUNGS[:-1]:
            try:
                answer = self._patiently(messages, structure, schema, most=PROBE_TOKENS)
            except _Unsupported:
                continue
            answers.append(answer)
            if not answer.problem and _is_ok(answer.text):
                self.structure = structure
                return answers
        self.structure = Structure.TEXT
        return answers

    def ask(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Answer:
        """Return the model's reply, trying again for as long as patience lasts.

        Raises
        ------
        Unavailable
            When it is over, or waiting would not help: no money, no such model, a refused key.
        """
        while True:
            try:
                return self._patiently(messages, self.structure, schema)
            except _Unsupported as error:
                lower = RUNGS[RUNGS.index(self.structure) + 1]
                self._say(f"the server takes no {self.structure} ({error}); going on by {lower}")
                self.structure = lower

    def _patiently(
        self,
        messages: Sequence[Message],
        structure: Structure,
        schema: Mapping[str, Any],
        *,
        most: int | None = None,
    ) -> Answer:
        start, wait, tries = self._clock(), FIRST_WAIT_S, 0
        while True:
            tries += 1
            try:
                answer = self._once(messages, structure, schema, most or self.server.max_tokens)
            except _Again as trouble:
                asked = trouble.wait_s
                wait_s = wait if asked is None else max(asked, FIRST_WAIT_S)
                waited = self._clock() - start
                if self._is_down or waited + wait_s > self.server.patience_s:
                    self._is_down = True
                    raise Unavailable(
                        f"the model did not answer: {trouble} ({tries} tries in {waited:.0f} s); "
                        "see to the server, or raise agent.patience_s"
                    ) from None
                self._say(f"model: {trouble}; trying again in {wait_s:.0f} s")
                self._sleep(wait_s)
                wait = min(wait * 2, LONGEST_WAIT_S)
                continue
            self._is_down = False
            return replace(answer, tries=tries)

    def _once(
        self,
        messages: Sequence[Message],
        structure: Structure,
        schema: Mapping[str, Any],
        most: int,
    ) -> Answer:
        """Call once.

        Raises
        ------
        _Again, _Unsupported, Unavailable
            Whatever went wrong, as what to do about it.
        """
        import openai

        start = self._clock()
        try:
            got = self._sent(self._request(messages, structure, schema, most))
        except openai.APIStatusError as error:
            self._sort(error, structure)
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            raise _Again(self.redact(f"{type(error).__name__}, {cause}"[:200])) from None
        except (openai.APIError, ValueError) as error:
            raise _Again(self.redact(f"the answer is no valid JSON ({error})"[:200])) from None
        prompt = "".join(message["content"] for message in messages)
        return Answer(
            text=self.redact(got.text),
            problem=got.problem,
            tokens_in=got.tokens_in if got.tokens_in is not None else tokens_of(prompt),
            tokens_out=got.tokens_out if got.tokens_out is not None else tokens_of(got.text),
            seconds=self._clock() - start,
            model=self.model,
        )

    def _request(
        self,
        messages: Sequence[Message],
        structure: Structure,
        schema: Mapping[str, Any],
        most: int,
    ) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self.model,
            "messages": list(messages),
            self._limit_name: most,
        }
        if self.server.temperature is not None:
            request["temperature"] = self.server.temperature
        if self.server.extra:
            request["extra_body"] = dict(self.server.extra)
        if structure is Structure.SCHEMA:
            named = {"name": "proposal", "strict": True, "schema": dict(schema)}
            request["response_format"] = {"type": "json_schema", "json_schema": named}
        elif structure is Structure.OBJECT:
            request["response_format"] = {"type": "json_object", "schema": dict(schema)}
        return request

    def _sent(self, request: dict[str, Any]) -> Got:
        create: Any = self._client.chat.completions.create
        if self.server.is_streamed:
            options = {"include_usage": True}
            return gathered(create(**request, stream=True, stream_options=options))
        return received(create(**request))

    def _sort(self, error: Any, structure: Structure) -> None:
        """Turn a refusal of the server into what to do about it; always raises."""
        status, why = int(error.status_code), self.redact(str(error.message)[:300])
        code = str(error.code or "")
        if code == "insufficient_quota" or "insufficient_quota" in why:
            raise Unavailable(f"the account has no money left ({why}); see to its billing")
        if (
            status in (400, 422)
            and "max_completion_tokens" in why
            and (self._limit_name == "max_tokens")
        ):
            self._limit_name = "max_completion_tokens"
            raise _Again("the model wants max_completion_tokens", 0.0)
        is_formal = any(word in why.lower() for word in FORM_WORDS)
        is_probe = self.structure is Structure.AUTO
        is_refused = status in (400, 404, 415, 422) or (status in (500, 501) and is_probe)
        if structure is not Structure.TEXT and is_refused and (is_formal or is_probe):
            raise _Unsupported(why)
        if status in (408, 409, 425, 429) or status >= 500:
            raise _Again(f"status {status}, {why}", retry_after(error.response.headers))
        if status in (401, 403):
            name = self.server.key_name or "NAME"
            raise Unavailable(f"the key is refused ({why}); set {name}, or name it by agent.key")
        if status == 404:
            raise Unavailable(
                f"no such model or address ({why}); correct agent.model or agent.base_url"
            )
        raise Unavailable(
            f"the server refuses the request: status {status}, {why}; a brief that is too long is "
            "shortened by agent.brief_tokens"
        )


class _Again(Exception):
    """Worth another try, after a while that the server may have named."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class _Unsupported(Exception):
    """The server takes no such form of reply."""


def _is_ok(text: str) -> bool:
    try:
        reply = json.loads(text)
    except ValueError:
        return False
    return isinstance(reply, dict) and isinstance(reply.get("ok"), bool)
