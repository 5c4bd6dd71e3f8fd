"""The process in a box that runs a trial's code on held-out inputs; it holds no targets.

``python -I predict_child.py --root=… --predictor=MODULE --tree=TREE --out=OUT --given=DIR
--left=DIR --threads=N``: MODULE, which is ours, makes the tree's code predict for every array of
``--given``. What is left here is never believed: :mod:`miniscale.evaluate.predict_host` judges it.
"""

import importlib
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np


def main(argv: list[str]) -> int:
    """Leave an array for every split; 0, or what says that the weights do not fit the code."""
    options = dict(part[2:].split("=", 1) for part in argv)
    sys.path.insert(0, options["root"])
    from miniscale.evaluate.refusal import MISFIT, TamperedError
    from miniscale.process import process_tree

    os.dup2(2, 1)
    with suppress(PermissionError):  # bubblewrap made a session already
        os.setsid()
    process_tree.signal_me_when_parent_dies(signal.SIGKILL)
    predict = importlib.import_module(options["predictor"]).predict
    inputs = {path.stem: np.load(path) for path in sorted(Path(options["given"]).glob("*.npy"))}
    sys.path.insert(0, options["tree"])
    try:
        predictions = predict(Path(options["out"]), inputs, int(options["threads"]))
    except TamperedError as error:
        sys.stderr.write(f"{error}\n")
        return MISFIT
    for name, array in predictions.items():
        np.save(Path(options["left"]) / f"{name}.npy", np.ascontiguousarray(array))
    return 0


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(status)  # whatever threads the trial's code left
