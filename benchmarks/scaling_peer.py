"""One peer's own fit of the Chinchilla points, run by its own interpreter; see scaling_speed.py.

PYTHON benchmarks/scaling_peer.py points.csv
"""

import csv
import importlib.util
import json
import sys
import time
from functools import partial
from pathlib import Path


def by_chinchilla(path: Path) -> dict[str, object]:
    import numpy as np
    from chinchilla import Chinchilla
    from chinchilla._metrics import log_huber

    (path.parent / "df.csv").write_text(path.read_text())
    grid = {"e": [0.5, 1.0], "a": [5.0, 10.0], "b": [5.0, 10.0], "alpha": [0.3, 0.6],
            "beta": [0.3, 0.6]}  # fmt: skip
    model = Chinchilla(str(path.parent), param_grid=grid, loss_fn=partial(log_huber, delta=1e-3),
                       log_level=50)  # fmt: skip
    model.visualizer.optim = lambda *a, **k: None
    start = time.perf_counter()
    model.fit(parallel=False)
    seconds = time.perf_counter() - start
    names = ("E", "A", "B", "alpha", "beta")
    return {"starts": int(np.prod([len(v) for v in grid.values()])), "seconds": seconds,
            "parameters": {name: float(getattr(model, name)) for name in names}}  # fmt: skip


def by_simple_scaling_laws(path: Path) -> dict[str, object]:
    import polars as pl
    from simple_scaling_laws import fit

    rows = list(csv.DictReader(path.open()))
    frame = pl.DataFrame(
        {
            "training_run_id": [f"r{i}" for i in range(len(rows))],
            "evaluation_id": [f"e{i}" for i in range(len(rows))],
            "model_size__n_params": [float(r["N"]) for r in rows],
            "dataset_size__n_tokens": [float(r["D"]) for r in rows],
            "test_loss__cross_entropy": [float(r["loss"]) for r in rows],
        }
    )
    start = time.perf_counter()
    model = fit(frame, law="separable-power", n_draws=200, seed=0)
    seconds = time.perf_counter() - start
    held = {k: float(v) for k, v in model.params("test_loss__cross_entropy").items()}
    return {"draws": 200, "seconds": seconds, "parameters_own_units": held}


def main() -> None:
    path = Path(sys.argv[1])
    known = {"chinchilla": by_chinchilla, "simple_scaling_laws": by_simple_scaling_laws}
    for name, ask in known.items():
        if importlib.util.find_spec(name):
            print(json.dumps({"peer": name, **ask(path)}), flush=True)


if __name__ == "__main__":
    main()
