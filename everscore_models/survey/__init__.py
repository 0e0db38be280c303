"""Which estimators, losses and options become models that score as their library does: tried, not claimed."""
