"""A prompt about a person of whom nothing is said gets what is said drawn from the world's people.

`book.Diversity` is the door; `rewriter.Rewriter` the pure part of it. Policy decides for whom
(`obligations.rewrite: "diversity"`); what is drawn and said is data of the bundle.
"""

from gateway.diversity.book import Diversity
from gateway.diversity.drawing import Draw, drawn_for
from gateway.diversity.rewriter import Rewriter
from gateway.diversity.vocabulary import DiversityError

__all__ = ["Diversity", "DiversityError", "Draw", "Rewriter", "drawn_for"]
