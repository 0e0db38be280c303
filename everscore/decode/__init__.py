"""From the bytes of a body to events."""
