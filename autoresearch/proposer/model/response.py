"""A server's completion or stream, read with care: servers leave things out and break off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any


@dataclass(frozen=True)
class Got:
    """A reply's text, what is wrong with how it ended, and the tokens it says it took."""

    text: str
    problem: str
    tokens_in: int | None
    tokens_out: int | None


ENDINGS = {
    "length": "was cut off at max_tokens; answer in fewer words, with smaller edits",
    "content_filter": "was stopped by the provider's content filter",
    "tool_calls": "calls a tool, but there are none; answer with text alone",
    "function_call": "calls a function, but there are none; answer with text alone",
}


def _ended(finish: object, text: str, refusal: object, called: Sequence[str]) -> str:
    """Say what is wrong with how a reply ended; empty if nothing is."""
    if called:
        return f"the reply calls {', '.join(called)[:80]}, but there are no tools; answer with text"
    if refusal:
        return f"the model refused: {str(refusal)[:200]}"
    if finish in ENDINGS:
        return f"the reply {ENDINGS[str(finish)]}"
    if finish != "stop":
        return "the reply broke off before its end; write it again"
    return "" if text.strip() else "the reply is empty; answer with text"


def received(completion: Any) -> Got:
    """Read a completion that came whole; servers leave things out."""
    choices = getattr(completion, "choices", None)
    if not choices:
        raise ValueError(f"no choices in {str(completion)[:80]!r}")
    choice = choices[0]
    message = choice.message
    text = message.content if message is not None and isinstance(message.content, str) else ""
    tools = getattr(message, "tool_calls", None) or ()
    called = [str(getattr(getattr(one, "function", None), "name", "a tool")) for one in tools]
    problem = _ended(choice.finish_reason, text, getattr(message, "refusal", None), called)
    return Got(text, problem, *_usage(completion))


def gathered(chunks: Any) -> Got:
    """Read a stream; one that was cut ends in silence, so a finish reason must have come."""
    parts: list[str] = []
    finish, refusal = None, ""
    called: list[str] = []
    usage: tuple[int | None, int | None] = (None, None)
    for chunk in chunks:
        usage = _usage(chunk) if getattr(chunk, "usage", None) else usage
        for choice in getattr(chunk, "choices", None) or ():
            delta = choice.delta
            parts.append(getattr(delta, "content", None) or "")
            refusal += getattr(delta, "refusal", None) or ""
            called += ["a tool" for _ in getattr(delta, "tool_calls", None) or ()][:1]
            finish = choice.finish_reason or finish
    text = "".join(parts)
    return Got(text, _ended(finish, text, refusal, called[:1]), *usage)


def _usage(completion: Any) -> tuple[int | None, int | None]:
    usage = getattr(completion, "usage", None)
    counts = [getattr(usage, name, None) for name in ("prompt_tokens", "completion_tokens")]
    return tuple(n if isinstance(n, int) and n >= 0 else None for n in counts)  # type: ignore[return-value]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After: seconds, milliseconds or a date; None where it says nothing."""
    milli, text = headers.get("retry-after-ms"), headers.get("retry-after", "")
    try:
        seconds = float(milli) / 1000 if milli else float(text)
        return max(seconds, 0.0) if isfinite(seconds) else None
    except ValueError:
        pass
    try:
        return max((parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None
