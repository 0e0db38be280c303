"""What an event is: where it came from, its identity, and what may be stored of it."""
