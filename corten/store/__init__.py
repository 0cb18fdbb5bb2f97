"""Durable state: records in SQLite, blobs by digest, snapshots."""
