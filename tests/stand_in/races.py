"""``python -m stand_in.races [BARRIER | OLD=>NEW …]``: races in the kernels, found by g++.

Run in ``tests``. A step of a few sizes, forward and backward, with one block and with several for
each of two sequences, runs with a thread of the system for each of CUDA's under ThreadSanitizer,
and each race is printed as the two lines of the source that meet. With numbers of barriers, as
``barriers.py`` counts them, these are left out; with OLD=>NEW the source is changed so.

It sees what ``barriers.py`` cannot: two threads that add to one number, what the lanes of a warp
read of each other, and what one block reads of another within a launch.
"""

import itertools
import os
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from stand_in import emulate, kernels
from stand_in.barriers import BARRIER, PATHS, cuda_check, cuda_source  # which installs the stand-in

CASES = ((0, (40, 9, 3)), (4, (40, 9, 3)))
NOTHING_WRITTEN = -1e9  # what shuts the write gate
MAIN = """
#include <fstream>
#include <string>
int main(int, char** argv) {
  std::ifstream file(argv[1], std::ios::binary);
  auto number = [&] { long long n; file.read((char*)&n, 8); return n; };
  unsigned width = number(), height = number();
  long long threads = number(), shared = number(), count = number();
  std::vector<std::vector<char>> kept(count);
  std::vector<void*> addresses(count), pointers(count);
  for (long long i = 0; i < count; i++) {
    long long is_array = number();
    kept[i].resize(number());
    file.read(kept[i].data(), kept[i].size());
    addresses[i] = kept[i].data();
    pointers[i] = is_array ? (void*)&addresses[i] : (void*)kept[i].data();
  }
  std::string name = argv[2];
  dim3 grid = {width, height, 1};
"""
END = '  puts("ended"); }'
CASE = '  if (name == "%s") cpu_cuda::run(%s, grid, threads, shared, pointers.data());\n'


def launches(K, sizes):
    """Name, grid, block, shared memory and arguments of the launches of a step."""
    found, call = [], kernels.RawKernel.__call__

    def record(self, grid, block, args, *, shared_mem=0):
        values = [np.array(getattr(a, "_a", a)) for a in args]
        found.append((self.name, grid, block[0], shared_mem, args, values))
        return call(self, grid, block, args, shared_mem=shared_mem)

    kernels.RawKernel.__call__ = record
    try:
        rng = np.random.default_rng(0)
        state, xi, *rest = cuda_check.step_arguments(rng, "d", K, *sizes, sharp=False)
        if K:  # rows whose square is 0 take a way of their own
            state.memory[:, ::3] *= 1e-170
            xi[:, cuda_check.interface.layout(*sizes[1:]).write_gate] = NOTHING_WRITTEN
        steps = cuda_check.steps_for(sizes[0], np.dtype("d"))
        cuda_check.step_results(steps, state, xi, *rest)
    finally:
        kernels.RawKernel.__call__ = call
    return found


def write(path, grid, block, shared, args, values):
    """The file from which the program takes a launch."""
    with open(path, "wb") as file:
        file.write(struct.pack("<5q", *(*grid, 1)[:2], block, shared, len(args)))
        for given, value in zip(args, values):
            is_array = hasattr(given, "_a")
            file.write(struct.pack("<2q", is_array, value.nbytes))
            file.write(value.tobytes())


def races(output):
    """The pairs of lines that met, of what the sanitizer says."""
    found = set()
    for said in output.split("WARNING: ThreadSanitizer: data race")[1:]:
        tops = re.findall(r"of size \d+ at [^\n]*\n\s+#0 [^\n]*kernels\.cpp:(\d+)", said)
        found.add(tuple(sorted(map(int, tops[:2]))))
    return sorted(found)


def changed(source, changes):
    """The source with some barriers left out or other text, its lines where they were."""
    spots = list(BARRIER.finditer(source))
    for spot in [spots[int(change)] for change in changes if change.isdigit()]:
        source = (
            source[: spot.start()] + ";".ljust(spot.end() - spot.start()) + source[spot.end() :]
        )
    for old, new in [change.split("=>") for change in changes if not change.isdigit()]:
        assert old in source, old
        source = source.replace(old, new)
    return source


def run(program, data, name):
    """The races of one launch. Where a thread crashes, this program ends too."""
    options = {**os.environ, "TSAN_OPTIONS": "exitcode=66 history_size=4"}
    done = subprocess.run([program, data, name], env=options, capture_output=True, text=True)
    if "ended" not in done.stdout:
        sys.exit(f"{name}: {done.returncode}: {done.stderr[:2000]}")
    return races(done.stderr)


def main(changes):
    source = emulate.SHARED.sub(emulate.POINTER, changed(cuda_source.source("d"), changes))
    cases = [CASE % (name, name) for name in emulate.KERNEL.findall(source)]
    text = "\n".join([(emulate.HERE / "threads_cuda.h").read_text(), source, MAIN, *cases, END])
    lines, met = text.split("\n"), set()
    with tempfile.TemporaryDirectory() as folder:
        code, program, data = (Path(folder, name) for name in ("kernels.cpp", "kernels", "data"))
        code.write_text(text)
        subprocess.run(["g++", *emulate.SANITIZED, code, "-o", program], check=True)
        for path, (K, sizes) in itertools.product(PATHS, CASES):
            path()
            for name, *launch in launches(K, sizes):
                write(data, *launch)
                met |= {(name, *pair) for pair in run(program, data, name)}
    for name, *pair in sorted(met):
        print(name, *(lines[n - 1].strip() for n in pair), sep="\t")
    print(f"{len(met)} pairs of lines meet")


if __name__ == "__main__":
    main(sys.argv[1:])
