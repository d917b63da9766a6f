"""One package, two names: ``lib`` in a checkout, ``chainer_dnc`` where it is installed.

Whichever is imported first, the other is the same package with the same modules, so that there is
one class DNC, and a pickle made under one name loads under the other. A package of another
project that is called ``lib`` stays what it is. Under any other name, inside another package say,
this one has no second name.
"""

import importlib
import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec

from .shims import find_by_others

NAMES = ("lib", "chainer_dnc")


def answer_to_both(name):
    """Let this package, imported as ``name``, be found under its other name too."""
    if name not in NAMES:
        return
    second = NAMES[1 - NAMES.index(name)]
    known = any(getattr(finder, "second", None) == second for finder in sys.meta_path)
    if second not in sys.modules and not known:
        sys.meta_path.insert(0, SecondName(name, second))


class SecondName:
    """Finds a package that has been imported as ``first``, and its modules, as ``second``."""

    def __init__(self, first, second):
        self.first, self.second = first, second

    def find_spec(self, name, path=None, target=None):
        """A spec that leads to the module that is there already; None for anything else."""
        top, _, inside = name.partition(".")
        if top != self.second:
            return None
        package = sys.modules.get(self.first)
        if package is None:  # its import has failed
            return None
        if inside:
            is_ours = sys.modules.get(top) is package
        else:
            is_ours = is_this_package(find_by_others(self, name, path, target))
        first = self.first + name[len(top) :]
        if not is_ours or importlib.util.find_spec(first) is None:
            return None
        return ModuleSpec(name, SameModule(importlib.import_module(first)))


def is_this_package(spec):
    """Whether nobody else has the name, or a copy of this package has it."""
    folders = [] if spec is None else list(spec.submodule_search_locations or [""])
    return all(os.path.isfile(os.path.join(folder, "compat", "names.py")) for folder in folders)


class SameModule:
    """A loader whose module was loaded under another name, and keeps that."""

    def __init__(self, module):
        self._module, self._spec = module, module.__spec__

    def create_module(self, spec):
        """The module that is there."""
        return self._module

    def exec_module(self, module):
        """Take back what the import system wrote into the module."""
        module.__spec__ = self._spec

    def get_code(self, name):
        """Its code, for ``python -m``."""
        return self._spec.loader.get_code(self._spec.name)
