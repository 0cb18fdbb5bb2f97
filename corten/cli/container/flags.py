"""The flags that run and create share."""

from __future__ import annotations

from corten.cli.flags import Flag

RESOURCES = (
    Flag("blkio-weight", "uint16", "Weight of block IO, 10 to 1000, or 0 for none"),
    Flag("cpu-period", "int", "Length of a CPU period in microseconds (CFS)"),
    Flag("cpu-quota", "int", "Microseconds of CPU in every period (CFS)"),
    Flag("cpu-rt-period", "int", "Length of a real-time period in microseconds"),
    Flag("cpu-rt-runtime", "int", "Microseconds of real-time CPU in every period"),
    Flag("cpu-shares", "int", "Weight of CPU against other containers", short="c"),
    Flag("cpus", "decimal", "Number of CPUs, as in 1.5"),
    Flag("cpuset-cpus", "string", "CPUs to run on (0-3 or 0,1)"),
    Flag("cpuset-mems", "string", "Memory nodes to use (0-3 or 0,1)"),
    Flag("kernel-memory", "bytes", hidden=True),
    Flag("memory", "bytes", "Limit of memory", short="m"),
    Flag("memory-reservation", "bytes", "Soft limit of memory"),
    Flag("memory-swap", "bytes", "Limit of memory and swap together; -1 for no limit of swap"),
    Flag("pids-limit", "int", "Limit of processes; -1 for none"),
)

_LIMITS = (
    Flag("blkio-weight-device", "weight-device", "Weight of block IO of one device (DEVICE:WEIGHT)"),
    Flag("cgroup-parent", "string", "Parent cgroup of the container's own"),
    Flag("device-read-bps", "rate-device", "Limit of reading from a device in bytes a second (DEVICE:RATE)"),
    Flag("device-read-iops", "iops-device", "Limit of reads from a device a second (DEVICE:RATE)"),
    Flag("device-write-bps", "rate-device", "Limit of writing to a device in bytes a second (DEVICE:RATE)"),
    Flag("device-write-iops", "iops-device", "Limit of writes to a device a second (DEVICE:RATE)"),
    Flag("memory-swappiness", "int", "Readiness to swap, 0 to 100", default=-1),
    Flag("oom-kill-disable", help="Do not kill processes when memory runs out"),
    Flag("oom-score-adj", "int", "Preference of the OOM killer, -1000 to 1000"),
    Flag("shm-size", "bytes", "Size of /dev/shm"),
    Flag("ulimit", "ulimit", "Limit of the processes (NAME=SOFT[:HARD])"),
)

_PROCESS = (
    Flag("attach", "attach", "Attach STDIN, STDOUT or STDERR", short="a"),
    Flag("entrypoint", "string", "Use this in place of the image's entrypoint"),
    Flag("env", "env", "Set an environment variable (NAME=VALUE, or NAME to pass it on)", short="e"),
    Flag("env-file", "list", "Read environment variables from a file"),
    Flag("group-add", "list", "Further groups of the process"),
    Flag("init", help="Run a small init that passes signals on and reaps processes"),
    Flag("interactive", help="Keep standard input open", short="i"),
    Flag("stop-signal", "string", "Signal that stops the container"),
    Flag("stop-timeout", "int", "Seconds before a stopping container is killed"),
    Flag("tty", help="Give the process a terminal", short="t"),
    Flag("user", "string", "User of the process (NAME|UID[:GROUP|GID])", short="u"),
    Flag("workdir", "string", "Working directory of the process", short="w"),
)

_SECURITY = (
    Flag("cap-add", "list", "Add a capability"),
    Flag("cap-drop", "list", "Drop a capability"),
    Flag("cgroupns", "string", "Cgroup namespace: host or private"),
    Flag("device", "list", "Add a device of the host (HOST[:CONTAINER[:rwm]]), or a CDI device"),
    Flag("device-cgroup-rule", "device-rule", "Add a rule to the list of allowed devices"),
    Flag("gpus", "gpu-request", "Add GPUs; 'all' for all of them"),
    Flag("ipc", "string", "IPC namespace: private, shareable, host, none or container:NAME"),
    Flag("pid", "string", "PID namespace: host or container:NAME"),
    Flag("privileged", help="Give the container the host's full rights"),
    Flag("security-opt", "list", "Security option: no-new-privileges, seccomp=FILE, apparmor=PROFILE, label=..."),
    Flag("sysctl", "sysctl", "Set a kernel parameter (NAME=VALUE)"),
    Flag("userns", "string", "User namespace: host"),
    Flag("uts", "string", "UTS namespace: host"),
    Flag("use-api-socket", help="Mount the daemon's socket into the container"),
)

