"""Inputs that nobody wrote by hand: through the whole pipeline in memory, each held to the promises.

`python -m tests.fuzz --seconds 60` lets atheris, which watches the branches that an input reaches, look for ones
that break a promise. `inputs.py` makes many from a seed, without it.
"""
