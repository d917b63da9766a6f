"""Time steps in Chainer's graph: a whole sequence as one node, single steps, recomputation."""
