"""Time: now, how long until the next try, how much is left."""
