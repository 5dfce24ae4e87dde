"""The one exception that reaches a user as a single line, without a traceback."""


class UserError(Exception):
    """Something the user can mend: a file, a row, a key.

    The message is one line and names the file, row or key, what was wrong and what to do.
    """
