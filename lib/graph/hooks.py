"""Chainer's hooks on links whose parameters are used without a call of the link."""

import contextlib

from chainer import link_hook

_NOTHING = contextlib.nullcontext()


def hooks_of(links):
    """A context in which the hooks of links act that are never called themselves.

    Their parameters are used instead. A hook that changes a weight before a call, as spectral
    normalisation does, then acts.
    """
    hooked = [link for link in links if link._n_local_link_hooks]
    return _calling(hooked) if hooked else _NOTHING


@contextlib.contextmanager
def _calling(links):
    """Run the hooks as those of a call, and undo what they did, also where one of them fails."""
    with contextlib.ExitStack() as undo:
        for link in links:
            before = link_hook._ForwardPreprocessCallbackArgs(link, "forward", (None,), {})
            after = link_hook._ForwardPostprocessCallbackArgs(link, "forward", (None,), {}, None)
            for hook in link.local_link_hooks.values():
                hook.forward_preprocess(before)
                undo.callback(hook.forward_postprocess, after)
        yield
