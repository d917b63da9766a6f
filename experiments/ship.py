"""``python -m experiments.ship SNAPSHOT FOLDER``: the tested weights of a snapshot, and no more.

They are stored as float16, compressed, with the settings that the program needs to test them.
"""

import json
import sys
from pathlib import Path

import numpy as np

from lib.training import snapshots


def main(path, folder):
    """Write the small snapshot into the folder, under the name of the large one."""
    with np.load(path, allow_pickle=False) as npz:
        kept = {
            name: npz[name].astype(np.float16)
            for name in npz.files
            if name.startswith("average/") and npz[name].dtype.kind == "f"
        }
        config = str(npz["config"])
    arrays = {**kept, "average/updates": np.asarray(0), "config": np.asarray(config)}
    arrays["entries"] = np.asarray(json.dumps(sorted(arrays)))
    target = Path(folder) / Path(path).name
    snapshots.write_atomically(str(target), lambda file: np.savez_compressed(file, **arrays))
    print(f"{target}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
