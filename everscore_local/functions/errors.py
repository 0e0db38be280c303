"""What the host raises.

HostError
├── ConfigurationError      a user's mistake: one sentence, exit code 2
└── WorkerError
    ├── WorkerStartError    the app could not be loaded
    ├── WorkerDiedError     the worker process ended while it was needed
    └── InvocationTimeoutError  functionTimeout passed
"""


class HostError(Exception):
    """Base of everything that this host raises on purpose."""


class ConfigurationError(HostError):
    """The settings, host.json or a binding are wrong; the text is a sentence for the user."""


class WorkerError(HostError):
    """The worker process did not do what was asked of it."""


class WorkerStartError(WorkerError):
    """The worker could not load the app; the text says why."""


class WorkerDiedError(WorkerError):
    """The worker process ended; whatever it was running has failed."""


class InvocationTimeoutError(WorkerError):
    """An invocation ran longer than functionTimeout; the worker that ran it is replaced."""
