"""Coordinates of a law whose printed parameters are given: what ``Form.natural`` undoes."""

import numpy as np

from scaling.law.form import Form, PowerSum
from scaling.law.other_forms import Coupled, LogLinear


def coordinates_of(form: Form, parameters: dict[str, float], centre: np.ndarray) -> np.ndarray:
    """Return the coordinates of printed parameters about the centre of the log scales."""
    p = parameters
    if isinstance(form, PowerSum):
        logs = [
            np.log(p[name]) - sum(p[exponent] * centre[j] for j, exponent in powers)
            for name, powers in form.terms
        ]
        return np.array([*logs, *(p[name] for name in form.exponent_names)])
    if isinstance(form, LogLinear):
        slopes = np.array([p[f"b{j + 1}"] for j in range(form.n_scales)])
        return np.array([p["c"] - slopes @ centre, *slopes])
    assert isinstance(form, Coupled)
    if form.is_kaplan:
        alpha, k = p["alpha_N"], p["alpha_D"]
        a = alpha * (np.log(p["Nc"]) - centre[0])
        return np.array([a, k * (np.log(p["Dc"]) - centre[1]), alpha, np.log(k)])
    k = p["k"]
    alpha, beta = k * p["alpha"], k * p["beta"]
    a, b = k * np.log(p["A"]) - alpha * centre[0], k * np.log(p["B"]) - beta * centre[1]
    return np.array([np.log(p["E"]), a, b, alpha, np.log(k), beta])
