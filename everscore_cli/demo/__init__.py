"""What `everscore run` shows: real flights through the whole pipeline, measured and accounted for by id."""
