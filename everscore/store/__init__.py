"""The policy of writing documents, above a document store."""
