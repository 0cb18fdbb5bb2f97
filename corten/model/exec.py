"""What an exec is asked to be and what is known of it."""

from corten.model.base import Value


class ExecOptions(Value, frozen=True):
    """Body of POST /containers/{id}/exec. ``console_size`` is [height, width]."""

    user: str = ""
    privileged: bool = False
    tty: bool = False
    console_size: list[int] | None = None
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    detach_keys: str = ""
    env: list[str] | None = None
    working_dir: str = ""
    cmd: list[str] | None = None


class ExecState(Value, frozen=True):
    """``exit_code`` is None until the process has ended; ``pid`` is the host's, 0 before the start."""

    id: str
    container_id: str
    options: ExecOptions
    running: bool = False
    exit_code: int | None = None
    pid: int = 0
    started: bool = False
    can_remove: bool = False
