"""Mistakes that a user can put right."""


class UserError(Exception):
    """A mistake in settings, arguments or the set-up; its text tells the user what to change.

    Shells print the text alone, without a traceback, and exit with code 2.
    """
