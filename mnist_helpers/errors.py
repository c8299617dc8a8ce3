"""The errors whose message is for the reader: it says what happened, why, and what to do. No torch here."""


class CourseError(Exception):
    """Something the reader can mend. The message says what happened, why, and what to do."""


class UsageError(CourseError):
    """A name that stands for nothing, or a value that cannot be meant: nothing was begun."""
