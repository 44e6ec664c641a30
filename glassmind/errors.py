"""The one exception a person is meant to read.

Everything a user can get wrong (a recipe key, a path, a file's contents) is raised as a
``UserError`` whose message is a single sentence: what was wrong, where, and what would be
right. The command line prints it without a traceback and exits with code 2; library callers
may catch it as they would any exception.
"""


class UserError(Exception):
    """Something outside the program is wrong; the message says what, where and the remedy."""
