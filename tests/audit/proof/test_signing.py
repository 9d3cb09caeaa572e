from __future__ import annotations

import base64
import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from small_run import small_run

from workbench.audit.proof import signing
from workbench.audit.proof.keys import fingerprint, new_key
from workbench.audit.proof.manifest import write_manifest
from workbench.audit.proof.signing import (
    PAYLOAD_TYPE,
    pre_authentication_encoding,
    sign,
    verify_signature,
)
from workbench.audit.records.folder import MANIFEST, SIGNATURE
from workbench.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

# The keys of DSSE's own test vectors (repository secure-systems-lab/dsse, file
# testvectors/vectors.json), which are those of RFC 8032, section 7.1, tests 1 and 2.
KEY = Ed25519PrivateKey.from_private_bytes(
    bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
)
OTHER = Ed25519PrivateKey.from_private_bytes(
    bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
)
PUBLIC, OTHERS = KEY.public_key(), OTHER.public_key()
STATEMENT = b'{"_type":"https://in-toto.io/Statement/v1"}'

# Published signatures over `STATEMENT` and over five bytes, by `KEY`, `OTHER` and `KEY`.
SIG_A = "2WAfaHm5jluo0w+0rk8uVkluELJYWjSmU9x7EUzx+AyteDGJ4/nqyJXfmAUVFIAoQafWm7AxBZNw5M9ixNHiCA=="
SIG_B = "c1+67/aT0yqEpwx8PsVY3MLHsj9D0CZ014/Fv/QlG59P+9CobUZ7xECJ/V3USG0Ob9CiE5LjReEZUzNF2l7eBw=="
SIG_URL = "P-_KHICeR7tI6S_YyejJTRtrXhcQyQ2LYPaL8h90KjC9qN8HU_svOQ6TuDOT1HIrsGW886DbWNWcCmX5twLrAw=="


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run = small_run(tmp_path / "run")
    write_manifest(run)
    return run


def envelope(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / SIGNATURE).read_text())
    return content


def rewrite(run: Path, **changes: Any) -> None:
    (run / SIGNATURE).write_text(json.dumps({**envelope(run), **changes}))


# The protocol, against its published vectors.


@pytest.mark.parametrize(
    ("kind", "payload", "encoded"),
    [
        # The example of protocol.md.
        (
            "http://example.com/HelloWorld",
            b"hello world",
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world",
        ),
        (PAYLOAD_TYPE, b"", b"DSSEv1 28 application/vnd.in-toto+json 0 "),
        (
            "application/vnd.ex\N{LATIN SMALL LETTER A WITH DIAERESIS}mple+json",
            STATEMENT,
            b"DSSEv1 29 application/vnd.ex\xc3\xa4mple+json 43 " + STATEMENT,
        ),
        ("", STATEMENT, b"DSSEv1 0  43 " + STATEMENT),
    ],
)
def test_the_encoding_is_that_of_the_protocol(kind: str, payload: bytes, encoded: bytes) -> None:
    assert pre_authentication_encoding(kind, payload) == encoded


def test_the_signature_is_that_of_the_protocols_vectors() -> None:
    signed = KEY.sign(pre_authentication_encoding(PAYLOAD_TYPE, STATEMENT))
    assert base64.b64encode(signed).decode() == SIG_A


def holding(folder: Path, payload: bytes, text: str, *entries: dict[str, str], kind: str) -> Path:
    """A folder with that payload for a manifest, and an envelope as somebody else wrote it."""
    folder.mkdir()
    (folder / MANIFEST).write_bytes(payload)
    content = {"payload": text, "payloadType": kind, "signatures": list(entries)}
    (folder / SIGNATURE).write_text(json.dumps(content))
    return folder


MANY = [{"sig": ""}] * 101
PAYLOAD = base64.b64encode(STATEMENT).decode()


@pytest.mark.parametrize(
    ("payload", "text", "kind", "signatures", "states"),
    [
        pytest.param(STATEMENT, PAYLOAD, PAYLOAD_TYPE, [SIG_A], ("valid", "another"), id="one"),
        pytest.param(
            b"\xfb\xff\xbf>?", "-_-_Pj8=", PAYLOAD_TYPE, [SIG_URL], ("valid", "another"), id="url"
        ),
        pytest.param(
            STATEMENT, PAYLOAD, PAYLOAD_TYPE, [SIG_A, SIG_B], ("valid", "valid"), id="two"
        ),
        pytest.param(
            STATEMENT,
            PAYLOAD,
            "application/vnd.example.other+json",
            [SIG_A],
            ("invalid", "invalid"),
            id="type",
        ),
        pytest.param(STATEMENT, PAYLOAD, "", [SIG_A], ("invalid", "invalid"), id="no type"),
    ],
)
def test_the_protocols_vectors_are_accepted_and_refused(  # noqa: PLR0913, PLR0917
    tmp_path: Path,
    payload: bytes,
    text: str,
    kind: str,
    signatures: list[str],
    states: tuple[str, str],
) -> None:
    entries = [{"sig": signature} for signature in signatures]
    run = holding(tmp_path / "run", payload, text, *entries, kind=kind)
    found = (verify_signature(run, PUBLIC).state, verify_signature(run, OTHERS).state)
    assert found == tuple("another key" if state == "another" else state for state in states)


