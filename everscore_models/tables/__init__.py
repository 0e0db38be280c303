"""Tables of events and of their scores: CSV, JSON lines and Parquet, some rows at a time."""
