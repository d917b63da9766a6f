"""Chainer's hooks on links whose parameters are used without a call of the link."""

import contextlib

from chainer import link_hook


@contextlib.contextmanager
def hooks_of(links):
    """Run the hooks of links that are never called themselves, because their parameters are used.

    A hook that changes a weight before a call, as spectral normalisation does, then acts.
    """
    hooked = [
        (link, hook)
        for link in links
        if link._n_local_link_hooks
        for hook in link.local_link_hooks.values()
    ]
    with contextlib.ExitStack() as undo:
        for link, hook in hooked:
            hook.forward_preprocess(
                link_hook._ForwardPreprocessCallbackArgs(link, "forward", (None,), {})
            )
            after = link_hook._ForwardPostprocessCallbackArgs(link, "forward", (None,), {}, None)
            undo.callback(hook.forward_postprocess, after)
        yield
