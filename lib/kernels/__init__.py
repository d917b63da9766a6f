"""Steps of the model as compiled loops: names and arguments are those of the plain ones."""

import sys
from pathlib import Path


def announce():
    """Say that the loops are being compiled, where they have not been kept from another run."""
    from . import forward

    folder = forward.step.stats.cache_path
    if folder is None:
        print("Compiling the CPU kernels; no folder could be found to keep them.", file=sys.stderr)
    elif not is_kept(Path(folder), Path(forward.__file__)):
        print(f"Compiling the CPU kernels, once; they are kept in {folder}.", file=sys.stderr)


def is_kept(folder, source):
    """Whether this Python has kept what it compiled of a source file since that has changed."""
    version = f"py{sys.version_info.major}{sys.version_info.minor}"
    indexes = folder.glob(f"{source.stem}.step-*.{version}.nbi")
    return any(index.stat().st_mtime > source.stat().st_mtime for index in indexes)
