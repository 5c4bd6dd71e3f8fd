"""``agent=openai``: asks a model for ideas, and talks with it until they can be run."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from autoresearch.brief import form, system
from autoresearch.proposer.checks import Ground, Unfit, admit
from autoresearch.proposer.history import known_programs, resting
from autoresearch.proposer.model.client import Endpoint, Message, ModelAnswer, Unavailable
from autoresearch.proposer.model.opening import NoCallNow, next_entry
from autoresearch.proposer.model.reply import Idea, Malformed, read, words
from autoresearch.proposer.model.reply_schema import Schema, reply_schema
from autoresearch.proposer.model.server import Price, Server, Structure, tokens_of
from autoresearch.proposer.store import Call, ProposalRecord, ProposalStore
from miniscale.setting.trial import digest
from transfer.change import Change
from transfer.journal.state import StudyState
from transfer.ladder import Ladder
from transfer.study.proposer import Done, Failed, Paused, Proposal

STRIKES = 3
"""Replies in a row without a change that end a proposal."""
ECHO = 6_000
"""Characters of a bad reply that are shown to the model again."""


@dataclass(frozen=True)
class Researcher:
    """A model as configured; :meth:`seat` puts it to work in a study."""

    name: str
    server: Server
    price: Price = field(default_factory=Price)
    ideas_at_once: int = 4
    brief_tokens: int = 24_000
    program: str = ""
    """The user's own words on what to look for."""
    edits: bool = True
    """Whether files are shown and edited; if not, a small model sets knobs alone."""

    def seat(self, store: ProposalStore) -> "ReadyResearcher":
        """Return the proposer for one session of a study."""
        return ReadyResearcher(self, store)

    def propose(self, ladder: Ladder, state: StudyState) -> Proposal:
        """Answer that it has no store."""
        del ladder, state
        return Paused(f"{self.name}: not seated in a study")

    def most_of_a_call(self, prompt_tokens: int) -> tuple[int, float | None]:
        """Return tokens and dollars that a call takes at most."""
        most = self.server.max_tokens
        return prompt_tokens + most, self.price.of(prompt_tokens, most)


@dataclass
class Judgement:
    """What came of one reply: entries, or what to tell the model."""

    entries: list[Change | Failed] = field(default_factory=list)
    complaint: str = ""
    is_misapplied: bool = False


