"""The laws that ship, by name; any other :class:`scaling.law.form.Form` works as well."""

from scaling.law.form import Form, PowerSum
from scaling.law.other_forms import Coupled, LogLinear

POWER = PowerSum(
    "power",
    "E + A x^-alpha",
    1,
    (("E", ()), ("A", ((0, "alpha"),))),
    exponents=(0.04, 0.08, 0.14, 0.22, 0.32, 0.45, 0.65, 1.0),
)
"""One scale, usually compute, and a floor (Henighan et al., 2020)."""
NO_OFFSET = PowerSum("no-offset", "A x^-alpha", 1, (("A", ((0, "alpha"),)),), has_floor=False)
"""A straight line on log-log axes (Kaplan et al., 2020, equations 1.1 to 1.3)."""
HOFFMANN = PowerSum(
    "hoffmann",
    "E + A N^-alpha + B D^-beta",
    2,
    (("E", ()), ("A", ((0, "alpha"),)), ("B", ((1, "beta"),))),
)
"""Parameters and tokens, each with its own power (Hoffmann et al., 2022, equation 2)."""
TIED = PowerSum(
    "tied",
    "E + A N^-alpha + B D^-alpha",
    2,
    (("E", ()), ("A", ((0, "alpha"),)), ("B", ((1, "alpha"),))),
)
"""Hoffmann's form with one exponent: the optimal tokens per parameter do not drift."""
SURFACE_NO_OFFSET = PowerSum(
    "surface-no-offset",
    "A N^-alpha + B D^-beta",
    2,
    (("A", ((0, "alpha"),)), ("B", ((1, "beta"),))),
    exponents=(0.02, 0.05, 0.1, 0.18, 0.3, 0.5),
    has_floor=False,
)
"""Hoffmann's form without a floor."""
COUPLED = Coupled("coupled", "E + (A N^-alpha + B D^-beta)^k")
"""Hoffmann's form with a coupling of the two bottlenecks."""
KAPLAN = Coupled("kaplan", "((Nc/N)^(alpha_N/alpha_D) + Dc/D)^alpha_D", is_kaplan=True)
"""The joint form of Kaplan et al. (2020), equation 1.5."""
LOG_LINEAR = LogLinear("log-linear", "c - b1 ln x")
"""One scale, loss linear in its log."""
SURFACE_LOG_LINEAR = LogLinear("surface-log-linear", "c - b1 ln N - b2 ln D", n_scales=2)
"""Two scales, loss linear in their logs."""

LAWS: dict[str, Form] = {
    law.name: law
    for law in (
        POWER,
        NO_OFFSET,
        LOG_LINEAR,
        HOFFMANN,
        TIED,
        COUPLED,
        KAPLAN,
        SURFACE_NO_OFFSET,
        SURFACE_LOG_LINEAR,
    )
}
"""Every law by its name on the command line."""
