"""The small package behind the MNIST CNN notebooks.

Each module has one job and imports only from floors below its own; `CONTRIBUTING.md` shows the floors.
Nothing is imported here, so `import mnist_helpers` costs nothing.
"""

__version__ = "0.1.0"
