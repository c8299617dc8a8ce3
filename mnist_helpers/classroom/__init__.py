"""The instructor's side of the exercises: editions to hand out, and the marking of a class, on top of nbgrader."""
