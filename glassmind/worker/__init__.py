"""Programs that may not end, run in a process that can be killed.

Some work runs on untrusted input: a chat template is a program from a downloaded model, and a
formula that a model wrote may denote a number of a billion digits. Either may loop for ever or use
up all memory. Python cannot stop a thread that does so, but it can stop a process, so such work
runs in a separate one.

``process`` is the parent's side: it starts the process when first needed, keeps it, waits for each
answer up to a time limit, and replaces the process if it had to be killed. ``program`` runs in the
process: it sets the memory limit, then answers requests with the function of a given script.
"""

from glassmind.worker.process import Worker, WorkerStopped

__all__ = ["Worker", "WorkerStopped"]
