"""The ``glassmind`` command: one short file per verb.

Read ``main`` first (how a verb is found, and how its errors are reported), then ``parser`` (errors
in a command line), ``console`` (which output goes to which stream; ``literal_console`` escapes
control characters), ``live`` (progress bars) and ``settings`` (options that several verbs share).
``jobs`` runs a recipe for the verbs that train, ``chosen_model`` loads the model for ``chat`` and
``serve``, ``tokenizer_views`` prints the output of ``tokenizer``, and ``completion_scripts`` makes
the scripts of ``completion``. Every other file is a verb of the same name, with two functions:
``add_arguments(parser)`` declares its options, and ``run(args)`` does the job and returns the exit
code. A verb's module is imported only when the verb is chosen, and imports heavy packages only
inside ``run``, so help is instant.
"""
