"""The jobs that the command line runs, assembled from everything below.

Training: read ``prepare`` (recipe to training rows), ``stages`` (each with its result on disk) and
``ladder`` (``pretrained_ladder`` begins with published weights, ``reinforce`` is the last rung),
with ``report_files`` for its report; ``announcement`` and ``forecast`` say how long it will take.
``training`` is one training run: ``pretraining`` on the rows of ``text_rows``, or ``finetune``,
which trains a finished model further: the kinds are the files of ``tunings``, and ``tuning`` is
what they share, with ``opened_model`` (a model of either kind). ``rollouts`` are sampled to learn
from reward, ``sampled_chains`` to be imitated, and ``student_chains`` are those of a student in
training; ``answer_ends`` teaches a model to stop; ``adapters`` keeps LoRA's matrices.
``time_budget`` turns minutes into steps, ``scaling`` trains several sizes.

Using a model: ``ask`` (with ``answer``, what comes back), ``check`` (a solution that somebody has
written), ``evaluate`` (on one of the ``tasks``, with ``fingerprint`` and ``sample_store``, which
keep what was sampled), ``likelihood_tasks`` (multiple choice and perplexity), ``judge`` (one model
compares the answers of others), ``frontier`` (accuracy against cost), ``convert`` (into
``formats``). ``calls`` are the commands as functions.
"""
