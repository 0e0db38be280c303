"""The child process: Microsoft's worker library, driven over one socket.

Nothing here imports anything but the standard library and ``azure_functions_runtime``, so that it runs in
the environment of any app. ``bootstrap.py`` loads this folder under a private name, so that the names of
these modules never meet those of the app.
"""
