"""The groups of faults, by the numbers of the list that they come from."""