class ReadyResearcher:
    """A researcher at its store; whatever it knows stands in the state or in the store's files."""

    def __init__(self, config: Researcher, store: ProposalStore) -> None:
        self.name = config.name
        self._config, self._store = config, store

    @cached_property
    def _endpoint(self) -> Endpoint:
        store, server = self._store, self._config.server
        return Endpoint(server, clock=store.clock, sleep=store.sleep, say=store.say)

    def propose(self, ladder: Ladder, state: StudyState) -> Proposal:
        """Return the next change, from the ideas at hand or from new ones."""
        del ladder, state  # the store knows them
        config = self._config
        return next_entry(
            self._store,
            self.name,
            work=self._work,
            ideas_at_once=config.ideas_at_once,
            brief_tokens=config.brief_tokens,
            program=config.program,
            edits=config.edits,
        )

    # -- the conversation --------------------------------------------------------------------

    def _work(self, record: ProposalRecord) -> None:
        """Talk until there are changes, or for three replies; every reply is on disk first."""
        ladder, state = self._store.study.ladder, self._store.study.state
        texts, knobs, _ = self._store.baseline()
        ground = Ground(ladder.setting, texts, knobs, known_programs(state))
        self._find_form(record)
        structure = self._endpoint.structure
        shown = texts if self._config.edits else {}
        messages: list[Message] = [
            {"role": "system", "content": system()},
            {"role": "user", "content": f"{record.brief}\n\n{form(ladder, shown, structure)}"},
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
                    ladder, ideas=record.ideas, is_whole=is_whole, edits=self._config.edits
                )
                call = self._call(record, messages, schema)
            judgement = self._judge(state, record, call, ground, judged)
            judged.append(judgement)
            if judgement.entries:
                break
            messages += _answered(call.reply, judgement, judged)
        record.entries = judged[-1].entries or [self._given_up(record, judged)]
        self._store.save(record)

    def _find_form(self, record: ProposalRecord) -> None:
        """Ask the server once what form of reply it takes, and remember it beside the proposals."""
        endpoint, store = self._endpoint, self._store
        if endpoint.structure is not Structure.AUTO:
            return
        known = store.remembered(self._server_name)
        if known:
            endpoint.structure = Structure(known)
            return
        self._begin(record, [{"role": "user", "content": "probe"}], is_turn=False)
        try:
            answers = endpoint.probe()
        except Unavailable as error:
            self._store.drop(record)
            raise NoCallNow(Paused(str(error))) from None
        total = ModelAnswer(
            text=str(endpoint.structure),
            problem="",
            tokens_in=sum(answer.tokens_in for answer in answers),
            tokens_out=sum(answer.tokens_out for answer in answers),
            seconds=sum(answer.seconds for answer in answers),
            model=endpoint.model,
        )
        store.remember(self._server_name, str(endpoint.structure))
        self._end(record, total, "probe")

    @property
    def _server_name(self) -> str:
        server = self._config.server
        return digest([server.base_url, server.model])

    def _call(self, record: ProposalRecord, messages: Sequence[Message], schema: Schema) -> Call:
        self._begin(record, messages, is_turn=True)
        try:
            answer = self._endpoint.ask(messages, schema)
        except Unavailable as error:
            self._store.drop(record)
            raise NoCallNow(Paused(str(error))) from None
        self._end(record, answer, answer.problem or "ok")
        self._store.remember(self._server_name, str(self._endpoint.structure))
        return record.calls[-1]

    def _begin(self, record: ProposalRecord, messages: Sequence[Message], *, is_turn: bool) -> None:
        """Write a call down at its most, unless a cap could be passed by it."""
        prompt = sum(tokens_of(message["content"]) for message in messages)
        tokens, usd = self._config.most_of_a_call(prompt)
        refusal = self._store.refusal(tokens=tokens, usd=usd)
        if refusal:
            raise NoCallNow(Done(refusal))
        name, most = digest(list(messages)), self._config.server.max_tokens
        self._store.begin(record, Call(name, prompt, most, usd, is_turn=is_turn))

    def _end(self, record: ProposalRecord, answer: ModelAnswer, outcome: str) -> None:
        usd = self._config.price.of(answer.tokens_in, answer.tokens_out)
        self._store.end(record, answer, usd=usd, outcome=outcome)

    # -- what a reply is worth -----------------------------------------------------------------

    def _judge(
        self,
        state: StudyState,
        record: ProposalRecord,
        call: Call,
        ground: Ground,
        before: Sequence[Judgement],
    ) -> Judgement:
        """Read a reply; a good idea goes on, a bad one beside it is written down with its reason.

        The first reply that keeps grinding a category is sent back once.
        """
        if call.outcome != "ok":
            return Judgement(complaint=call.outcome)
        try:
            reply = read(call.reply)
        except Malformed as error:
            return Judgement(complaint=str(error))
        tired = "" if before or record.repairs else resting(state, self.name)
        if tired and all(idea.category == tired for idea in reply.ideas):
            return Judgement(complaint=f"'{tired}' has brought nothing lately; leave it for now")
        return self._admitted(record, reply.ideas, reply.problems, ground)

    def _admitted(
        self, record: ProposalRecord, ideas: Sequence[Idea], problems: Sequence[str], ground: Ground
    ) -> Judgement:
        good: list[Change] = []
        bad = [Failed("malformed idea", problem, self.name) for problem in problems]
        is_misapplied = False
        if len(ideas) > record.ideas:
            self._store.say(
                f"{len(ideas)} ideas came, {record.ideas} were asked for: the first count"
            )
        for idea in ideas[: record.ideas]:
            try:
                mended = record.repairs
                change, applied = admit(idea, ground, proposer=self.name, repairs=mended)
            except Unfit as error:
                is_misapplied |= error.is_misapplied
                bad.append(Failed(idea.title, str(error), self.name))
                continue
            same = [one for one in good if _alike(one, change)]
            if same:
                reason = f"beside '{same[0].title}' in one reply, of the same category or content"
                bad.append(Failed(idea.title, reason, self.name))
                continue
            good.append(change)
            rules = sorted({str(one.rule) for one in applied if one.rule != "exact"})
            if rules:
                self._store.say(f"'{change.title}' was applied with {', '.join(rules)}")
        if good:
            return Judgement([*good, *bad])
        complaint = "\n".join(one.reason for one in bad)
        return Judgement(complaint=complaint, is_misapplied=is_misapplied)

    def _given_up(self, record: ProposalRecord, judged: Sequence[Judgement]) -> Failed:
        last = words(judged[-1].complaint, 300)
        reason = f"{len(judged)} replies in a row could not be used; the last: {last}"
        return Failed(f"proposal {record.place + 1}", reason, self.name, record.repairs)


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
