#!/usr/bin/env python3
"""Makes the golden vectors of keys, signatures and drives from doc/format.md alone.

Shares no code with the project: hashlib, hmac and the `cryptography` package do the work. Salts
and seeds that are random in use are fixed here. Run it in this directory; it prints what it wrote.
Vectors are only ever added: a run that would change a file that is there stops.
"""
import hashlib
import hmac
import json
import os
import struct
import sys
import unicodedata

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def sha256(data):
    return hashlib.sha256(data).digest()


def hkdf(key, salt, info, length=32):
    prk = hmac.new(salt or bytes(32), key, hashlib.sha256).digest()
    out, block, count = b"", b"", 1
    while len(out) < length:
        block = hmac.new(prk, block + info.encode() + bytes([count]), hashlib.sha256).digest()
        out, count = out + block, count + 1
    return out[:length]


def seal(key, plain, bound, nonce=bytes(12)):
    return AESGCM(key).encrypt(nonce, plain, bound)


def u8(n):
    return struct.pack("<B", n)


def u16(n):
    return struct.pack("<H", n)


def u32(n):
    return struct.pack("<I", n)


def text8(text):
    return u8(len(text.encode())) + text.encode()


def text16(text):
    return u16(len(text.encode())) + text.encode()


def bytes16(data):
    return u16(len(data)) + data


def bytes32(data):
    return u32(len(data)) + data


def prelude(magic):
    return magic.encode() + bytes([0, 1])


def public(private):
    return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def bech32(prefix, data):
    """BIP 173, written from its text: regroup to 5 bits, append the BCH checksum."""
    alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    number = int.from_bytes(data, "big") << (-len(data) * 8 % 5)
    count = (len(data) * 8 + 4) // 5
    words = [(number >> 5 * (count - 1 - at)) & 31 for at in range(count)]

    def polymod(values):
        check = 1
        for value in values:
            top = check >> 25
            check = (check & 0x1FFFFFF) << 5 ^ value
            for bit, part in enumerate([0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3]):
                check ^= part if top >> bit & 1 else 0
        return check

    expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    check = polymod(expanded + words + [0] * 6) ^ 1
    words += [check >> 5 * (5 - at) & 31 for at in range(6)]
    return prefix + "1" + "".join(alphabet[word] for word in words)


MASTER = bytes(range(32))
DOMAIN = "hq"
VAULT = bytes.fromhex("00112233445566778899aabbccddeeff")
OWNER_SEED = hkdf(MASTER, b"", "seedship/v0/owner-signing")
OWNER = Ed25519PrivateKey.from_private_bytes(OWNER_SEED)
INDEX_KEY = hkdf(MASTER, b"", "seedship/v0/index/" + DOMAIN)
CHUNKER_KEY = hkdf(MASTER, b"", "seedship/v0/chunker/" + DOMAIN)
RESTORE_IDENTITY = bech32("age-secret-key-pq-", hkdf(MASTER, b"", "seedship/v0/restore-identity")).upper()
SALT = sha256(b"salt")
DRIVE = "7F3A00112233AABB"
DRIVE_KEY = sha256(b"drive key")
JOB = "hq-2026"
RECIPIENT = "age1pq1qqqq"  # not a real one: credentials keep it as they are given it


def signed_bytes(kind, place, head):
    return b"seedship/v0/" + kind.encode() + b"\0" + VAULT + place.encode() + sha256(head)


def certificate(role, ident, key, domain=""):
    head = prelude("SSCE") + u8(role) + text8(ident) + public(key) + text8(domain)
    return head + OWNER.sign(signed_bytes("certificate", "", head))


def envelope(kind, ident, key, cert, body, place=""):
    head = prelude("SSSG") + text8(kind) + text8(ident) + bytes16(cert) + bytes32(body)
    return head + key.sign(signed_bytes(kind, place, head))


MACHINE_SEED, SITE_SEED = sha256(b"machine"), sha256(b"site")
MACHINE, SITE = map(Ed25519PrivateKey.from_private_bytes, (MACHINE_SEED, SITE_SEED))
MACHINE_CERT = certificate(1, "hq", MACHINE, DOMAIN)
SITE_CERT = certificate(2, "dock.eu-west.bay4", SITE)


