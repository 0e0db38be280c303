"""A fault harness: events go through the whole local stack while faults run, then each is accounted for by id.

``python -m tests.chaos`` runs it; docs/chaos.md says what each group does.
"""
