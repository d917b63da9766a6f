"""What an installation of chainer-dnc adds to every start of Python: almost nothing.

``chainer_dnc.pth`` has this imported. It puts two finders in place, which wait until a program
imports ``chainer`` (it then gets what it misses today, see ``chainer_dnc/compat/shims.py``) or a
``lib`` that nobody else has (which is ``chainer_dnc``). CHAINER_DNC_NO_HOOK=1 switches both off.
"""

import os
import sys


class ChainerFirst:
    """Has Chainer supplied with what it misses, also where it is imported before chainer_dnc."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        """Make way for the real helper when Chainer is asked for, unless chainer_dnc brought it."""
        if name != "chainer" or any("chainer" in getattr(f, "contexts", ()) for f in sys.meta_path):
            return None
        shims = load_shims()
        if shims is None:
            return None
        shims.install()
        return sys.meta_path[0].find_spec(name, path, target)


def load_shims():
    """``chainer_dnc.compat.shims`` without its package, which imports Chainer; None if gone."""
    from importlib import util

    package = util.find_spec("chainer_dnc")
    if package is None or not package.submodule_search_locations:
        return None
    path = os.path.join(list(package.submodule_search_locations)[0], "compat", "shims.py")
    if not os.path.isfile(path):  # another folder of that name is in the way
        return None
    spec = util.spec_from_file_location("_chainer_dnc_shims", path)
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class LibLast:
    """Finds ``lib`` where nothing else does: chainer_dnc, which then answers to that name.

    It is imported to be asked, and Chainer with it, also by tools that only look for a ``lib``.
    """

    @staticmethod
    def find_spec(name, path=None, target=None):
        """Import chainer_dnc, and ask it, unless it is it that asks."""
        if name != "lib" or any(getattr(f, "second", None) == "lib" for f in sys.meta_path):
            return None
        from importlib import util

        import chainer_dnc  # noqa: F401

        return util.find_spec("lib")


if not os.environ.get("CHAINER_DNC_NO_HOOK"):
    sys.meta_path.insert(0, ChainerFirst)
    sys.meta_path.append(LibLast)
