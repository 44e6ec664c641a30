"""The ``glassmind`` command: one short file per verb.

Read ``main`` first (how a verb is found, and how its errors are reported), then ``parser`` (what is
wrong in a command line), ``console`` (which output goes to which stream; ``literal_console`` keeps
a terminal from obeying it), ``live`` (progress bars) and ``settings`` (options that several verbs
share). ``jobs`` runs a recipe for the verbs that train, ``chosen_model`` loads the model for
``chat`` and ``serve``, ``tokenizer_views`` draws for ``tokenizer``, and ``completion_scripts``
writes for ``completion``. Every other file is a verb of the same name, with two functions:
``add_arguments(parser)`` declares its options, and ``run(args)`` does the job and returns the exit
code. A verb's module is imported only when the verb is chosen, and imports heavy packages only
inside ``run``, so help is instant.
"""