def obj(kind, label, length):
    return u8({"pack": 1, "tree": 2, "index": 3, "pack-set": 4, "point": 5}[kind]) + sha256(label.encode()) + u32(length)


def slot(kind, secret, cost):
    keys = hkdf(secret, SALT, "seedship/v0/key-slot", 64)
    head = prelude("SSKS") + u8(kind) + bytes(cost) + SALT + keys[32:]
    body = head + seal(keys[:32], MASTER, head)
    return body + sha256(body)


def credentials():
    body = prelude("SSCR") + u8(1) + text8("hq") + text8("main") + VAULT
    body += text16("s3://backups/main") + text16("https://s3.example:8333") + public(OWNER) + text16(RECIPIENT)
    body += MACHINE_SEED + bytes16(MACHINE_CERT) + text8("") + text8("2026-11-24T00:00:00.000Z")
    body += text8(DOMAIN) + CHUNKER_KEY + INDEX_KEY
    return body + sha256(body)


def drive_file(plain, place, use="object"):
    key, head = hkdf(DRIVE_KEY, SALT, "seedship/v0/" + use), prelude("SSDO") + SALT
    parts = [plain[at:at + 1048576] for at in range(0, len(plain), 1048576)] or [b""]
    sealed = head
    for number, part in enumerate(parts):
        nonce = u32(number) + bytes(7) + u8(number == len(parts) - 1)
        sealed += seal(key, part, head + place.encode(), nonce)
    return sealed


def manifest():
    body = prelude("SSDM") + bytes.fromhex(DRIVE) + VAULT + text8(JOB) + sha256(b"pack set")
    body += u16(2) + sha256(b"wrap 1") + sha256(b"wrap 2") + u32(2)
    body += u32(0) + u32(1) + obj("pack", "a", 67108864) + sha256(b"sealed a")
    return body + u32(7) + u32(2) + obj("tree", "b", 4096) + sha256(b"sealed b")


def journal():
    head = prelude("SSDJ") + bytes.fromhex(DRIVE) + u32(2) + bytes(range(16)) + text8(JOB)
    head += sha256(b"pack set") + sha256(b"wrap 2")
    check = sha256(head)[:16]
    out = head + check
    for number, kind, label, length in [(0, "pack", "a", 67108864), (7, "tree", "b", 4096)]:
        record = u32(number) + obj(kind, label, length) + sha256(b"sealed " + label.encode())
        check = sha256(check + record)[:16]
        out += record + check
    return out


def copy_log():
    body = prelude("SSCL") + bytes.fromhex(DRIVE) + text8(JOB) + sha256(b"manifest") + u32(2)
    body += u32(0) + obj("pack", "a", 67108864) + u8(1) + u32(0xFFFFFFFF)
    body += u32(7) + obj("tree", "b", 4096) + u8(5) + u32(0)
    return envelope("copy-log", "dock.eu-west.bay4", SITE, SITE_CERT, body)


def repair():
    body = prelude("SSRP") + u32(1) + obj("pack", "lost", 5000) + u32(1) + obj("pack", "stand-in", 4000)
    body += u32(1) + SALT
    body += seal(hkdf(INDEX_KEY, SALT, "seedship/v0/gone"), sha256(b"chunk"), body)
    return envelope("repair", "hq", MACHINE, MACHINE_CERT, body)


def removal():
    body = prelude("SSRM") + text8("2026-11-24T00:00:00.000Z") + u32(1) + text8("hq") + u32(3) + sha256(b"point 3")
    body += u32(2) + b"".join(sorted([obj("pack", "a", 5000), obj("pack-set", "set", 600)], key=lambda o: o[1:33]))
    return envelope("removal", "owner", OWNER, b"", body)


def config():
    body = json.dumps({"id": VAULT.hex(), "name": "main", "region": "eu-west", "redundancy": "local",
                       "created": "2026-11-20T18:00:00.000Z"}, separators=(",", ":")).encode()
    return envelope("config", "owner", OWNER, b"", body, "config")


def items():
    head = prelude("SSPI") + SALT
    body = u16(2) + text16("/home") + text16("/srv/\u00fcber") + u16(1) + text16("*.tmp")
    return head + seal(hkdf(INDEX_KEY, SALT, "seedship/v0/items"), body, head + b"daily")


