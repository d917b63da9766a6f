"""How Numba compiles functions that are only ever parts of others.

It would optimise each of them by itself and make machine code of it, which nobody calls, before it
does so with what they are a part of: a quarter of the time that compiling takes.
"""

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler


class PartCompiler(Compiler):
    """Numba's compiler, whose code becomes a :class:`Part`."""

    def compile_extra(self, func):
        """See ``numba.core.compiler.CompilerBase``."""
        self.state.library = Part(self.state.targetctx.codegen(), func.__qualname__)
        return super().compile_extra(func)


class Part(JITCodeLibrary):
    """Code that is there to be linked into other code, as it is."""

    def _optimize_final_module(self):
        """Leave that to what it becomes a part of."""

    def _finalize_final_module(self):
        """Do all that needs no machine code."""
        self._finalize_dynamic_globals()
        self._finalized = True

    @property
    def codegen(self):
        """Who is told of an environment for the machine code, and of nothing else."""
        return self

    def set_env(self, *_):
        """Take no notice: there is no machine code.

        So a part has no environment, which ``print`` and errors with computed messages would need.
        """
