"""All tests that need a GPU, run in a process of their own on a stand-in for CuPy."""

import os
import re
import subprocess
import sys

import pytest
import stand_in
from command_line import ROOT
from stand_in import emulate

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(emulate.PROBLEM is not None, reason=str(emulate.PROBLEM)),
]


MARKS = ("gpu", "two_gpus", "stand_in")


def files(version):
    """Those with tests to run: to collect all takes longer than to run these.

    With older versions those that tell one CuPy from another.
    """
    if version != stand_in.VERSIONS[-1]:
        return ["tests/test_gpu.py", "tests/test_gpu_counts.py"]
    texts = {path: path.read_text(encoding="utf-8") for path in ROOT.glob("tests/test_*.py")}
    return [path for path, text in texts.items() if re.search(r"mark\.(gpu|stand_in)\b", text)]


@pytest.mark.parametrize("version", stand_in.VERSIONS)
def test_the_gpu_tests(version):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", " or ".join(MARKS), *files(version)],
        cwd=ROOT,
        env={**os.environ, "DNC_TEST_CUPY": version},
        capture_output=True,
        text=True,
        timeout=600,
    )
    summary = done.stdout.strip().splitlines()[-1]
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert int(re.search(r"(\d+) passed", summary)[1]) > 150, summary
