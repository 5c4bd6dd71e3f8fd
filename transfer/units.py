"""How numbers are written for a person: compute gained as a multiple, shares in percent."""

import math


def times(gain: float, *, digits: int = 2) -> str:
    """Write a gain in nats as the compute it is worth.

    >>> times(0.06), times(-0.7), times(9.0)
    ('1.06x', '0.50x', '8103x')
    """
    value = math.exp(min(max(gain, -700.0), 700.0))
    if 100 <= value < 1e6:
        return f"{value:.0f}x"
    return f"{value:.{digits}f}x" if 0.01 <= value < 100 else f"{value:.1g}x"


def interval(low: float, mean: float, high: float) -> str:
    """Write a gain in nats with its interval: ``1.06x [1.02, 1.10]``.

    >>> interval(0.02, 0.06, 0.1)
    '1.06x [1.02, 1.11]'
    """
    return f"{times(mean)} [{times(low)[:-1]}, {times(high)[:-1]}]"


def percent(share: float, form: str = ".0f") -> str:
    """Write a share in percent, ``form`` being the number's format.

    >>> percent(0.8), percent(-0.0214, "+.1f")
    ('80 %', '−2.1 %')
    """
    return f"{100 * share:{form}} %".replace("-", "−")


def compute_share(gain: float) -> str:
    """Write a gain in nats as the share of compute that it is worth.

    >>> compute_share(0.0178), compute_share(-0.01), compute_share(1.1)
    ('+1.8 %', '-1.0 %', '+200 %')
    """
    share = 100 * math.expm1(gain)
    return f"{share:+.1f} %" if abs(share) < 100 else f"{share:+.0f} %"
