"""Requests that nobody should send, in large numbers, against a private daemon.

``python -m tests.fuzz`` runs a session; the environment says how: ``CORTEN_FUZZ_REQUESTS`` (how many),
``CORTEN_FUZZ_SEED`` (the same seed sends the same bytes, but for ids), ``CORTEN_FUZZ_CASE`` (only the case of that name
out of a report, as often as ``CORTEN_FUZZ_REQUESTS`` says). A session lives in namespaces of its own, with the host's
files read-only and without a network, so that whatever a request makes the daemon do stays inside.
"""
