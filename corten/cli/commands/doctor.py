"""``corten doctor``: what this host lacks for running containers, and how to get it. Needs no daemon."""

from __future__ import annotations

from corten.cli.command import Command
from corten.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corten.cli.app import App
    from corten.cli.doctor.finding import Finding
    from corten.cli.flags import Options

FLAGS = (Flag("json", help="Print the findings as JSON"), Flag("quiet", help="Only what is not well", short="q"))
MARKS = {"ok": "ok    ", "advice": "advice", "problem": "LACKS "}
ABOUT = """Looks at kernel, control groups, programs, versions, firewall and access. The exit code is 1 when something
that containers need is missing, 0 otherwise; advice does not count."""


def examine(address: str) -> list[Finding]:
    """All findings for this host; ``address`` is the daemon's, empty for the default."""
    from corten.cli.doctor import access, cgroups, kernel, programs

    return [*kernel.findings(), *cgroups.findings(), *programs.findings(), *access.findings(address)]


def lines(found: list[Finding]) -> list[str]:
    """One line per finding, its remedy below it."""
    width = max((len(finding.name) for finding in found), default=0)
    shown = []
    for finding in found:
        shown.append(f"{MARKS[finding.state]}  {finding.name.ljust(width)}  {finding.text}")
        if finding.remedy:
            shown.append(" " * (len(MARKS["ok"]) + width + 4) + finding.remedy)
    return shown


def _run(app: App, options: Options) -> int:
    found = examine(app.environ.get("DOCKER_HOST", ""))
    problems = sum(finding.state == "problem" for finding in found)
    if options.on("quiet"):
        found = [finding for finding in found if finding.state != "ok"]
    if options.on("json"):
        import json
        from dataclasses import asdict

        app.print(json.dumps([asdict(finding) for finding in found], indent=2))
        return 1 if problems else 0
    for line in lines(found):
        app.print(line)
    if not options.on("quiet"):
        app.print("")
        app.print(f"{problems} things are missing." if problems else "This host can run containers.")
    return 1 if problems else 0


COMMAND = Command(_run, "[OPTIONS]", FLAGS, maximum=0, about=ABOUT)
