"""What was removed where, as a file for whoever asked: it names samples by hashes only."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from recap_assets.assembly.forgetting.finding import Found
from recap_assets.assembly.forgetting.removing import Gone
from recap_assets.assembly.forgetting.run import ForgetError, Forgotten, Planned
from recap_assets.assembly.forgetting.seen import Saw
from recap_assets.storage.files import write_atomically

FORMAT = 1


def certificate(planned: Planned, done: Forgotten | None) -> dict[str, object]:
    """The certificate, as `cli.forms.Forgetting` describes it.

    Args:
        planned: What was found.
        done: What was done; None where nothing was.
    """
    identity = planned.journal.identity
    return {
        "recap_certificate": FORMAT,
        "forgotten_at": datetime.now(UTC).isoformat(timespec="seconds") if done else None,
        "resumed": planned.resumes,
        "samples": sorted(hashlib.sha256(uid).hexdigest() for uid in identity.uids),
        "images": len(identity.hashes),
        "shared_texts": len(identity.shared),
        "experiments": [
            _of_experiment(
                name, found, done.gone[name] if done else None, planned.trained[name],
                planned.exported[name], planned.pools[name],
            )
            for name, found in sorted(planned.journal.places.items())
            if name in planned.trained and found.is_any
        ],
        "replies": done.n_replies if done else planned.n_replies,
        "files": list(done.files) if done else [],
        "searched_files": done.n_searched if done else 0,
        "remaining": list(done.remaining) if done else [],
    }  # fmt: skip


def _of_experiment(
    name: str,
    found: Found,
    gone: Gone | None,
    trained: list[Saw],
    exported: list[Saw],
    pool: list[str],
) -> dict[str, object]:
    return {
        "experiment": name,
        "rows": dict(found.rows),
        "history": list(found.purged),
        "mixes": list(found.mixes),
        "files": gone.files if gone else sorted(found.files),
        "old_files": gone.n_files if gone else 0,
        "log_files": gone.n_log_files if gone else 0,
        "events": gone.n_events if gone else 0,
        "partitions_changed": gone.n_relabelled if gone else 0,
        "receipts": gone.receipts if gone else [],
        "trained": [vars(one) for one in trained],
        "exports_elsewhere": [vars(one) for one in exported],
        "pool_elsewhere": pool,
    }


def place_of(named: Path | None, data: Path) -> Path:
    """Where the certificate goes: by default beside where the command is called.

    Raises:
        ForgetError: There is such a file, or its folder is not there.
    """
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    path = (named or Path.cwd() / f"forgotten-{moment}.json").absolute()
    if named is None and path.is_relative_to(data):
        msg = f"the certificate would be in the data folder {data}: name a file with --certificate"
        raise ForgetError(msg)
    if path.exists():
        msg = f"{path} exists already; name another file with --certificate"
        raise ForgetError(msg)
    if not path.parent.is_dir():
        msg = f"--certificate: there is no folder {path.parent}"
        raise ForgetError(msg)
    return path


def write(path: Path, content: Mapping[str, object]) -> None:
    """Write it."""
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())
