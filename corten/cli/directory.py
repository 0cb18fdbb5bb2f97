"""The table of commands: where each lives, and its line of help. A command's module is loaded when it runs."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corten.cli.command import Command

GROUPS = {
    "container": "Manage containers",
    "image": "Manage images",
    "network": "Manage networks",
    "system": "Manage the daemon as a whole",
    "volume": "Manage volumes",
}

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("run:RUN", "Create a container from an image and start it"),
    "exec": ("exec", "Run a command in a running container"),
    "ps": ("ps", "List containers"),
    "images": ("images", "List images"),
    "version": ("version", "Show the versions of client and daemon"),
    "info": ("info", "Show facts about the daemon and its host"),
    "attach": ("attach", "Connect the terminal to a running container"),
    "commit": ("commit", "Make an image of a container's changes"),
    "cp": ("cp", "Copy files between a container and this machine"),
    "create": ("run:CREATE", "Create a container without starting it"),
    "diff": ("diff", "Show what a container changed in its file system"),
    "doctor": ("doctor", "Check what this host offers and what it lacks"),
    "events": ("events", "Follow what happens in the daemon"),
    "export": ("export", "Write a container's file system as a tar archive"),
    "fsck": ("fsck", "Check the store, and repair what is damaged"),
    "history": ("history", "Show the layers of an image and how they came to be"),
    "import": ("import_", "Make an image of a tar archive of files"),
    "inspect": ("inspect:INSPECT", "Show all details of containers, images, volumes or networks"),
    "kill": ("lifecycle:KILL", "Send a signal to running containers, SIGKILL by default"),
    "load": ("load", "Load images from a tar archive"),
    "login": ("login:LOGIN", "Check credentials at a registry and keep them"),
    "logout": ("login:LOGOUT", "Forget the credentials of a registry"),
    "logs": ("logs", "Show what a container wrote"),
    "pause": ("lifecycle:PAUSE", "Freeze all processes of containers"),
    "port": ("port", "Show the published ports of a container"),
    "pull": ("pull", "Fetch an image from its registry"),
    "push": ("push", "Send an image to its registry"),
    "rename": ("lifecycle:RENAME", "Give a container another name"),
    "restart": ("lifecycle:RESTART", "Stop containers and start them again"),
    "rm": ("lifecycle:RM", "Remove containers"),
    "rmi": ("rmi", "Remove images"),
    "save": ("save", "Write images as a tar archive"),
    "search": ("search", "Search a registry for images"),
    "start": ("start", "Start stopped containers"),
    "stats": ("stats", "Show live use of CPU, memory, network and disk"),
    "stop": ("lifecycle:STOP", "Stop running containers"),
    "tag": ("tag", "Give an image another name"),
    "top": ("top", "Show the processes of a container"),
    "unpause": ("lifecycle:UNPAUSE", "Let frozen containers go on"),
    "update": ("update", "Change limits and restart policy of containers"),
    "wait": ("lifecycle:WAIT", "Wait until containers stop, then print their exit codes"),
    "container prune": ("prune:CONTAINERS", "Remove all stopped containers"),
    "container inspect": ("inspect:CONTAINER", "Show all details of containers"),
    "image inspect": ("inspect:IMAGE", "Show all details of images"),
    "image prune": ("prune:IMAGES", "Remove unused images"),
    "network inspect": ("inspect:NETWORK", "Show all details of networks"),
    "network ls": ("network_ls", "List networks"),
    "network create": ("network:CREATE", "Create a network"),
    "network rm": ("network:RM", "Remove networks"),
    "network connect": ("network:CONNECT", "Connect a container to a network"),
    "network disconnect": ("network:DISCONNECT", "Disconnect a container from a network"),
    "network prune": ("prune:NETWORKS", "Remove networks that no container uses"),
    "system gc": ("gc", "Remove what nothing needs, by age and room too"),
    "system df": ("df", "Show what takes space on disk"),
    "system prune": ("prune:SYSTEM", "Remove all that is unused"),
    "volume create": ("volume:CREATE", "Create a volume"),
    "volume inspect": ("inspect:VOLUME", "Show all details of volumes"),
    "volume ls": ("volume:LS", "List volumes"),
    "volume prune": ("prune:VOLUMES", "Remove volumes that no container uses"),
    "volume rm": ("volume:RM", "Remove volumes"),
}

COMMON = ("run", "exec", "ps", "images", "version", "info")
"""What the main help page shows first."""

ALIASES: dict[str, tuple[str, ...]] = {
    **{
        name: (f"container {name}",)
        for name in [
            "attach",
            "commit",
            "cp",
            "create",
            "diff",
            "exec",
            "export",
            "kill",
            "logs",
            "pause",
            "port",
            "rename",
            "restart",
            "run",
            "start",
            "stats",
            "stop",
            "top",
            "unpause",
            "update",
            "wait",
        ]
    },
    **{name: (f"image {name}",) for name in ["history", "import", "load", "push", "save", "tag"]},
    "ps": ("container ls", "container list", "container ps"),
    "rm": ("container rm", "container remove"),
    "images": ("image ls", "image list"),
    "rmi": ("image rm", "image remove"),
    "info": ("system info",),
    "events": ("system events",),
    "network ls": ("network list",),
    "network rm": ("network remove",),
    "volume ls": ("volume list",),
    "volume rm": ("volume remove",),
}
"""Other names of the same command; the first is the one that a group's help shows."""

COMMANDS.update({alias: COMMANDS[name] for name, aliases in ALIASES.items() for alias in aliases})


def load(path: str) -> Command:
    """The command of a path such as ``ps`` or ``volume ls``; imports its module."""
    module, _, attribute = COMMANDS[path][0].partition(":")
    name = f"corten.cli.commands.{module}"
    __import__(name)
    command: Command = getattr(sys.modules[name], attribute or "COMMAND")
    return command