PASSPHRASE = "correct horse battery stapl\u00e9"
STRETCHED = hashlib.scrypt(unicodedata.normalize("NFKC", PASSPHRASE).encode(), salt=SALT, n=1 << 17, r=8, p=1,
                           maxmem=1 << 29, dklen=32)
CODE = "4K7QX-0AB1C-ZZ9YX-PQRST"
CODE_SALT = SALT
PLAIN_CREDENTIALS = credentials()
FILE_HEAD = prelude("SSCF") + CODE_SALT
FILE_KEY = hkdf(CODE.replace("-", "").encode(), CODE_SALT, "seedship/v0/credentials")

VECTORS = {
    "key-tree": {
        "master": MASTER, "domain": DOMAIN, "salt": SALT, "key": DRIVE_KEY,
        "ownerSeed": OWNER_SEED, "ownerPublic": public(OWNER), "restoreIdentity": RESTORE_IDENTITY,
        "chunkerKey": CHUNKER_KEY, "indexKey": INDEX_KEY,
        "salted": {use: hkdf(DRIVE_KEY, SALT, "seedship/v0/" + use) for use in
                   ["pack", "point", "table", "index-part", "items", "gone", "object", "manifest", "journal"]},
    },
    "key-slot": {
        "master": MASTER, "passphrase": unicodedata.normalize("NFD", PASSPHRASE),
        "words": "abandon " * 23 + "art", "passphraseSlot": slot(1, STRETCHED, [17, 8, 1]),
        "wordsSlot": slot(2, bytes(32), [0, 0, 0]),
    },
    "signature": {
        "vaultId": VAULT, "ownerPublic": public(OWNER), "seed": MACHINE_SEED, "certificate": MACHINE_CERT,
        "place": "records/job/hq-2026/1", "body": b'{"name":"hq-2026"}',
        "byMachine": envelope("record", "hq", MACHINE, MACHINE_CERT, b'{"name":"hq-2026"}', "records/job/hq-2026/1"),
        "byOwner": envelope("record", "owner", OWNER, b"", b'{"name":"hq-2026"}', "records/job/hq-2026/1"),
    },
    "credentials": {"plain": PLAIN_CREDENTIALS, "code": CODE, "file": FILE_HEAD + seal(FILE_KEY, PLAIN_CREDENTIALS, FILE_HEAD)},
    "drive-seal": {
        "driveKey": DRIVE_KEY, "place": "objects/000/000007.2", "plain": b"forty-two bytes that travel with a courier",
        "sealed": drive_file(b"forty-two bytes that travel with a courier", "objects/000/000007.2"),
        "emptySealed": drive_file(b"", "objects/000/000007.2"),
    },
    "drive-manifest": {
        "driveKey": DRIVE_KEY, "drive": DRIVE, "vaultId": VAULT, "job": JOB, "packSet": sha256(b"pack set"),
        "plain": manifest(), "sealed": drive_file(manifest(), "manifest", "manifest"),
    },
    "journal": {"drive": DRIVE, "epoch": 2, "bytes": journal(), "mirrored": drive_file(journal(), "journal.2", "journal"),
                "driveKey": DRIVE_KEY},
    "copy-log": {"vaultId": VAULT, "ownerPublic": public(OWNER), "drive": DRIVE, "job": JOB, "signed": copy_log()},
    "repair": {"vaultId": VAULT, "ownerPublic": public(OWNER), "indexKey": INDEX_KEY, "signed": repair()},
    "removal": {"vaultId": VAULT, "ownerPublic": public(OWNER), "signed": removal()},
    "vault-config": {"vaultId": VAULT, "ownerPublic": public(OWNER), "signed": config()},
    "protection-items": {"indexKey": INDEX_KEY, "protection": "daily", "sealed": items()},
}


def spelled(value):
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [spelled(inner) for inner in value]
    return {key: spelled(inner) for key, inner in value.items()} if isinstance(value, dict) else value


def write(vectors):
    for name, vector in vectors.items():
        text = json.dumps(spelled(vector), indent=2, ensure_ascii=False) + "\n"
        path = f"{name}.json"
        if os.path.exists(path) and open(path, encoding="utf-8").read() != text:
            sys.exit(f"{path} would change: vectors are only ever added")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        print(path, len(text))


if __name__ == "__main__":
    write(VECTORS)
