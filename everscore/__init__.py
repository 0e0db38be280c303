"""The scoring pipeline: from the events of a hub to scored documents, with every event accounted for."""
