"""How numbers are written for a person: compute gained as a multiple, shares in percent."""

from collections.abc import Sequence
from dataclasses import dataclass

from scaling import compute_multiple, is_off_scale

OFF_SCALE = "off this ladder's scale (over 1000x)"
"""What is said of a gain that no law may be read so far for."""


def times(gain: float, *, digits: int = 2) -> str:
    """Write a gain in nats as the compute it is worth, 1000x at most.

    >>> times(0.06), times(-0.7), times(9.0), times(-9.0)
    ('1.06x', '0.50x', 'over 1000x', 'under 0.001x')
    """
    if is_off_scale(gain):
        return "under 0.001x" if gain < 0 else "over 1000x"
    value = compute_multiple(gain)
    if value >= 100:
        return f"{value:.0f}x"
    return f"{value:.{digits}f}x" if value >= 0.01 else f"{value:.1g}x"


def interval(low: float, mean: float, high: float) -> str:
    """Write a gain in nats with its interval: ``1.06x [1.02, 1.10]``.

    >>> interval(0.02, 0.06, 0.1), interval(-8, 0.1, 8)
    ('1.06x [1.02, 1.11]', '1.11x [under 0.001, over 1000]')
    """
    return f"{times(mean)} [{times(low)[:-1]}, {times(high)[:-1]}]"


@dataclass(frozen=True)
class GainUnit:
    """What gains are written in: compute where a law leads to it, else the metric's own unit.

    >>> COMPUTE.span(0.02, 0.06, 0.1), GainUnit("accuracy", 0.05).span(0.02, 0.06, 0.1)
    ('1.06x [1.02, 1.11] compute', '+0.0030 [+0.0010, +0.0050] accuracy')
    """

    name: str = "compute"
    per_nat: float = 0.0
    """What a nat is worth in the metric's unit; 0 where gains are compute."""

    def times(self, gain: float) -> str:
        """Write a gain alone: ``1.06x``, or ``+0.0030``."""
        if not self.per_nat:
            return times(gain)
        return self._own((gain,))[0]

    def interval(self, low: float, mean: float, high: float) -> str:
        """Write a gain with its interval, its unit left out."""
        if not self.per_nat:
            return interval(low, mean, high)
        ends = self._own((low, mean, high))
        return f"{ends[1]} [{ends[0]}, {ends[2]}]"

    def span(self, low: float, mean: float, high: float) -> str:
        """Write a gain with its interval and its unit."""
        return f"{self.interval(low, mean, high)} {self.name}"

    def ends(self, low: float, high: float) -> str:
        """Write an interval alone: ``1.02 – 1.11``."""
        return " – ".join(self.times(end).removesuffix("x") for end in (low, high))

    def _own(self, gains: Sequence[float]) -> list[str]:
        amounts = [gain * self.per_nat for gain in gains]
        form = loss_form(max(map(abs, amounts)))
        return [f"{amount:{form}}" for amount in amounts]


COMPUTE = GainUnit()


def percent(share: float, form: str = ".0f") -> str:
    """Write a share in percent, ``form`` being the number's format.

    >>> percent(0.8), percent(-0.0214, "+.1f")
    ('80 %', '−2.1 %')
    """
    return f"{100 * share:{form}} %".replace("-", "−")


def noise_share(nats: float, form: str = ".1f") -> str:
    """Write noise in nats of compute as a share of compute.

    >>> noise_share(0.0213), noise_share(5e5)
    ('2.1 %', 'over 1000 %')
    """
    return percent(nats, form) if nats < 10 else "over 1000 %"


def resolved_share(gain: float) -> str:
    """Write the smallest gain that is told from none: ``4.0%``, or that none is.

    >>> resolved_share(0.039), resolved_share(8.0)
    ('4.0%', 'none')
    """
    return "none" if is_off_scale(gain) else f"{compute_multiple(gain) - 1:.1%}"


def write_value(value: float, digits: int = 5) -> str:
    """Write a number of the objective, short however large or small it is.

    >>> write_value(1.89532), write_value(1e308), write_value(0.0)
    ('1.89532', '1e+308', '0.00000')
    """
    is_plain = 1e-3 <= abs(value) < 1e5 or value == 0
    return f"{value:.{digits}f}" if is_plain else f"{value:.{digits}g}"


def compute_share(gain: float) -> str:
    """Write a gain in nats as the share of compute that it is worth; as a multiple from 10x on.

    >>> compute_share(0.0178), compute_share(-0.01), compute_share(1.1), compute_share(30.0)
    ('+1.8 %', '-1.0 %', '+200 %', 'over 1000x')
    """
    share = 100 * (compute_multiple(gain) - 1)
    if share >= 900:
        return times(gain)
    return f"{share:+.1f} %" if abs(share) < 100 else f"{share:+.0f} %"


def loss_form(largest: float) -> str:
    """Return the format of effects in the objective's unit, by the largest of them.

    >>> loss_form(0.01), loss_form(1e-5), loss_form(1e75)
    ('+.4f', '+.1e', '+.4g')
    """
    return "+.1e" if largest < 0.001 else "+.4f" if largest < 10 else "+.4g"
