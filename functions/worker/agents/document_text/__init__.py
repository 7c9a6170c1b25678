"""What can be read out of a document's text without a model.

Invariant: every function here is pure, accepts any string (empty, binary-like, one line of 2 MiB,
any script) without raising, takes time in proportion to its length, and speaks of the caller's
text in character offsets that can be sliced. The package refuses to fetch anything, to guess what
the text does not say, and to return lists without a bound.
"""
