"""A TCP proxy that can be told to fail: stands before a stand-in while faults are tested."""
