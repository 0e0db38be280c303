"""What people wrote: settings, connections, and JSON files checked as a whole."""
