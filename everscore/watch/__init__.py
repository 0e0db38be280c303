"""What the pipeline says of itself: metrics, status, health, backlog."""
