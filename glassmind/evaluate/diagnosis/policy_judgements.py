"""Problems of learning from reward: nothing to learn from, collapses, and rewards that are fooled.

Each judgement is a pure function; its thresholds stand above it, each with its reason. *Measured*
means: with the recipe ``grpo`` and its changes in ``recipes/collapses`` (docs/COLLAPSES.md).
"""

from __future__ import annotations

import math
from statistics import median

from glassmind.evaluate.diagnosis.judgement import Diagnosis, sentence_of
from glassmind.evaluate.diagnosis.policy_run import Change, PolicyRun
from glassmind.evaluate.wording import percent

RARELY = 0.1
"""With a tenth of the groups, nine tenths of the sampling are wasted (measured: 25 to 60 %)."""

FELL_TO, FELL_BY, DRIFTED = 0.5, 0.2, 2.0
"""The solve rate halved and lost 20 points, which no set of samples does by chance, and the entropy
doubled: the policy forgot instead of choosing."""

CUT_MORE = 0.3
"""Or this many more of the completions run into the limit: it forgot how to end."""

FAR_SHARE = 0.03
"""Most tokens of a trained model are certain and cannot move. Measured: below 1 % of them have
doubled or halved after 2 passes with the recipe's learning rates."""

CLIPPED_SHARE = 0.04
"""Measured: below 2 % after 2 passes with the recipe's learning rates."""

CLIPPED_SEQUENCES = 0.5
"""With the ratio of whole sequences and its narrow bounds, 15 % is usual (GSPO, 2507.18071)."""

DIFFERENCE = 0.02
"""Nats. The recipes warn from here on; the engine's own rounding is below 1e-4."""

ENTROPY_LEFT = 0.33
"""Of the entropy at the beginning (measured in healthy runs: 60 to 130 % of it)."""

FAR_FROM_REFERENCE = 0.08
"""Nats per token. Over a chain of forty tokens, e^3 in probability."""

LONGER = 0.2
"""The completions grew by a fifth."""

HACKED = 0.05
"""The reward has risen by this, beyond chance and beyond what the solve rate has."""


