"""Programs that may not end, run in a process that can be killed.

Some work runs on input that nobody vouches for: a chat template is a program somebody else wrote,
and a formula that a model wrote may stand for a number of a billion digits. Either may loop for
ever or ask for all the memory there is. Python cannot stop a thread that does; it can stop a
process. So such work runs in one of its own.

``process`` is the side that asks: it starts the process when first needed, keeps it, waits for each
answer up to a limit, and replaces the process when it had to be killed. ``program`` is what runs in
it: it sets the memory limit, then answers requests with the function of the script it is given.
"""

from glassmind.worker.process import Worker, WorkerStopped

__all__ = ["Worker", "WorkerStopped"]
