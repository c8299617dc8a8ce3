"""The small package behind the MNIST CNN notebooks.

What a lesson calls lies here, flat; the folders hold the rest. `CONTRIBUTING.md` shows the rule in a few lines.
Nothing is imported here, so `import mnist_helpers` costs nothing; `read_picture` and `read_numbers` come when they are
asked for.
"""

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name in ("read_picture", "read_numbers"):
        from mnist_helpers.reading import reader

        return getattr(reader, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
