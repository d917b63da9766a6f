"""ChainerRL's interface of recurrent models, from a stand-in of its module."""

import shutil
import sys

import pytest
from command_line import ROOT
from test_house import run

# A module of the same name: an abstract class one of whose methods uses a private attribute, and
# another the name that Python 3.10 dropped.
MODULE = """
import abc, collections

class Recurrent(abc.ABC):
    __saved = {}

    @abc.abstractmethod
    def reset_state(self): ...

    def save(self):
        self.__saved[id(self)] = self.get_state()

    def load(self):
        self.set_state(self.__saved.pop(id(self)))

    def cut(self):
        assert issubclass(list, collections.Iterable)
        for field in self.get_state():
            field.unchain_backward()
"""

USE = """
import {first}
import {second}
from chainerrl.recurrent import Recurrent
from chainer_dnc import DNC
import numpy as np

class Q(DNC):
    pass

model = Q(3, 2, 8, 4, 2, 6, K=0)
assert isinstance(model, Recurrent) and issubclass(DNC, Recurrent)
x = np.ones((1, 3), "f")
model(x)
h = model.h
model.save()
model(x)
model.load()
assert model.h is h and h.creator is not None
model.cut()
assert h.creator is None and model.get_state().memory.creator is None
print("works")
"""


@pytest.fixture
def stand_in(tmp_path):
    (tmp_path / "chainerrl").mkdir()
    (tmp_path / "chainerrl" / "__init__.py").write_text("")
    (tmp_path / "chainerrl" / "recurrent.py").write_text(MODULE)
    return tmp_path


@pytest.mark.skipif(sys.version_info < (3, 10), reason="collections.Iterable warns there")
@pytest.mark.parametrize("first", ["chainerrl.recurrent", "chainer_dnc"])
def test_a_dnc_is_one_of_its_recurrent_models(first, stand_in):
    second = "chainer_dnc" if first != "chainer_dnc" else "chainerrl.recurrent"
    assert run(USE.format(first=first, second=second), stand_in, "-W", "error") == "works"


def test_two_copies_of_the_package_are_both_known_to_it(stand_in):
    """One of them reloaded, besides."""
    shutil.copytree(ROOT / "lib", stand_in / "mine", ignore=shutil.ignore_patterns("__pycache__"))
    code = """
import importlib
import mine, chainer_dnc
importlib.reload(chainer_dnc)
from chainerrl.recurrent import Recurrent
print(issubclass(mine.DNC, Recurrent), issubclass(chainer_dnc.DNC, Recurrent))
"""
    assert run(code, stand_in) == "True True"


def test_nothing_is_there_without_it():
    assert run("from chainer_dnc import DNC; print(hasattr(DNC, 'save'))", ROOT) == "False"
