"""Who vouches for a run: its manifest, signed with an Ed25519 key in a DSSE envelope.

`manifest.dsse.json` is the JSON envelope of DSSE 1.0 (repository secure-systems-lab/dsse,
`protocol.md` and `envelope.md`) around the exact bytes of `manifest.json`. An envelope names its
key by a fingerprint, which proves nothing: anybody can write one. What does is a public key that
the reader has from the signer by another way.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from workbench.audit.proof.keys import fingerprint
from workbench.audit.proof.manifest import ManifestError, read_manifest, verify_run
from workbench.audit.proof.statement import MAX_BYTES
from workbench.audit.records.folder import MANIFEST, SIGNATURE
from workbench.errors import InputError
from workbench.provenance import Record, dump_json, write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

__all__ = [
    "PAYLOAD_TYPE",
    "Signature",
    "pre_authentication_encoding",
    "require_unaltered",
    "sign",
    "verify_signature",
]

PAYLOAD_TYPE = "application/vnd.in-toto+json"

_MOST = 100
"""Signatures that are tried; each takes its time."""

_NAMED = 3
"""Differences that a refusal to sign names."""


class Signature(Record):
    """What can be said of a run's signature.

    Attributes:
        state: `none`; `not checked`, where no key was given; `valid` by the key that was given;
            `another key`, where that key did not make it; `invalid`.
        reason: in a sentence.
        keys: fingerprints that the envelope names. Anybody can write them.
        key: fingerprint of the key that was given.
    """

    state: Literal["none", "not checked", "valid", "another key", "invalid"]
    reason: str
    keys: tuple[str, ...] = ()
    key: str | None = None


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """What is signed, in place of the payload alone: DSSE's PAE.

    >>> pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    kind = payload_type.encode("utf-8", "surrogatepass")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(run: Path, key: Ed25519PrivateKey) -> Path:
    """Sign a run's manifest; the signature's path. Others' signatures of the same bytes are kept.

    Raises:
        InputError: for a run that is not as its manifest says: nobody should vouch for it.
        StorageError: where the signature cannot be written.
    """
    require_unaltered(run)
    payload = read_manifest(run)
    name = fingerprint(key.public_key())
    others = [entry for entry in _signatures_of(run, payload) if entry.keyid != name]
    made = _Entry(key.sign(pre_authentication_encoding(PAYLOAD_TYPE, payload)), name)
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [
            {"keyid": entry.keyid, "sig": base64.b64encode(entry.signature).decode()}
            for entry in (*others, made)
        ],
    }
    write_atomically(run / SIGNATURE, dump_json(envelope).encode())
    return run / SIGNATURE


def require_unaltered(run: Path) -> None:
    """Refuse a run that nobody should vouch for.

    Raises:
        InputError: where it is not as its manifest says.
    """
    differences = verify_run(run)
    if differences:
        named = ", ".join(f"{found.path} ({found.what})" for found in differences[:_NAMED])
        more = len(differences) - _NAMED
        raise InputError(
            f"{run}: not signed, because it is not as its manifest says: {named}"
            f"{f' and {more} more' if more > 0 else ''}. `workbench verify` names every file."
        )


def verify_signature(run: Path, key: Ed25519PublicKey | None = None) -> Signature:
    """Whether a run's signature is over its manifest, and made by the key that is given."""
    given = fingerprint(key) if key is not None else None
    try:
        envelope = _read(run)
        manifest = read_manifest(run)
    except FileNotFoundError:
        return Signature(state="none", reason="The run is not signed.", key=given)
    except ManifestError:
        reason = f"There is no {MANIFEST} that it could be over."
        return Signature(state="invalid", reason=reason, key=given)
    except _NotAnEnvelopeError as problem:
        return Signature(state="invalid", reason=f"{SIGNATURE} {problem}.", key=given)
    names = tuple(dict.fromkeys(entry.keyid for entry in envelope.entries))
    if envelope.payload != manifest:
        reason = f"It was made over another manifest than this {MANIFEST}."
        return Signature(state="invalid", reason=reason, keys=names, key=given)
    if key is None:
        reason = (
            f"The signature names {_listed(names)}. Whether it is theirs, only a public key can "
            "tell that you have from the signer by another way than this run: give it with --key."
        )
        return Signature(state="not checked", reason=reason, keys=names)
    return _checked(envelope, key, names)


