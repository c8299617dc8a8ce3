"""The errors whose message is for the reader: it says what happened, why, and what to do. No torch here."""

import errno

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)  # the numbers of errors that mean: no room left


class CourseError(Exception):
    """Something the reader can mend. The message says what happened, why, and what to do."""


class UsageError(CourseError):
    """A name that stands for nothing, or a value that cannot be meant: nothing was begun."""


class MissingExtraError(CourseError):
    """Something is asked for that needs packages which are not installed: those of an optional extra."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what}. Install it with: pip install 'mnist-helpers[{extra}]'")
