"""The one error hierarchy.

A class says what the caller can do about it; the text says what happened, to what and where. The mapping to HTTP
statuses lives in ``corten.api.errors`` alone. Classes follow containerd's error classes.
"""


class CortenError(Exception):
    """Base of every error that Corten raises on purpose. Raise a subclass."""


class InvalidArgument(CortenError):
    """The request itself is wrong; sending it again will not help."""


class NotFound(CortenError):
    """The named object does not exist."""


class Conflict(CortenError):
    """The object exists but its present state forbids the request."""


class AlreadyExists(Conflict):
    """Something of that name exists already."""


class Forbidden(CortenError):
    """Not allowed for this object, whatever its state."""


class Unauthenticated(CortenError):
    """Credentials are missing or wrong."""


class NotModified(CortenError):
    """The object is already in the wanted state."""


class NotSupported(CortenError):
    """Not built yet, or impossible on this host; the text says which."""


class Unavailable(CortenError):
    """A needed service does not answer now; trying again may help."""


class Exhausted(CortenError):
    """A bound was reached: addresses, ports, disk, sizes."""


class DataLoss(CortenError):
    """Stored data is damaged; the text names the object."""


class Cancelled(CortenError):
    """The caller went away before the work was done."""


class System(CortenError):
    """The host refused something that should have worked; the text carries errno and object."""


class StartFailed(CortenError):
    """A container could not be started.

    ``exit_code`` is what Docker records: 126 not executable, 127 not found, 128 anything else.
    """

    def __init__(self, message: str, exit_code: int = 128) -> None:
        super().__init__(message)
        self.exit_code = exit_code
