"""What is said of tables and folders that cannot be used."""

from recap_assets.untrusted.errors import RecapError


class StorageError(RecapError, RuntimeError):
    """A table cannot be read or written; the text says which one and what to do."""

    may_pass = True
