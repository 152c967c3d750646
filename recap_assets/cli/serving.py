"""`recap ui`: Dagster's web server and daemon, on loopback."""

import subprocess
import sys

from recap_assets.defs.session import Session


def serve(session: Session, host: str, port: int) -> int:
    """Run the web server and the daemon until they are stopped."""
    session.open_instance().dispose()
    command = [
        sys.executable, "-m", "dagster", "dev", "--module-name", "recap_assets.definitions",
        "--host", host, "--port", str(port),
    ]  # fmt: skip
    try:
        return subprocess.run(command, check=False).returncode  # noqa: S603 - our own words
    except KeyboardInterrupt:
        return 0
