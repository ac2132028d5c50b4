"""The one exception that a user sees as a single line."""


class InputError(ValueError):
    """Something the user gave cannot be used. The message names the file, row or value and what to do about it."""