def no_signal(run: PolicyRun) -> Diagnosis | None:
    """Groups whose rewards are all equal, from which nothing is learned."""
    later = run.sets[len(run.sets) // 2 :]
    shares = [row.informative for _, row in later if row.informative is not None]
    if not shares or median(shares) > RARELY:
        return None
    solved = [row.solve_rate for _, row in later if row.solve_rate is not None]
    rate = median(solved) if solved else 0.5
    if rate > 0.5:
        cure = "The questions are too easy: give harder ones (problems.dial)."
    else:
        cure = (
            "The questions are too hard for this model: give easier ones (problems.dial), start "
            "from a better model, or reward parts of a solution as well (options.reward = "
            '"answer + 0.2 * steps").'
        )
    return Diagnosis(
        "all rewards of a group equal",
        f"From step {later[0][0]:,} on, the rewards differ in {percent(median(shares))} of the "
        f"groups; {percent(rate)} of the answers are right.",
        "A completion is compared with the others of its group. Where all have the same reward, "
        "every advantage is 0, and so is the loss.",
        f"{cure} options.resample draws other questions in the place of such groups; a larger "
        "options.group finds differences more often.",
        steps=(later[0][0], later[-1][0]),
    )


def group_of_one(run: PolicyRun) -> Diagnosis | None:
    """Groups of which only one completion is learned from."""
    if not run.group_sizes or median(run.group_sizes) > 1:
        return None
    return Diagnosis(
        "a group of one",
        "In most of the logged groups, at most one completion is learned from.",
        "A reward says nothing by itself: it is compared with those of other completions of the "
        "same question, and here there is none.",
        "Raise options.group; if most completions are cut off and options.mask_truncated leaves "
        "them out, raise sampling.max_new_tokens.",
    )


def policy_lost(run: PolicyRun) -> Diagnosis | None:
    """A policy that forgets what it could do, because its steps are too long.

    The end is compared with the first set of samples, since this takes only a few steps.
    """
    signs = []
    if run.lost is not None:
        signs.append(f"the loss stopped being a number at step {run.lost:,}")
    start, solved = run.sets[0][1], run.change(lambda row: row.solve_rate)
    if solved is not None and start.solve_rate is not None:
        fell = start.solve_rate - solved.last
        entropy = run.change(lambda row: row.entropy)
        cut = run.change(lambda row: row.truncated)
        forgot = []
        if entropy and start.entropy and entropy.last > DRIFTED * start.entropy:
            forgot.append(f"the entropy rose from {start.entropy:.2g} to {entropy.last:.2g}")
        if cut and start.truncated is not None and cut.last > start.truncated + CUT_MORE:
            forgot.append(f"{percent(cut.last)} of the completions are cut off at the end")
        if forgot and fell > FELL_BY and solved.last < FELL_TO * start.solve_rate:
            rates = f"{percent(start.solve_rate)} to {percent(solved.last)}"
            signs += [f"the solve rate fell from {rates}", *forgot]
    if not signs:
        return None
    return Diagnosis(
        "learning rate too high",
        sentence_of(signs),
        "The steps were so long that they destroyed what the model could do. Once no answer is "
        "right, all rewards are equal and nothing leads back.",
        "Lower train.muon_lr and train.adamw_lr (the recipe grpo has 0.002 and 0.0003, a tenth of "
        "those of supervised training), and lengthen train.warmup.",
    )


def unbounded_ratios(run: PolicyRun) -> Diagnosis | None:
    """Several passes over one set of samples, and nothing that bounds the ratios."""
    far = run.values(lambda row: row.ratio_far)
    step, share = max(far, key=lambda pair: pair[1], default=(0, 0.0))
    if share < FAR_SHARE or run.settings.number("clip_high", 0.2) < 4:
        return None
    return Diagnosis(
        "ratios without bounds",
        f"At step {step:,}, {percent(share)} of the tokens had at least twice or at most half the "
        f"probability with which they were sampled; {_solved(run)}.",
        "After the first update the samples are those of another policy. Without a clip, each "
        "further pass pushes the same tokens again, as far as the learning rate lets it: the loss "
        "falls on these samples, and the next ones are worse.",
        "Set options.clip_low and options.clip_high to 0.2, and take fewer options.passes.",
        steps=(step, step),
    )


def stale_samples(run: PolicyRun) -> Diagnosis | None:
    """Samples that are so old that many tokens are clipped."""
    clipped = run.values(lambda row: row.clipped)
    step, share = max(clipped, key=lambda pair: pair[1], default=(0, 0.0))
    sequences = run.settings.options.get("ratio") == "sequence"
    if share < (CLIPPED_SEQUENCES if sequences else CLIPPED_SHARE):
        return None
    passes = run.settings.number("passes", 1)
    after = f" (options.passes = {passes:.0f})" if passes > 1 else ""
    return Diagnosis(
        "stale samples",
        f"At step {step:,}, {percent(share)} of the tokens were clipped{after}; {_solved(run)}.",
        "The policy has moved away from the one that drew the samples. Clipped tokens teach "
        "nothing, and the others are weighed by what the old policy found likely.",
        "Sample more often: fewer options.passes, or a lower learning rate.",
        steps=(step, step),
    )


def mismatch(run: PolicyRun) -> Diagnosis | None:
    """Tokens that were drawn from another distribution than the one that is trained."""
    found = [value for _, value in run.values(lambda row: row.logprob_diff)]
    if not found or median(found) < DIFFERENCE:
        return None
    seen = (
        f"On the first pass, the log-probability of a token under sampler and trainer differs by "
        f"up to {max(found):.2g} nats (typically {median(found):.2g} in a set)."
    )
    top_p, top_k = run.settings.sampling.get("top_p", 1.0), run.settings.sampling.get("top_k", 0)
    if top_p != 1.0 or top_k:
        return Diagnosis(
            "top-p mismatch",
            f"{seen} The recipe samples with top_p = {top_p} and top_k = {top_k}.",
            "The sampler leaves unlikely tokens out and makes the others likelier; the trainer "
            "counts with the whole distribution. What was never drawn is never corrected, and the "
            "policy narrows to what is.",
            "Set sampling.top_p to 1 and sampling.top_k to 0.",
        )
    return Diagnosis(
        "sampler and trainer differ",
        seen,
        "The ratio on the first pass should be 1. Where it is not, the gradient is that of another "
        "policy than the one that wrote the samples.",
        'Train in float32 (train.precision), or set options.old = "trainer" and '
        'options.correction = "truncate", which weighs the difference.',
    )


def entropy_collapse(run: PolicyRun) -> Diagnosis | None:
    """A policy that has become nearly certain of every token."""
    entropy = run.change(lambda row: row.entropy)
    if entropy is None or not entropy.fell or entropy.last > ENTROPY_LEFT * entropy.first:
        return None
    return Diagnosis(
        "entropy collapse",
        f"The entropy fell from {_nats(entropy)}; {_solved(run)}.",
        "The completions of a group become copies of each other. They get the same reward, nothing "
        "is learned any more, and voting over samples is worth nothing.",
        "Raise options.clip_high (DAPO takes 0.28), set options.kl to 0.01 or more, lower the "
        "learning rates, or stop earlier.",
    )


def divergence_grows(run: PolicyRun) -> Diagnosis | None:
    """A policy that runs away from its reference."""
    kl = run.change(lambda row: row.kl)
    if kl is None or not kl.rose or kl.last < FAR_FROM_REFERENCE:
        return None
    seen = f"The divergence from the reference rose from {_nats(kl)}; {_solved(run)}."
    options, weight = run.settings.options, run.settings.number("kl", 0.0)
    in_loss = options.get("kl_place", "loss") == "loss"
    if weight and in_loss and options.get("kl_estimator") == "k1" and not options.get("kl_ratio"):
        return Diagnosis(
            "KL without a gradient",
            f"{seen} The recipe weighs it by {weight:g}, as k1 in the loss.",
            "The value of k1 is right on average, and its gradient is not: the mean of the "
            "gradient of log π over samples of π is 0. As a loss it adds noise, and holds nothing "
            "back.",
            'Set options.kl_estimator = "k2", or options.kl_place = "reward", or options.kl_ratio '
            "= true.",
        )
    return Diagnosis(
        "KL blow-up",
        seen,
        "The policy forgets what it knew besides the task, and from there a reward with a hole in "
        "it is easier to fool.",
        "Raise options.kl, lower the learning rates, or stop earlier.",
    )


def length_hacking(run: PolicyRun) -> Diagnosis | None:
    """Completions that grow without solving more."""
    length, solved = run.change(lambda row: row.length), run.change(lambda row: row.solve_rate)
    if length is None or solved is None or policy_lost(run) is not None:
        return None
    if not length.rose or length.last < (1 + LONGER) * length.first or solved.rose:
        return None
    return Diagnosis(
        "length hacking",
        f"The completions grew from {length.first:.0f} to {length.last:.0f} tokens, and the solve "
        f"rate went from {_shares(solved)}.",
        "Something pays for length: a reward that likes long answers, or a mean over the tokens of "
        "each completion, with which a long wrong answer is punished less for each of its tokens.",
        'Look at what is rewarded (options.reward); set options.normalisation = "token" or '
        '"constant", or options.overlong to a few tokens.',
    )


def reward_hacking(run: PolicyRun) -> Diagnosis | None:
    """A reward that rises while exact grading sees no improvement."""
    reward, solved = run.change(lambda row: row.reward), run.change(lambda row: row.solve_rate)
    if reward is None or solved is None or not reward.rose:
        return None
    beyond = reward.by - max(0.0, solved.by)
    if beyond < HACKED or beyond <= 2 * math.hypot(reward.error, solved.error):
        return None
    watched = run.change(lambda row: row.watched)
    held_out = ""
    if watched is not None:
        held_out = f"; of the held-out problems that are watched, {_shares(watched)} are solved"
    name = str(run.settings.options.get("reward", "the reward"))
    return Diagnosis(
        "reward hacking",
        f"The reward ({name}) rose from {reward.first:.2f} to {reward.last:.2f}; the share of "
        f"answers that are right by exact grading went from {_shares(solved)}{held_out}.",
        "The policy has found something that is rewarded and is not what was meant. More training "
        "makes it better at that.",
        "Read the samples (glassmind explain loss), grade them by a second grader (glassmind "
        'regrade), close the hole, and keep exact grading in the sum (options.reward = "answer").',
    )


def getting_worse(run: PolicyRun) -> Diagnosis | None:
    """A solve rate that falls, for no reason that the other judgements know."""
    solved = run.change(lambda row: row.solve_rate)
    if solved is None or not solved.fell:
        return None
    return Diagnosis(
        "solve rate falls",
        f"The solve rate fell from {_shares(solved)}, by more than chance explains.",
        "What is rewarded, or how long the steps are, does not fit what is wanted.",
        "Lower the learning rates first; then look at what is rewarded (options.reward).",
    )


def _solved(run: PolicyRun) -> str:
    solved = run.change(lambda row: row.solve_rate)
    if solved is None:  # two sets of samples are two sets of questions
        return "too few sets of samples were drawn to compare their solve rates"
    return f"the solve rate went from {_shares(solved)}"


def _shares(change: Change) -> str:
    return f"{percent(change.first)} to {percent(change.last)}"


def _nats(change: Change) -> str:
    return f"{change.first:.2g} to {change.last:.2g} nats a token"
