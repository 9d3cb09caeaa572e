"""A run's in-toto statement: its files as subjects, and a predicate that says what the run was.

The format is Statement v1 of the repository in-toto/attestation (`spec/v1/statement.md`).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from workbench.audit.definitions.definition import definition_digest
from workbench.audit.records.files import json_object
from workbench.audit.records.folder import AUDIT, FINDINGS, MANIFEST, PROVENANCE, STATUS
from workbench.errors import InputError
from workbench.provenance import dump_json, sha256

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["MAX_BYTES", "PREDICATE", "STATEMENT", "NotAStatementError", "statement", "subjects"]

STATEMENT = "https://in-toto.io/Statement/v1"

PREDICATE = "pkg:pypi/open-weights-workbench#audit-run/v1"
"""The predicate's type: a package URL. It names who defines it, and claims no server."""

MAX_BYTES = 64 << 20
"""What is larger is no manifest, and no record of a run."""


class NotAStatementError(ValueError):
    """A file is no statement about a run; says why."""


def statement(run: Path, digests: Mapping[str, str]) -> bytes:
    """The statement about a run whose files have these SHA-256: equal for equal folders."""
    content = {
        "_type": STATEMENT,
        "subject": [
            {"name": name, "digest": {"sha256": digests[name]}} for name in sorted(digests)
        ],
        "predicateType": PREDICATE,
        "predicate": _predicate(run),
    }
    return dump_json(content).encode()


def subjects(written: bytes) -> tuple[dict[str, str], list[str]]:
    """Path -> SHA-256 as a statement says them, and the paths that it says more than once.

    Raises:
        NotAStatementError: for anything else than a statement about a run.
        InputError: for a statement of a newer version.
    """
    try:
        content = json.loads(written, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise NotAStatementError("it is not valid JSON") from None
    if not isinstance(content, dict):
        raise NotAStatementError("it is not a JSON object")
    _refuse_other_kinds(content)
    stated: dict[str, str] = {}
    repeated: dict[str, None] = {}
    listed = content.get("subject")
    for subject in listed if isinstance(listed, list) else [None]:
        name, digest = _subject(subject)
        if name in stated:
            repeated[name] = None
        stated[name] = digest
    return stated, list(repeated)


def _predicate(run: Path) -> dict[str, Any]:
    """What the run was, as far as its own files say it; None where they do not."""
    audit, status = (json_object(run / name, MAX_BYTES) for name in (AUDIT, STATUS))
    model = _part(json_object(run / PROVENANCE, MAX_BYTES), "model")
    definition = _part(audit, "definition")
    return {
        "run": {
            "id": _text(audit, "run_id"),
            "createdOn": _time(audit, "created"),
            "finishedOn": _time(_last_attempt(status), "ended"),
            "state": _text(status, "state"),
        },
        "model": {
            "name": _text(audit, "model"),
            "revision": _text(model, "revision"),
            "weightsDigest": _text(model, "weights_digest"),
        },
        "definition": {
            "name": _text(definition, "name"),
            "version": _text(definition, "version"),
            "digest": _digest_set(_digest(definition)),
        },
        "findings": {"digest": _digest_set(_digest_of_file(run / FINDINGS))},
        "workbench": {"version": _text(audit, "workbench_version")},
    }


def _part(content: dict[str, Any], key: str) -> dict[str, Any]:
    part = content.get(key)
    return part if isinstance(part, dict) else {}


def _text(content: dict[str, Any], key: str) -> str | None:
    value = content.get(key)
    return value if isinstance(value, str) else None


def _time(content: dict[str, Any], key: str) -> str | None:
    """A point in time as in-toto writes it: RFC 3339, ending in Z."""
    try:
        time = datetime.fromisoformat(_text(content, key) or "")
        return time.astimezone(UTC).isoformat().replace("+00:00", "Z") if time.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _last_attempt(status: dict[str, Any]) -> dict[str, Any]:
    attempts = status.get("attempts")
    last = attempts[-1] if isinstance(attempts, list) and attempts else None
    return last if isinstance(last, dict) else {}


def _digest_set(digest: str | None) -> dict[str, str]:
    return {"sha256": digest} if digest else {}


def _digest(definition: dict[str, Any]) -> str | None:
    try:
        return definition_digest(definition) if definition else None
    except RecursionError:
        return None


def _digest_of_file(path: Path) -> str | None:
    try:
        return sha256(path) if path.is_file() and not path.is_symlink() else None
    except OSError:
        return None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are there once: readers differ in which of two they take."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _refuse_other_kinds(content: dict[str, Any]) -> None:
    kind, predicate = content.get("_type"), content.get("predicateType")
    if kind == STATEMENT and predicate == PREDICATE:
        return
    if _family(kind) == _family(STATEMENT) and _family(predicate) == _family(PREDICATE):
        raise InputError(
            f"{MANIFEST}: {predicate} in {kind}; this version reads {PREDICATE} in {STATEMENT}: "
            "the run was made by a newer version. Upgrade with "
            "`pip install -U open-weights-workbench`."
        )
    raise NotAStatementError("it is not an in-toto statement about a run")


def _family(kind: Any) -> str:
    return kind.rpartition("/v")[0] if isinstance(kind, str) else ""


def _subject(subject: Any) -> tuple[str, str]:
    try:
        name, digest = subject["name"], subject["digest"]["sha256"]
    except (TypeError, KeyError, IndexError):
        name = digest = None
    if not isinstance(name, str) or not isinstance(digest, str):
        raise NotAStatementError("a subject of it has no name or no SHA-256")
    return name, digest