# Signing.


def test_a_run_is_signed_and_verified(run: Path) -> None:
    before = (run / MANIFEST).read_bytes()
    assert verify_signature(run).state == "none"
    assert sign(run, KEY) == run / SIGNATURE
    assert (run / MANIFEST).read_bytes() == before
    content = envelope(run)
    assert base64.b64decode(content["payload"]) == before
    assert content["payloadType"] == "application/vnd.in-toto+json"
    (entry,) = content["signatures"]
    assert entry["keyid"] == fingerprint(PUBLIC)
    # An implementation of the protocol in three lines, with nothing of ours.
    kind, body = content["payloadType"].encode(), base64.b64decode(content["payload"])
    signed = b" ".join([b"DSSEv1", b"%d" % len(kind), kind, b"%d" % len(body), body])
    PUBLIC.verify(base64.b64decode(entry["sig"]), signed)

    found = verify_signature(run, PUBLIC)
    assert (found.state, found.key) == ("valid", fingerprint(PUBLIC))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")
def test_openssl_and_sha256sum_find_the_same(run: Path, tmp_path: Path) -> None:
    """What a reader does who has neither the workbench nor Python."""
    key = new_key(tmp_path / "key")
    sign(run, key)
    content = envelope(run)
    manifest = (run / MANIFEST).read_bytes()
    assert base64.b64decode(content["payload"]) == manifest
    signed = b"DSSEv1 28 application/vnd.in-toto+json %d " % len(manifest) + manifest
    (tmp_path / "signed").write_bytes(signed)
    (tmp_path / "sig").write_bytes(base64.b64decode(content["signatures"][0]["sig"]))
    command = "openssl pkeyutl -verify -pubin -inkey key.pub -rawin -in signed -sigfile sig"
    assert subprocess.run(command.split(), cwd=tmp_path, check=False).returncode == 0
    (tmp_path / "signed").write_bytes(signed + b"\n")
    assert subprocess.run(command.split(), cwd=tmp_path, check=False).returncode != 0

    lines = [f"{s['digest']['sha256']}  {s['name']}" for s in json.loads(manifest)["subject"]]
    checked = subprocess.run(
        ["sha256sum", "--check", "--quiet"],
        cwd=run,
        input="\n".join(lines),
        text=True,
        check=False,
    )
    assert checked.returncode == 0


def test_signing_again_gives_equal_bytes(run: Path) -> None:
    sign(run, KEY)
    before = (run / SIGNATURE).read_bytes()
    sign(run, KEY)
    assert (run / SIGNATURE).read_bytes() == before


def test_without_a_key_a_signature_is_not_called_valid(run: Path) -> None:
    sign(run, KEY)
    found = verify_signature(run)
    assert (found.state, found.keys, found.key) == ("not checked", (fingerprint(PUBLIC),), None)
    assert "a public key can tell that you have from the signer" in found.reason


def test_a_second_signature_stands_beside_the_first(run: Path) -> None:
    sign(run, KEY)
    sign(run, OTHER)
    assert verify_signature(run, PUBLIC).state == "valid"
    assert verify_signature(run, OTHERS).state == "valid"
    assert verify_signature(run).keys == (fingerprint(PUBLIC), fingerprint(OTHERS))


def test_signatures_of_an_earlier_manifest_are_dropped(run: Path) -> None:
    sign(run, KEY)
    (run / "added").touch()
    write_manifest(run)
    assert verify_signature(run, PUBLIC).state == "invalid"
    sign(run, OTHER)
    assert verify_signature(run).keys == (fingerprint(OTHERS),)


def test_an_altered_run_is_not_signed(run: Path) -> None:
    for number in range(4):
        (run / f"added-{number}").touch()
    with pytest.raises(InputError, match=r"added-0 \(added\), .* and 1 more. `workbench verify`"):
        sign(run, KEY)
    assert not (run / SIGNATURE).exists()


def test_a_run_without_a_manifest_is_not_signed(run: Path) -> None:
    (run / MANIFEST).unlink()
    with pytest.raises(InputError, match=r"not signed.*manifest\.json \(missing\)"):
        sign(run, KEY)


# Signatures that do not hold.


def test_another_keys_signature_is_named_with_both(run: Path) -> None:
    sign(run, OTHER)
    found = verify_signature(run, PUBLIC)
    assert found.state == "another key"
    assert fingerprint(PUBLIC) in found.reason
    assert fingerprint(OTHERS) in found.reason


