"""``python -m chainer_dnc``, and the command ``chainer-dnc``: the program of ``dnc.py``."""

import importlib
import importlib.util
import sys
from pathlib import Path


def main(argv=None):
    """Run the program; the exit status."""
    return load_program().main(argv)


def load_program():
    """The module ``dnc`` of this package; in a checkout it lies beside the package's folder."""
    name, beside = f"{__package__}.dnc", Path(__file__).parents[1]
    if importlib.util.find_spec(name) is not None:
        return importlib.import_module(name)
    if importlib.util.find_spec(f"{__package__}.tasks") is None:  # they lie there too
        sys.path.insert(0, str(beside))
        return importlib.import_module("dnc")
    spec = importlib.util.spec_from_file_location(name, beside / "dnc.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    sys.exit(main())
