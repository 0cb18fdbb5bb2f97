"""OCI runtime spec, bundle, conmon, crun/runc, exec, logs, stats."""
