"""The way of an event: from the hub or the retry queue to its end."""
