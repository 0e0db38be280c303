"""Models out of files, a module a library."""
