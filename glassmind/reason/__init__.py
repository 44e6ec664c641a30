"""More thinking → better answers: votes, verifiers.

Read ``vote`` (many samples, one answer) and ``verify`` (judging steps).
"""

from glassmind.reason.verify import score_traces, training_documents
from glassmind.reason.vote import best_of, logprob_weights, tally, verifier_weights, vote

__all__ = [
    "best_of",
    "logprob_weights",
    "score_traces",
    "tally",
    "training_documents",
    "verifier_weights",
    "vote",
]
