"""The ``glassmind`` command: one file a verb, each of them thin.

Read ``main`` first (how a verb is found, and what happens to its errors), then ``console`` (what
goes to which stream) and ``settings`` (the options that several verbs share). Every other file is
one verb, of the same name, with two functions: ``add_arguments(parser)`` declares its options and
``run(args)`` does the job and returns the exit code. A verb's module is imported only when that
verb is chosen, and it imports the heavy packages only inside ``run``, so help is instant.
"""
