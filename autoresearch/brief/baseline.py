"""The baseline as a proposer may read it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from miniscale.setting.trial import Scalar
from miniscale.tree.compare_programs import editable_texts
from miniscale.tree.patch import Paths
from transfer.study.study import Study


@dataclass(frozen=True)
class BaselineFiles:
    """What the present baseline holds."""

    texts: Mapping[str, str]
    """Editable file -> its text."""
    knobs: Mapping[str, Scalar]
    folder: Path
    """The tree with all its files."""


def read_baseline(study: Study) -> BaselineFiles:
    """Check the present baseline out and read it."""
    state, setting = study.state, study.ladder.setting
    parent = state.bases[state.base]
    tree = study.trees.checkout(state.base, parent=parent, patch="", knobs={})
    texts = editable_texts(tree.path, Paths(setting.editable, setting.locked))
    return BaselineFiles(texts, dict(tree.knobs), tree.path)
