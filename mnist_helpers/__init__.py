"""The small package behind the MNIST CNN notebooks.

What a lesson calls lies here, flat; the folders hold the rest. `CONTRIBUTING.md` shows the rule in a few lines.
Nothing is imported here, so `import mnist_helpers` costs nothing; `read_picture` comes when it is asked for.
"""

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name == "read_picture":
        from mnist_helpers.reading.reader import read_picture

        return read_picture
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
