"""Laws of loss against compute: fitted with their doubt, forecast, and read as gains.

>>> import numpy as np
>>> compute = np.array([1e12, 1e13, 1e14, 1e15])
>>> fit = fit_power_law(compute, PowerLaw(E=1.5, A=90.0, alpha=0.16)(compute))
>>> print(fit.status, f"{fit.law.E:.2f} {fit.law.alpha:.2f}")
converged 1.50 0.16
>>> forecast = forecast_loss(fit, 1e16)
>>> print(f"{forecast.mean:.3f}")
1.748

Tables of any kind go through ``scaling.table``; any form of ``scaling.law.law_catalogue`` is
fitted by :func:`fit_form` and refitted by :func:`resample`; ``scaling.weighted_forecast``
averages forms and forecasts, ``scaling.compare_arms`` reads gains between arms,
``scaling.isoflop`` finds optima and ``scaling.design`` plans ladders. ``python -m scaling`` does it
all.
"""

from scaling.fit.bootstrap import Ensemble, resample
from scaling.fit.form_fit import FormFit, fit_form
from scaling.fit.ladder_fit import Fit, ScalePoint, fit_power_law
from scaling.fit.objective import FitObjective, LossKind
from scaling.fit.status import FitStatus
from scaling.forecast import Forecast, forecast_band, forecast_loss
from scaling.gain import (
    MOST_GAIN,
    bound_gain,
    compute_multiple,
    is_off_scale,
    local_slope,
    log_multiplier,
    table_of,
)
from scaling.law.power_law import PowerLaw

__all__ = [
    "MOST_GAIN",
    "Ensemble",
    "Fit",
    "FitObjective",
    "FitStatus",
    "Forecast",
    "FormFit",
    "LossKind",
    "PowerLaw",
    "ScalePoint",
    "bound_gain",
    "compute_multiple",
    "fit_form",
    "fit_power_law",
    "forecast_band",
    "forecast_loss",
    "is_off_scale",
    "local_slope",
    "log_multiplier",
    "resample",
    "table_of",
]
