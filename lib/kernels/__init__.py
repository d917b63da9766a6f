"""Steps of the model as compiled loops: names and arguments are those of the plain ones."""

import sys
from pathlib import Path


def announce():
    """Say that the loops are being compiled, where they have not been kept from another run."""
    from lib.kernels import memory_forward

    kept = Path(memory_forward.step.stats.cache_path)
    if not any(kept.glob("memory_forward.step-*.nbi")):
        print(f"Compiling the CPU kernels, once; they are kept in {kept}.", file=sys.stderr)
