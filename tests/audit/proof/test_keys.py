from __future__ import annotations

import base64
import shutil
import stat
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from workbench.audit.proof.keys import (
    PassphraseError,
    fingerprint,
    new_key,
    private_key,
    public_file,
    public_key,
)
from workbench.errors import InputError, StorageError

if TYPE_CHECKING:
    from pathlib import Path

PEM = serialization.Encoding.PEM
PKCS8 = serialization.PrivateFormat.PKCS8
OPENSSH = serialization.PrivateFormat.OpenSSH
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
LINE = serialization.PublicFormat.OpenSSH

# The secret and public key of RFC 8032, section 7.1, test 1.
SECRET = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
KEY = ed25519.Ed25519PrivateKey.from_private_bytes(SECRET)


def raw(key: Any) -> bytes:
    content: bytes = key.public_bytes_raw()
    return content


def private_file(
    folder: Path, form: Any = PKCS8, key: Any = KEY, passphrase: bytes | None = None
) -> Path:
    path = folder / "key"
    locked = (
        serialization.BestAvailableEncryption(passphrase)
        if passphrase
        else serialization.NoEncryption()
    )
    path.write_bytes(key.private_bytes(PEM, form, locked))
    return path


def public_of(folder: Path, key: Any = KEY, *, line: bool = False) -> Path:
    path = folder / "key.pub"
    encoding = serialization.Encoding.OpenSSH if line else PEM
    path.write_bytes(key.public_key().public_bytes(encoding, LINE if line else SPKI))
    return path


@pytest.mark.parametrize("form", [PKCS8, OPENSSH])
def test_a_private_key_is_read_in_both_formats(tmp_path: Path, form: Any) -> None:
    assert raw(private_key(private_file(tmp_path, form)).public_key()) == PUBLIC


@pytest.mark.parametrize("line", [True, False])
def test_a_public_key_is_read_in_both_formats(tmp_path: Path, *, line: bool) -> None:
    path = public_of(tmp_path, line=line)
    assert raw(public_key(path)) == PUBLIC
    path.write_bytes(b"\n" + path.read_bytes().strip() + b" somebody@somewhere\n" * line + b"\n")
    assert raw(public_key(path)) == PUBLIC


def test_the_fingerprint_is_the_hash_of_the_key_as_openssh_writes_it() -> None:
    """The format by hand: each part with its length in four bytes (RFC 4253, RFC 8709)."""
    import hashlib

    blob = b"\0\0\0\x0bssh-ed25519" + b"\0\0\0\x20" + PUBLIC
    expected = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    assert fingerprint(KEY.public_key()) == f"SHA256:{expected}"


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="there is no ssh-keygen")
def test_openssh_shows_the_same_fingerprint_of_a_new_key(tmp_path: Path) -> None:
    made = new_key(tmp_path / "key")
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", public_of(tmp_path, made, line=True)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.split()[1] == fingerprint(made.public_key())


@pytest.mark.parametrize("passphrase", [None, b"open sesame"])
def test_a_new_key_is_for_its_owner_alone(tmp_path: Path, passphrase: bytes | None) -> None:
    path = tmp_path / "keys" / "signing"
    made = new_key(path, passphrase)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (b"ENCRYPTED" in path.read_bytes()) == (passphrase is not None)
    assert raw(private_key(path, passphrase).public_key()) == raw(made.public_key())
    assert raw(public_key(public_file(path))) == raw(made.public_key())


def test_two_new_keys_differ(tmp_path: Path) -> None:
    first, second = (new_key(tmp_path / name) for name in "ab")
    assert fingerprint(first.public_key()) != fingerprint(second.public_key())


@pytest.mark.parametrize("there", ["key", "key.pub"])
def test_a_key_is_never_written_over(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("precious")
    with pytest.raises(InputError, match=f"{there} is there already: a key is never written over"):
        new_key(tmp_path / "key")
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "precious"


def test_a_link_to_nowhere_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="is there already"):
        new_key(tmp_path / "key")
    assert not (tmp_path / "elsewhere").exists()


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        new_key(tmp_path / "file" / "key")


# Passphrases.


def test_an_encrypted_key_needs_its_passphrase(tmp_path: Path) -> None:
    path = private_file(tmp_path, passphrase=b"right")
    with pytest.raises(PassphraseError, match="the key is encrypted; give its passphrase"):
        private_key(path)
    with pytest.raises(PassphraseError, match="the passphrase does not open this key"):
        private_key(path, b"wrong")
    assert raw(private_key(path, b"right").public_key()) == PUBLIC


@pytest.mark.parametrize("form", [PKCS8, OPENSSH])
def test_a_passphrase_too_many_does_no_harm(tmp_path: Path, form: Any) -> None:
    assert raw(private_key(private_file(tmp_path, form), b"needless").public_key()) == PUBLIC


# Keys that do not fit.

OTHERS = {
    "RSA": rsa.generate_private_key(public_exponent=65537, key_size=1024),
    "EC": ec.generate_private_key(ec.SECP256R1()),
    "Ed448": ed448.Ed448PrivateKey.generate(),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_key_of_another_type_is_named(tmp_path: Path, name: str) -> None:
    private = private_file(tmp_path, key=OTHERS[name])
    with pytest.raises(InputError, match=f"a key of the type {name}; expected Ed25519"):
        private_key(private)
    with pytest.raises(InputError, match=f"a key of the type {name}; expected Ed25519"):
        public_key(public_of(tmp_path, key=OTHERS[name]))


@pytest.mark.parametrize("line", [True, False])
def test_a_public_key_does_not_sign(tmp_path: Path, *, line: bool) -> None:
    with pytest.raises(InputError, match="a public key; expected the private one, which signs"):
        private_key(public_of(tmp_path, line=line))


@pytest.mark.parametrize(
    ("form", "passphrase"),
    [(PKCS8, None), (PKCS8, b"secret"), (OPENSSH, None), (OPENSSH, b"secret")],
)
def test_a_private_key_is_not_taken_for_a_public_one(
    tmp_path: Path, form: Any, passphrase: bytes | None
) -> None:
    path = private_file(tmp_path, form, passphrase=passphrase)
    with pytest.raises(InputError, match="a private key; expected the public one"):
        public_key(path)


BROKEN = {
    "empty": b"",
    "text": b"not a key",
    "binary": b"\x00\xff" * 50,
    "cut": b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw\n-----END PRIVATE KEY-----\n",
    "cut line": b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5",
    "cut openssh": b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\n"
    b"-----END OPENSSH PRIVATE KEY-----\n",
    "cut public": b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2Vw\n-----END PUBLIC KEY-----\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_damaged_key_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "key"
    path.write_bytes(BROKEN[name])
    with pytest.raises(InputError, match="expected"):
        private_key(path)
    with pytest.raises(InputError, match="expected"):
        public_key(path)


def test_a_file_that_is_not_there_or_far_too_large_is_refused(tmp_path: Path) -> None:
    for read in (private_key, public_key):
        with pytest.raises(InputError, match="cannot be read"):
            read(tmp_path / "nowhere")
        with pytest.raises(InputError, match="cannot be read"):
            read(tmp_path)
    (tmp_path / "large").write_bytes(b"A" * ((1 << 20) + 1))
    with pytest.raises(InputError, match="larger than a megabyte; expected a key"):
        public_key(tmp_path / "large")
