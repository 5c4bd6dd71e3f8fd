"""Policies by name, read from plain configuration data; a stranger's by its dotted path."""

import importlib
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from miniscale.setting.decode import InputError, decode, nearest
from transfer.policy.protocol import Expecting, Policy

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
            f"{path}: '{dotted}' is no policy; it must be a frozen dataclass with decide, "
            "foresee, name and utility"
        )
    return found


def decode_policy(data: Mapping[str, Any] | str) -> Policy:
    """Build a policy from its configuration, or from its name alone with every default.

    >>> decode_policy({"name": "ttest", "seeds": 6}).seeds
    6

    Raises
    ------
    InputError
        On the first key that is wrong, with its path.
    """
    keys = {"name": data} if isinstance(data, str) else dict(data)
    name = keys.pop("name", None)
    if not isinstance(name, str):
        raise InputError(f"policy.name: got {name!r}, must be text; {nearest('', POLICIES)}")
    policy: Policy = decode(policy_class(name), keys, "policy")
    return policy


def content(policy: Policy) -> dict[str, Any]:
    """Return a policy as plain data: what must not change when a study is resumed."""
    found: dict[str, Any] = asdict(policy)  # type: ignore[call-overload]
    return found


def expecting(policy: Policy, n_changes: int) -> Policy:
    """Return a policy that knows how many changes will come, if it is one that asks."""
    if n_changes > 0 and isinstance(policy, Expecting):
        return policy.expecting(n_changes)
    return policy
