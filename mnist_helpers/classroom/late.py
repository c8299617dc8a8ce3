"""A rule for what is handed in late, for nbgrader's plugin; `nbgrader_config.py` chooses it."""

import math

from nbgrader.plugins import BasePlugin
from traitlets import Float

DAY = 24 * 60 * 60  # seconds


class ShareADay(BasePlugin):
    """Take off a share of the points for each day that has begun since a sheet was due."""

    share = Float(0.0, min=0.0, max=1.0, help="of the points, for each day: 0.1 are ten per cent").tag(config=True)
    grace = Float(0.0, min=0.0, help="minutes for which nothing is taken off").tag(config=True)

    def late_submission_penalty(self, student_id: str, score: float, total_seconds_late: float) -> float | None:  # noqa: ARG002
        """Return the points to take off, at most all; None if there is nothing to take off."""
        late = total_seconds_late - 60 * self.grace
        share = min(1.0, self.share * math.ceil(late / DAY)) if late > 0 else 0.0
        return round(share * score, 2) or None
