"""Self-checks of the exercises, one module a chapter: each takes the learner's function and says how it does."""
