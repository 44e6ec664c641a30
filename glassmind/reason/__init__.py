"""More thinking → better answers: chains of thought, votes, verifiers.

Read ``chains`` (ask and read), ``vote`` (many samples, one answer) and ``verify`` (judging steps).
"""

from glassmind.reason.chains import sample_traces
from glassmind.reason.verify import score_traces, training_documents
from glassmind.reason.vote import best_of, logprob_weights, tally, verifier_weights, vote

__all__ = [
    "best_of",
    "logprob_weights",
    "sample_traces",
    "score_traces",
    "tally",
    "training_documents",
    "verifier_weights",
    "vote",
]
