"""What an entry of a setting's ``hides`` means: paths to keep from the code of a trial."""

import importlib.util
import os
import sys

PACKAGE = "package:"


def hidden_paths(text: str) -> tuple[str, ...]:
    """Return the absolute paths that one entry of a setting's ``hides`` means, there or not.

    ``package:a.b/c`` is c in the folder of that package, in every copy that can be imported from
    here: of several, a program may take another one than we do. Nothing is imported.
    """
    if not text.startswith(PACKAGE):
        return (os.path.abspath(os.path.expanduser(text)),)
    dotted, _, rest = text.removeprefix(PACKAGE).partition("/")
    top, *below = dotted.split(".")
    spec = importlib.util.find_spec(top)
    folders = (spec.submodule_search_locations if spec else None) or ()
    homes = [*folders, *(os.path.join(entry, top) for entry in sys.path)]
    paths = (os.path.abspath(os.path.join(home, *below, rest)) for home in homes)
    return tuple(dict.fromkeys(paths))
