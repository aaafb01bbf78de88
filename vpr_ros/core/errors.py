"""The root of every error that a user can cause or meet."""


class VprError(Exception):
    """An error told in one sentence: what was seen, what was expected, what to do.

    Each room derives its own class from it. The command line prints the sentence without a traceback and exits 2; the
    node counts it, shows it in ``/diagnostics`` and lives on.
    """
