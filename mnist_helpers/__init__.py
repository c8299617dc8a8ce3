"""The small package behind the MNIST CNN notebooks.

What a lesson calls lies here, flat; the folders hold the rest. `CONTRIBUTING.md` shows the rule in a few lines.
Nothing is imported here, so `import mnist_helpers` costs nothing.
"""

__version__ = "0.1.0"
