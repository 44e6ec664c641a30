"""The tasks on which a model can be graded, a file each.

``task`` says what a task is, ``registry`` has the list, and ``prompts`` the prompts that come with
the package. The other files are tasks.
"""
