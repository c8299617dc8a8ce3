"""nbgrader's settings for this course: `nbgrader` run in this folder, `make student` and `make grade` all use them."""

import os
from pathlib import Path

c = get_config()  # noqa: F821 - nbgrader defines it

c.CourseDirectory.course_id = "mnist-cnn-notebooks"
# Marks given by hand are kept in it, so it is not in build/, which `make clean` empties.
c.CourseDirectory.root = os.environ.get("MNIST_COURSE") or str(Path(__file__).resolve().parent / "course")
c.ClearSolutions.code_stub = {"python": "raise NotImplementedError()"}
c.OverwriteCells.add_missing_cells = True
c.Execute.timeout = 120
# A late submission loses this share of its points for each day or part of a day. Set the deadline in the Formgrader, or
# with `nbgrader db assignment add 01_data --duedate "2026-12-01 12:00 UTC"`.
c.AssignLatePenalties.plugin_class = "mnist_helpers.classroom.late.ShareADay"
c.ShareADay.share = 0.0  # 0.1 would be ten per cent
c.ShareADay.grace = 15  # minutes
