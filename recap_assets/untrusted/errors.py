"""What a user can mend."""


class RecapError(Exception):
    """Something cannot go on, and a person can mend it: the text says what, where and how.

    Every door (command line, Dagster, doctor) shows the text alone, without a traceback.
    """


class UntrustedError(RecapError, ValueError):
    """Bytes from outside that cannot be taken: what is wrong; the reader adds where."""
