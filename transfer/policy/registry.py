"""Policies by name, read from plain configuration data; a stranger's by its dotted path."""

import importlib
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, fields, is_dataclass, replace
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

from miniscale.setting.decode import InputError, Node, nearest
from transfer.policy.protocol import Policy
from transfer.trust import Trust

POLICIES: dict[str, str] = {
    "atoms": "transfer.policy.voi.policy:AtomsPolicy",
    "confirm": "transfer.policy.confirm:ConfirmPolicy",
    "greedy": "transfer.policy.greedy:GreedyPolicy",
    "halving": "transfer.policy.halving:HalvingPolicy",
    "powerlaw": "transfer.policy.power_law:PowerLawPolicy",
    "trend": "transfer.policy.by_trend:TrendPolicy",
    "ttest": "transfer.policy.ttest:TTestPolicy",
}
"""Name in configuration -> ``module:Class``, a frozen dataclass whose defaults all stand."""


def policy_class(name: str, *, path: str = "policy.name") -> type[Any]:
    """Return a policy's class by its name, or by ``module:Class`` if it is a stranger's.

    Raises
    ------
    InputError
        If there is no such name, module or class.
    """
    dotted = POLICIES.get(name, name)
    module, colon, attribute = dotted.partition(":")
    if not colon:
        hint = f"{nearest(name, POLICIES)} Or give 'module:Class' of your own"
        raise InputError(f"{path}: '{name}' is unknown; {hint}")
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except ModuleNotFoundError as error:
        raise InputError(
            f"{path}: '{dotted}' cannot be imported ({error}); is its folder on PYTHONPATH?"
        ) from None
    if not (isinstance(found, type) and is_dataclass(found) and hasattr(found, "decide")):
        raise InputError(
            f"{path}: '{dotted}' is no policy; it must be a frozen dataclass with decide, foresee "
            "and name"
        )
    return found


def decode_policy(data: Node | Mapping[str, Any] | str) -> Policy:
    """Build a policy from its configuration, or from its name alone with every default.

    >>> decode_policy({"name": "ttest", "seeds": 6}).seeds
    6

    Raises
    ------
    InputError
        On the first key that is wrong, with its path.
    """
    given = {"name": data} if isinstance(data, str) else data
    node = given if isinstance(given, Node) else Node(given, "policy")
    kind = policy_class(node.text("name"))
    policy: Policy = _decoded(kind, node, skipped=("name",))
    return policy


def content(policy: Policy) -> dict[str, Any]:
    """Return a policy as plain data: what must not change when a study is resumed."""
    found: dict[str, Any] = asdict(policy)  # type: ignore[call-overload]
    return found


def trusting(policy: Policy, trust: Trust) -> Policy:
    """Return a policy that knows what an audit found, if it is one that asks."""
    if "trust" not in {field.name for field in fields(policy)}:  # type: ignore[arg-type]
        return policy
    told: Policy = replace(policy, trust=trust)  # type: ignore[type-var]
    return told


def expecting(policy: Policy, n_changes: int) -> Policy:
    """Return a policy that knows how many changes will come, if it is one that asks."""
    rules = getattr(policy, "rules", None)
    if not (n_changes and is_dataclass(rules) and hasattr(rules, "ideas")):
        return policy
    known = replace(rules, ideas=n_changes)  # type: ignore[type-var]
    told: Policy = replace(policy, rules=known)  # type: ignore[type-var]
    return told


def _decoded(kind: type, node: Node, *, skipped: tuple[str, ...] = ()) -> Any:
    """Build a frozen dataclass from a node; what is absent keeps its default."""
    hints = get_type_hints(kind)
    values = {}
    for field in fields(kind):
        if not field.init or field.name in skipped:
            continue
        if field.name in node:
            values[field.name] = _value(hints[field.name], field, node)
        node.raw(field.name)
    node.finish()
    missing = [f.name for f in fields(kind) if _is_required(f) and f.name not in values]
    if missing:
        raise InputError(f"{node.path}.{missing[0]}: missing; add '{missing[0]}: …'")
    try:
        return kind(**values)
    except ValueError as error:
        said = str(error)
        raise InputError(said if said.startswith("policy") else f"{node.path}.{said}") from None


def _is_required(field: Field[Any]) -> bool:
    return field.init and field.default is MISSING and field.default_factory is MISSING


def _value(hint: Any, field: Field[Any], node: Node) -> Any:
    """Read one field in its declared type."""
    name, path = field.name, f"{node.path}.{field.name}"
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(part for part in get_args(hint) if part is not type(None))
    if hint is bool:
        return node.flag(name, False)
    if hint is int:
        return node.whole(name)
    if hint is float:
        return node.number(name)
    if hint is str:
        return node.text(name)
    if get_origin(hint) is tuple and len(get_args(hint)) == 2 and get_args(hint)[1] is Ellipsis:
        return _row(get_args(hint)[0], node.raw(name), path)
    if isinstance(hint, type) and issubclass(hint, Enum):
        known = [str(member.value) for member in hint]
        word = node.text(name)
        if word not in known:
            raise InputError(f"{path}: got '{word}'; {nearest(word, known)}")
        return hint(word)
    if isinstance(hint, type) and is_dataclass(hint):
        return _decoded(hint, node.child(name))
    raise InputError(f"{path}: cannot be set in configuration; leave it out")


def _row(item: Any, values: Any, path: str) -> tuple[Any, ...]:
    if isinstance(values, str) or not isinstance(values, list | tuple):
        raise InputError(f"{path}: expected a list, got {values!r}; write [a, b]")
    found: list[Any] = []
    for place, value in enumerate(values):
        node = Node({"item": value}, f"{path}[{place}]")
        if item is int:
            found.append(node.whole("item"))
        elif item is float:
            found.append(node.number("item"))
        elif item is str:
            found.append(node.text("item"))
        elif isinstance(item, type) and is_dataclass(item):
            found.append(_decoded(item, Node(value, f"{path}[{place}]")))
        else:
            raise InputError(f"{path}: cannot be set in configuration; leave it out")
    return tuple(found)
