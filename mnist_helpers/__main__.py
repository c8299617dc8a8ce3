"""Make `python -m mnist_helpers` the command line."""

from mnist_helpers.cli import main

main()
