"""What `everscore run` shows: real flights through the whole chain, measured and accounted for by id."""
