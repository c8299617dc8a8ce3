"""What is done with whole pages: run, renewed, copied for learners, handed out without solutions."""