_NETWORK = (
    Flag("add-host", "add-host", "Add a line to the hosts file (NAME:ADDRESS)"),
    Flag("dns", "ip-list", "Use this name server"),
    Flag("dns-option", "list", "Add a resolver option", aliases=("dns-opt",)),
    Flag("dns-search", "list", "Add a search domain"),
    Flag("domainname", "string", "NIS domain name"),
    Flag("expose", "list", "Declare a port, or a range of ports"),
    Flag("hostname", "string", "Host name", short="h"),
    Flag("ip", "string", "IPv4 address on the network"),
    Flag("ip6", "string", "IPv6 address on the network"),
    Flag("link", "list", "Link to another container (NAME[:ALIAS])"),
    Flag("link-local-ip", "list", "Link-local address"),
    Flag("mac-address", "string", "MAC address, as in 92:d0:c6:0a:29:33"),
    Flag("network", "network", "Connect to a network", aliases=("net",)),
    Flag("network-alias", "list", "Name of the container on its network", aliases=("net-alias",)),
    Flag("publish", "list", "Publish a port ([[ADDRESS:]HOST:]CONTAINER[/PROTOCOL])", short="p"),
    Flag("publish-all", help="Publish all declared ports on free ports of the host", short="P"),
)

_HEALTH = (
    Flag("health-cmd", "string", "Command that checks the container's health"),
    Flag("health-interval", "duration", "Time between two checks"),
    Flag("health-retries", "int", "Failures in a row that make the container unhealthy"),
    Flag("health-start-interval", "duration", "Time between two checks in the start period"),
    Flag("health-start-period", "duration", "Time the container may take to start"),
    Flag("health-timeout", "duration", "Time that one check may take"),
    Flag("no-healthcheck", help="Do without the image's health check"),
)

_STORAGE = (
    Flag("mount", "mount", "Mount a volume, a directory, an image or a tmpfs (type=...,src=...,dst=...)"),
    Flag("read-only", help="Make the root file system read-only"),
    Flag("storage-opt", "list", "Option of the storage driver"),
    Flag("tmpfs", "list", "Mount a tmpfs (PATH[:OPTIONS])"),
    Flag("volume", "list", "Mount a volume or directory ([SOURCE:]PATH[:OPTIONS])", short="v"),
    Flag("volume-driver", "string", "Driver of the container's volumes"),
    Flag("volumes-from", "list", "Mount the volumes of another container (NAME[:ro])"),
)

_OTHER = (
    Flag("annotation", "map", "Annotation for the OCI runtime (NAME=VALUE)"),
    Flag("cidfile", "string", "Write the container's id to this file"),
    Flag("disable-content-trust", hidden=True, default=True),
    Flag("isolation", "string", hidden=True),
    Flag("label", "label", "Set a label (NAME=VALUE)", short="l"),
    Flag("label-file", "list", "Read labels from a file"),
    Flag("log-driver", "string", "Where the container's output is logged"),
    Flag("log-opt", "list", "Option of the log driver (NAME=VALUE)"),
    Flag("name", "string", "Name of the container"),
    Flag("platform", "string", "Platform of the image, as in linux/arm64"),
    Flag("pull", "string", "When to pull the image: always, missing or never", default="missing"),
    Flag("quiet", help="Say nothing while pulling", short="q"),
    Flag("restart", "string", "When to restart: no, always, unless-stopped or on-failure[:N]", default="no"),
    Flag("rm", help="Remove the container and its anonymous volumes when it exits"),
    Flag("runtime", "string", "OCI runtime of this container"),
)

_WINDOWS = (
    Flag("cpu-count", "int", hidden=True),
    Flag("cpu-percent", "int", hidden=True),
    Flag("io-maxbandwidth", "bytes", hidden=True),
    Flag("io-maxiops", "uint", hidden=True),
)

FLAGS = (*RESOURCES, *_LIMITS, *_PROCESS, *_SECURITY, *_NETWORK, *_HEALTH, *_STORAGE, *_OTHER, *_WINDOWS)
