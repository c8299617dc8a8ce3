"""Pretend a GPU in every Python process on whose path this folder comes first."""

import pretended

pretended.install()
