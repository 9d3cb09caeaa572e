"""Ed25519 keys as files: private ones to sign with, public ones to check with.

PEM (PKCS #8, SubjectPublicKeyInfo) and OpenSSH's own formats are read. New keys are PEM,
which every tool reads that checks signatures.
"""

from __future__ import annotations

import base64
import hashlib
import os
from typing import TYPE_CHECKING, Any

from workbench.errors import InputError
from workbench.provenance import storage_error

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

__all__ = ["PassphraseError", "fingerprint", "new_key", "private_key", "public_file", "public_key"]

_MAX_BYTES = 1 << 20
_NEW = "A new pair is made by `workbench sign --new-key FILE`."


class PassphraseError(InputError):
    """A private key is encrypted, and the passphrase is missing or wrong."""


def private_key(path: Path, passphrase: bytes | None = None) -> Ed25519PrivateKey:
    """The private key in a file.

    Raises:
        PassphraseError: where it is encrypted, and there is no passphrase or another one.
        InputError: for a file that is no Ed25519 private key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    content = _content(path)
    if _public(content) is not None:
        raise InputError(f"{path}: a public key; expected the private one, which signs.")
    openssh = b"BEGIN OPENSSH PRIVATE KEY" in content
    load = serialization.load_ssh_private_key if openssh else serialization.load_pem_private_key
    try:
        key = load(content, passphrase)
    except TypeError:
        # The library's word for a passphrase that is missing, or given although there is none.
        if passphrase is None:
            raise PassphraseError(f"{path}: the key is encrypted; give its passphrase.") from None
        return private_key(path)
    except UnsupportedAlgorithm as error:
        raise InputError(
            f"{path}: cannot be read: {error}. Give an Ed25519 key as PEM or OpenSSH. {_NEW}"
        ) from error
    except ValueError as error:
        if passphrase is not None and (openssh or b"ENCRYPTED" in content):
            raise PassphraseError(f"{path}: the passphrase does not open this key.") from error
        raise InputError(
            f"{path}: cannot be read as a private key; expected Ed25519 as PEM or OpenSSH. {_NEW}"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _other_type(path, key)
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """The public key in a file.

    Raises:
        InputError: for a file that is no Ed25519 public key.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    content = _content(path)
    if b"PRIVATE KEY-----" in content:
        raise InputError(
            f"{path}: a private key; expected the public one. Keep the private one to yourself."
        )
    key = _public(content)
    if key is None:
        raise InputError(
            f"{path}: cannot be read as a public key; expected Ed25519 as PEM or OpenSSH."
        )
    if not isinstance(key, Ed25519PublicKey):
        raise _other_type(path, key)
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    """A public key's fingerprint, as `ssh-keygen -l` shows it: `SHA256:` and 43 characters."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    line = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    digest = hashlib.sha256(base64.b64decode(line.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def new_key(path: Path, passphrase: bytes | None = None) -> Ed25519PrivateKey:
    """A new private key, written to `path` for its owner's eyes only, its public key beside it.

    Raises:
        InputError: where one of the two files is there already.
        StorageError: where they cannot be written.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase)
        if passphrase
        else serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for place in (path, public_file(path)):
        if os.path.lexists(place):
            raise InputError(f"{place} is there already: a key is never written over.")
    _write_once(path, private, 0o600)
    _write_once(public_file(path), public, 0o644)
    return key


def public_file(path: Path) -> Path:
    """Where the public key of a new private key lies."""
    return path.with_name(path.name + ".pub")


def _public(content: bytes) -> Any:
    """The public key of any type in a file's content; None where there is none."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    pem = content.lstrip().startswith(b"-----")
    load = serialization.load_pem_public_key if pem else serialization.load_ssh_public_key
    try:
        return load(content.strip())
    except (ValueError, UnsupportedAlgorithm):
        return None


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}). {_NEW}") from error
    if len(content) > _MAX_BYTES:
        raise InputError(f"{path}: larger than a megabyte; expected a key.")
    return content


def _other_type(path: Path, key: Any) -> InputError:
    kind = type(key).__name__.removesuffix("PrivateKey").removesuffix("PublicKey").strip("_")
    return InputError(f"{path}: a key of the type {kind}; expected Ed25519. {_NEW}")


def _write_once(path: Path, content: bytes, mode: int) -> None:
    """Write a file that is not there yet: nobody else can read it before its mode is set."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise storage_error(path, error) from error
