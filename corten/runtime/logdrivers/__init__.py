"""Log drivers.

Whatever the driver, conmon writes a container's log to a file. For ``json-file`` and ``local`` that file is the log;
for remote drivers it is the local cache that lines are shipped from and that ``logs`` reads. So shipping never holds
up a container, in either ``mode``: the cache is the buffer, and what it is too small for is lost at its old end only.
"""
