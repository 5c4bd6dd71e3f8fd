"""One talk with a model: it is asked for ideas, and told what is wrong until they can be run."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from autoresearch.brief import form, system
from autoresearch.brief.baseline import read_baseline
from autoresearch.brief.history import known_programs, resting
from autoresearch.brief.section import tokens_of
from autoresearch.proposer.idea.make_change import Ground, Unfit, admit
from autoresearch.proposer.idea.parse_reply import Idea, Malformed, read, words
from autoresearch.proposer.model.client import Endpoint, Message, Unavailable
from autoresearch.proposer.model.reply_schema import Schema, reply_schema
from autoresearch.proposer.model.server import Price, Structure
from autoresearch.proposer.next_proposal import NoCallNow
from autoresearch.proposer.store import Answer, Call, ProposalRecord, ProposalStore
from miniscale.setting.trial import digest
from transfer.change import Change
from transfer.events import Refused
from transfer.study.proposer_protocol import Done, Paused

STRIKES = 3
"""assumption: replies in a row without a change that end a proposal."""
ECHO = 6_000
"""assumption: characters of a bad reply that are shown to the model again."""


@dataclass
class Judgement:
    """What came of one reply: entries, or what to tell the model."""

    entries: list[Change | Refused] = field(default_factory=list)
    complaint: str = ""
    is_misapplied: bool = False


class Conversation:
    """Fills one record of the store; every call stands there before and after it is made.

    Parameters
    ----------
    store
        Where the record is written, and the study it is for.
    record
        The proposal to fill.
    endpoint
        The model.
    price
        What its tokens cost.
    edits
        Whether files are shown and edited; if not, knobs alone are set.
    """

    def __init__(
        self,
        store: ProposalStore,
        record: ProposalRecord,
        endpoint: Endpoint,
        *,
        price: Price,
        edits: bool,
    ) -> None:
        self._store, self._record, self._endpoint = store, record, endpoint
        self._price, self._edits, self._name = price, edits, record.proposer

    def hold(self) -> None:
        """Talk until there are changes, or for three replies; every reply is on disk first."""
        record = self._record
        ladder, state = self._store.study.ladder, self._store.study.state
        baseline = read_baseline(self._store.study)
        known = known_programs(state)
        ground = Ground(ladder.setting, baseline.texts, baseline.knobs, known)
        self._find_form()
        is_json = self._endpoint.structure is not Structure.TEXT
        shown = baseline.texts if self._edits else {}
        ask = f"{record.brief}\n\n{form(ladder, shown, is_json=is_json)}"
        messages: list[Message] = [
            {"role": "system", "content": system()},
            {"role": "user", "content": ask},
        ]
        judged: list[Judgement] = []
        turns = [call for call in record.calls if call.is_turn and call.outcome]
        while len(judged) < STRIKES:
            number = len(judged)
            if number < len(turns):
                call = turns[number]
            else:
                is_whole = sum(one.is_misapplied for one in judged) >= 2
                schema = reply_schema(
                    ladder, ideas=record.ideas, is_whole=is_whole, edits=self._edits
                )
                call = self._call(messages, schema)
            judgement = self._judge(call, ground, is_first=not judged)
            judged.append(judgement)
            if judgement.entries:
                break
            messages += _answered(call.reply, judgement, judged)
        record.entries = judged[-1].entries or [self._given_up(judged)]
        self._store.save(record)

    def _find_form(self) -> None:
        """Ask the server once what form of reply it takes, and remember it beside the proposals."""
        endpoint, store = self._endpoint, self._store
        if endpoint.structure is not Structure.AUTO:
            return
        known = store.remembered(self._server_name)
        if known:
            endpoint.structure = Structure(known)
            return
        self._begin([{"role": "user", "content": "probe"}], is_turn=False)
        try:
            answers = endpoint.probe()
        except Unavailable as error:
            self._store.drop(self._record)
            raise NoCallNow(Paused(str(error))) from None
        total = Answer(
            text=str(endpoint.structure),
            problem="",
            tokens_in=sum(answer.tokens_in for answer in answers),
            tokens_out=sum(answer.tokens_out for answer in answers),
            seconds=sum(answer.seconds for answer in answers),
            model=endpoint.model,
        )
        store.remember(self._server_name, str(endpoint.structure))
        self._end(total, "probe")

    @property
    def _server_name(self) -> str:
        server = self._endpoint.server
        return digest([server.base_url, server.model])

    def _call(self, messages: Sequence[Message], schema: Schema) -> Call:
        self._begin(messages, is_turn=True)
        try:
            answer = self._endpoint.ask(messages, schema)
        except Unavailable as error:
            self._store.drop(self._record)
            raise NoCallNow(Paused(str(error))) from None
        self._end(answer, answer.problem or "ok")
        self._store.remember(self._server_name, str(self._endpoint.structure))
        return self._record.calls[-1]

    def _begin(self, messages: Sequence[Message], *, is_turn: bool) -> None:
        """Write a call down at its most, unless a cap could be passed by it."""
        prompt = sum(tokens_of(message["content"]) for message in messages)
        most = self._endpoint.server.max_tokens
        usd = self._price.of(prompt, most)
        refusal = self._store.refusal(tokens=prompt + most, usd=usd)
        if refusal:
            raise NoCallNow(Done(refusal))
        call = Call(digest(list(messages)), prompt, most, usd, is_turn=is_turn)
        self._store.begin(self._record, call)

    def _end(self, answer: Answer, outcome: str) -> None:
        usd = self._price.of(answer.tokens_in, answer.tokens_out)
        self._store.end(self._record, answer, usd=usd, outcome=outcome)

    # -- what a reply is worth -----------------------------------------------------------------

    def _judge(self, call: Call, ground: Ground, *, is_first: bool) -> Judgement:
        """Read a reply; a good idea goes on, a bad one beside it is written down with its reason.

        The first reply that keeps grinding a category is sent back once.
        """
        if call.outcome != "ok":
            return Judgement(complaint=call.outcome)
        try:
            reply = read(call.reply)
        except Malformed as error:
            return Judgement(complaint=str(error))
        is_new = is_first and not self._record.repairs
        tired = resting(self._store.study.state, self._name) if is_new else ""
        if tired and all(idea.category == tired for idea in reply.ideas):
            return Judgement(complaint=f"'{tired}' has brought nothing lately; leave it for now")
        return self._admitted(reply.ideas, reply.problems, ground)

    def _admitted(
        self, ideas: Sequence[Idea], problems: Sequence[str], ground: Ground
    ) -> Judgement:
        record, say = self._record, self._store.session.say
        good: list[Change] = []
        bad = [Refused("malformed idea", problem, self._name) for problem in problems]
        is_misapplied = False
        if len(ideas) > record.ideas:
            say(f"{len(ideas)} ideas came, {record.ideas} were asked for: the first count")
        for idea in ideas[: record.ideas]:
            try:
                mended = record.repairs
                change, applied = admit(idea, ground, proposer=self._name, repairs=mended)
            except Unfit as error:
                is_misapplied |= error.is_misapplied
                bad.append(Refused(idea.title, str(error), self._name))
                continue
            same = [one for one in good if _alike(one, change)]
            if same:
                reason = f"beside '{same[0].title}' in one reply, of the same category or content"
                bad.append(Refused(idea.title, reason, self._name))
                continue
            good.append(change)
            rules = sorted({str(one.rule) for one in applied if one.rule != "exact"})
            if rules:
                say(f"'{change.title}' was applied with {', '.join(rules)}")
        if good:
            return Judgement([*good, *bad])
        complaint = "\n".join(one.reason for one in bad)
        return Judgement(complaint=complaint, is_misapplied=is_misapplied)

    def _given_up(self, judged: Sequence[Judgement]) -> Refused:
        last = words(judged[-1].complaint, 300)
        record = self._record
        reason = f"{len(judged)} replies in a row could not be used; the last: {last}"
        return Refused(f"proposal {record.place + 1}", reason, self._name, record.repairs)


def _alike(one: Change, other: Change) -> bool:
    """Whether two ideas of one reply are one: same content, or a category that both name."""
    is_same = (one.patch, dict(one.knobs)) == (other.patch, dict(other.knobs))
    return is_same or bool(one.category and one.category == other.category)


def _answered(reply: str, judgement: Judgement, judged: Sequence[Judgement]) -> list[Message]:
    """Return what the conversation grows by after a reply that could not be used."""
    shown = reply if len(reply) <= ECHO else f"{reply[: ECHO // 2]}\n[…]\n{reply[-ECHO // 2 :]}"
    ask = "Mend that, and answer in the same form."
    if sum(one.is_misapplied for one in judged) >= 2:
        ask = (
            'Edits failed twice. Give the whole file now: in JSON as {"file": …, "content": …} '
            "among the edits, in text as a line 'FILE: name' with one fenced part behind it."
        )
    return [
        {"role": "assistant", "content": shown or "(nothing)"},
        {"role": "user", "content": f"That cannot be run: {judgement.complaint}\n\n{ask}"},
    ]
