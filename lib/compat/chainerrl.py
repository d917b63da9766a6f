"""ChainerRL looks for recurrent state in ``chainer.links.LSTM`` and its own ``Recurrent`` alone."""

import collections.abc
import contextlib
import sys

from .shims import Helper

NAME = "chainerrl.recurrent"


def register(link_class):
    """Make a class one of ChainerRL's recurrent ones, now or as soon as ChainerRL is imported."""
    if NAME in sys.modules:
        _register(link_class)
    else:

        @contextlib.contextmanager
        def importing():
            yield
            _register(link_class)

        sys.meta_path.insert(0, Helper({NAME: importing}))


def _register(link_class):
    module = sys.modules[NAME]
    module.Recurrent.register(link_class)
    # Registering inherits nothing, and a DNC that is the model itself needs the other methods too.
    for name, attribute in vars(module.Recurrent).items():
        if not hasattr(link_class, name) and not name.startswith("_abc"):
            setattr(link_class, name, attribute)
    if not hasattr(collections, "Iterable"):  # gone since Python 3.10; it takes it from there
        module.collections = collections.abc