@dataclass(frozen=True)
class _Entry:
    signature: bytes
    keyid: str


@dataclass(frozen=True)
class _Envelope:
    payload: bytes
    payload_type: str
    entries: tuple[_Entry, ...]


class _NotAnEnvelopeError(Exception):
    """A file is no envelope around a statement; says why."""


def _checked(envelope: _Envelope, key: Ed25519PublicKey, names: tuple[str, ...]) -> Signature:
    """Whether one of the signatures is the key's; the names are only hints, as DSSE asks."""
    from cryptography.exceptions import InvalidSignature

    given = fingerprint(key)
    signed = pre_authentication_encoding(envelope.payload_type, envelope.payload)
    for entry in envelope.entries:
        try:
            key.verify(entry.signature, signed)
        except InvalidSignature:
            continue
        reason = f"The manifest is signed by {given}, the key that was given."
        return Signature(state="valid", reason=reason, keys=names, key=given)
    if given in names:
        reason = f"It names {given}, the key that was given, but that key did not make it."
        return Signature(state="invalid", reason=reason, keys=names, key=given)
    reason = f"It was made by another key: it names {_listed(names)}; given was {given}."
    return Signature(state="another key", reason=reason, keys=names, key=given)


def _listed(names: tuple[str, ...]) -> str:
    return "the key " + ", ".join(name or "(no name)" for name in names)


def _signatures_of(run: Path, payload: bytes) -> tuple[_Entry, ...]:
    """Signatures that are there already over these very bytes."""
    try:
        envelope = _read(run)
    except (FileNotFoundError, _NotAnEnvelopeError):
        return ()
    return envelope.entries if envelope.payload == payload else ()


def _read(run: Path) -> _Envelope:
    """The envelope beside a manifest.

    Raises:
        FileNotFoundError: where there is none.
        _NotAnEnvelopeError: where it is not one, or cannot be read.
    """
    path = run / SIGNATURE
    if os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
        raise _NotAnEnvelopeError("is not a plain file, so it was not read")
    try:
        if path.stat().st_size > 2 * MAX_BYTES:
            raise _NotAnEnvelopeError("is too large, so it was not read")
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _NotAnEnvelopeError(f"cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError):
        raise _NotAnEnvelopeError("is not valid JSON") from None
    try:
        kind, entries = content["payloadType"], content["signatures"]
        payload = _decoded(content["payload"])
        signatures = tuple(_entry(entry) for entry in entries)
    except (TypeError, KeyError, IndexError, AttributeError, ValueError):
        raise _NotAnEnvelopeError("is not a DSSE envelope") from None
    if kind != PAYLOAD_TYPE:
        raise _NotAnEnvelopeError("holds something else than an in-toto statement")
    if len(signatures) > _MOST:
        raise _NotAnEnvelopeError(f"holds more than {_MOST} signatures")
    if not signatures:
        raise _NotAnEnvelopeError("holds no signature")
    return _Envelope(payload, kind, signatures)


def _entry(content: dict[str, Any]) -> _Entry:
    keyid = content.get("keyid", "")
    if not isinstance(keyid, str):
        raise TypeError
    return _Entry(_decoded(content["sig"]), keyid)


def _decoded(text: str) -> bytes:
    """Base64 of either alphabet, as DSSE asks, and nothing that is not exactly that.

    Raises:
        ValueError: for anything else.
    """
    standard = text.replace("-", "+").replace("_", "/")
    decoded = base64.b64decode(standard, validate=True)
    if base64.b64encode(decoded).decode() != standard:
        raise binascii.Error
    return decoded