def test_a_name_in_the_envelope_proves_nothing(run: Path) -> None:
    sign(run, OTHER)
    (entry,) = envelope(run)["signatures"]
    rewrite(run, signatures=[{**entry, "keyid": fingerprint(PUBLIC)}])
    assert verify_signature(run, PUBLIC).state == "invalid"
    # And a wrong name does no harm to a right signature: it is a hint.
    assert verify_signature(run, OTHERS).state == "valid"


def test_a_signature_over_another_manifest_is_invalid(run: Path) -> None:
    sign(run, KEY)
    (run / "added").touch()
    write_manifest(run)
    for key in (PUBLIC, None):
        found = verify_signature(run, key)
        assert found.state == "invalid"
        assert "another manifest" in found.reason


def test_a_signature_without_a_manifest_is_invalid(run: Path) -> None:
    sign(run, KEY)
    (run / MANIFEST).unlink()
    assert verify_signature(run, PUBLIC).state == "invalid"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ("[]", "is not a DSSE envelope"),
        ("{}", "is not a DSSE envelope"),
        ('{"payload": 3, "payloadType": "a", "signatures": []}', "is not a DSSE envelope"),
        ('{"payload": "!", "payloadType": "a", "signatures": []}', "is not a DSSE envelope"),
        ('{"payload": "", "payloadType": "a", "signatures": 3}', "is not a DSSE envelope"),
        ('{"payload": "", "payloadType": "a", "signatures": [3]}', "is not a DSSE envelope"),
        ('{"payload": "", "payloadType": "a", "signatures": [{}]}', "is not a DSSE envelope"),
        (
            '{"payload": "", "payloadType": "a", "signatures": [{"sig": "", "keyid": 3}]}',
            "is not a DSSE envelope",
        ),
        ('{"payload": "", "payloadType": "a", "signatures": []}', "something else than an in-toto"),
        (
            f'{{"payload": "", "payloadType": "{PAYLOAD_TYPE}", "signatures": []}}',
            "holds no signature",
        ),
        (
            json.dumps({"payload": "", "payloadType": PAYLOAD_TYPE, "signatures": MANY}),
            "holds more than 100 signatures",
        ),
    ],
)
def test_what_is_no_envelope_is_invalid(run: Path, content: str, why: str) -> None:
    (run / SIGNATURE).write_text(content)
    found = verify_signature(run, PUBLIC)
    assert found.state == "invalid"
    assert why in found.reason


def test_a_link_or_a_folder_in_its_place_is_not_followed(run: Path) -> None:
    sign(run, KEY)
    (run / SIGNATURE).rename(run.parent / "elsewhere")
    (run / SIGNATURE).symlink_to(run.parent / "elsewhere")
    assert verify_signature(run, PUBLIC).state == "invalid"
    (run / SIGNATURE).unlink()
    (run / SIGNATURE).mkdir()
    assert verify_signature(run, PUBLIC).state == "invalid"


def test_a_huge_envelope_is_not_read(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sign(run, KEY)
    monkeypatch.setattr(signing, "MAX_BYTES", 10)
    found = verify_signature(run, PUBLIC)
    assert "too large" in found.reason


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = small_run(tmp_path_factory.mktemp("signed") / "run")
    write_manifest(run)
    sign(run, KEY)
    return run


@settings(max_examples=200, deadline=None, database=None)
@given(data=st.data())
def test_no_other_payload_or_signature_passes(signed: Path, data: st.DataObject) -> None:
    """Every bit of both texts counts, those that base64 itself leaves unused among them."""
    before = (signed / SIGNATURE).read_bytes()
    content = envelope(signed)
    (entry,) = content["signatures"]
    of = data.draw(st.sampled_from([(content, "payload"), (entry, "sig")]))
    text = of[0][of[1]]
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda c: c != text[place]))
    # The other alphabet's letters mean the same.
    same = {"+": "-", "/": "_"}.get(text[place]) == other
    of[0][of[1]] = text[:place] + other + text[place + 1 :]
    rewrite(signed, **{**content, "signatures": [entry]})
    try:
        assert (verify_signature(signed, PUBLIC).state == "valid") == same
    finally:
        (signed / SIGNATURE).write_bytes(before)


def test_a_key_that_signs_elsewhere_is_of_no_use(run: Path) -> None:
    """A signature over the bare manifest, without DSSE's encoding, is none over the statement."""
    sign(run, KEY)
    bare = base64.b64encode(KEY.sign((run / MANIFEST).read_bytes())).decode()
    rewrite(run, signatures=[{"sig": bare, "keyid": fingerprint(PUBLIC)}])
    assert verify_signature(run, PUBLIC).state == "invalid"


def test_the_public_key_is_all_that_checking_takes(run: Path) -> None:
    sign(run, KEY)
    key = Ed25519PublicKey.from_public_bytes(PUBLIC.public_bytes_raw())
    assert verify_signature(run, key).state == "valid"
