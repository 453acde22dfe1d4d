#!/usr/bin/env python3
"""Makes the golden vectors of frames, packs, indexes, trees, points and pack sets from doc/format.md alone.

Shares no code with the project, but keys, envelopes and small words with make_key_vectors.py beside
it. The zstd frame is put together by hand from RFC 8878; the session and its wrap are stock age's
(session.json). Run it in this directory; it prints what it wrote. Vectors are only ever added: a
run that would change a file that is there stops.
"""
import json
import math
import struct

from make_key_vectors import (DOMAIN, INDEX_KEY, MACHINE, MACHINE_CERT, OWNER, SALT, VAULT, bytes16, bytes32,
                              envelope, hkdf, obj, prelude, public, seal, sha256, text8, u8, u16, u32, write)

SESSION = json.load(open("session.json", encoding="utf-8"))
SESSION_KEY, WRAP = bytes.fromhex(SESSION["key"]), bytes.fromhex(SESSION["wrap"])
RECIPIENT_ID = sha256(SESSION["recipient"].encode())[:16]


def u64(n):
    return struct.pack("<Q", n)


def i64(n):
    return struct.pack("<q", n)


def bytes8(data):
    return u8(len(data)) + data


def zstd_run(byte, count):
    """One frame of one block that repeats a byte: content size in two bytes (so 256 to 65791), RLE block."""
    block = count << 3 | 1 << 1 | 1
    return bytes.fromhex("28b52ffd") + u8(0x60) + u16(count - 256) + struct.pack("<I", block)[:3] + byte


def padme(length):
    exponent = length.bit_length() - 1
    step = 1 << exponent - (exponent.bit_length())
    return -(-length // step) * step


def frame(key, header, number, payload):
    return seal(key, payload, header + u32(number), u32(number) + bytes(8))


def row(flags, sealed, plain, chunks):
    return u8(flags) + u32(sealed) + u32(plain) + u32(len(chunks)) + b"".join(sha256(c) + u32(len(c)) for c in chunks)


def pack(kind, parts):
    """`parts`: payload, flags and chunks of each frame."""
    header = prelude("SSPK") + u8(kind) + RECIPIENT_ID + SALT + bytes16(WRAP)
    key, table_key = hkdf(SESSION_KEY, SALT, "seedship/v0/pack"), hkdf(INDEX_KEY, SALT, "seedship/v0/table")
    chunks = sum(len(part[2]) for part in parts)
    rest = sum(len(part[0]) + 16 for part in parts) + 4 + 13 * (len(parts) + 1) + 36 * chunks + 16 + 8
    zeros = 1
    while padme(len(header) + rest + zeros + 16) != len(header) + rest + zeros + 16:
        zeros += 1
    rows, body = u32(len(parts) + 1), b""
    for number, (payload, flags, held) in enumerate([*parts, (bytes(zeros), 2, [])]):
        sealed = frame(key, header, number, payload)
        rows += row(flags, len(sealed), sum(map(len, held)) or len(payload), held)
        body += sealed
    table = seal(table_key, rows, header)
    return header + body + table + u32(len(table)) + b"KPSS"


def entry(kind, name, mode, mtime, rest=b"", links=1, attributes=(), inode=7):
    out = u8(kind) + bytes8(name) + u16(mode) + u32(1000) + u32(100) + i64(mtime) + i64(1_700_000_000_000_000_001)
    out += u64(2**64 - 1) + u64(inode) + u32(links) + u16(len(attributes))
    return out + b"".join(bytes8(key) + bytes32(value) for key, value in attributes) + rest


def inline(data):
    return u8(0) + bytes32(data)


CHUNKS = [b"one chunk", b"and another, a little longer"]
RUN = b"a" * 1000
LIST = u8(3) + sha256(CHUNKS[0]) + sha256(CHUNKS[1])
HOLES = u64(4096) + u64(8192)
ATTRIBUTES = [(b"system.posix_acl_access", bytes(28)), (b"user.empty", b"")]
ENTRIES = [
    entry(4, b"block", 0o660, 0, u64(7 << 8 | 123)),
    entry(5, b"char", 0o666, 0, u64(1 << 8 | 3)),
    entry(2, b"directory", 0o2770, -1, sha256(b"record of a directory")),
    entry(6, b"fifo", 0o640, 0),
    entry(1, b"file", 0o4711, -123456789012345679, u64(37 + 8192) + inline(LIST[1:]) + inline(HOLES), 2, ATTRIBUTES),
    entry(1, b"long", 0o600, 1, u64(37) + u8(1) + u32(1) + sha256(LIST) + inline(b"")),
    entry(7, b"raw-\xff\xfe", 0o777, 0),
    entry(3, b"symlink", 0o777, 0, bytes16(b"../\xff")),
]
LEAF = u8(1) + u32(len(ENTRIES)) + b"".join(ENTRIES)
NODE = u8(2) + u32(2) + sha256(b"leaf 1") + sha256(b"leaf 2")


def signed(kind, body):
    return envelope(kind, "hq", MACHINE, MACHINE_CERT, body)


def objects(*listed):
    return u32(len(listed)) + b"".join(sorted(listed, key=lambda one: one[1:33]))


def index():
    packs = objects(obj("pack", "a", 5000), obj("tree", "b", 4000))
    places = [(CHUNKS[0], 0, 0, 0), (CHUNKS[1], 0, 0, len(CHUNKS[0])), (LEAF, 1, 300, 17)]
    rows = sorted(sha256(data)[:20] + u32(at) + u16(number) + u32(offset) + u32(len(data)) for data, at, number, offset in places)
    plain = packs + u32(len(rows)) + b"".join(rows) + u32(1) + sha256(b"an older part")
    plain += bytes(padme(len(plain)) - len(plain))
    head = prelude("SSIX") + SALT
    return signed("index", head + seal(hkdf(INDEX_KEY, SALT, "seedship/v0/index-part"), plain, head))


def point():
    head = prelude("SSPT") + text8("hq") + text8(DOMAIN) + text8("home") + u32(2) + u8(1) + sha256(b"point 1")
    head += i64(1_795_000_000_000) + text8("backup/main/hq/home") + u8(2) + u8(1) + sha256(b"point 1")
    head += sha256(b"pack set") + RECIPIENT_ID + bytes16(WRAP) + SALT
    body = sha256(LEAF) + u16(2) + bytes16(b"/home") + bytes16(b"/srv/\xff")
    body += u64(7) + u64(3) + u64(2**40) + u64(1) + u64(0) + u32(1) + bytes32(b"/home/x\xff") + text8("EACCES")
    return signed("point", head + bytes32(seal(hkdf(SESSION_KEY, SALT, "seedship/v0/point"), body, head)))


FULL = signed("pack-set", prelude("SSPS") + u8(1) + objects(obj("pack", "a", 5000), obj("tree", "b", 4000), obj("index", "i", 300)))
DELTA = signed("pack-set", prelude("SSPS") + u8(2) + sha256(FULL) + objects(obj("pack", "c", 600)) + objects(obj("pack", "a", 5000)))
KEYS = {"vaultId": VAULT, "ownerPublic": public(OWNER), "indexKey": INDEX_KEY, "sessionKey": SESSION_KEY}

write({
    "frame": {
        "packKey": sha256(b"pack key"), "header": b"header", "plain": RUN,
        "zstd": frame(sha256(b"pack key"), b"header", 3, zstd_run(b"a", 1000)),
        "raw": frame(sha256(b"pack key"), b"header", 0x01020304, b"raw"),
    },
    "pack": {
        **KEYS, "recipientId": RECIPIENT_ID, "salt": SALT, "wrap": WRAP, "chunks": [*CHUNKS, RUN],
        "data": pack(1, [(b"".join(CHUNKS), 0, CHUNKS), (zstd_run(b"a", 1000), 1, [RUN])]),
        "tree": pack(2, [(LEAF, 0, [LEAF])]),
    },
    "tree": {"leaf": LEAF, "node": NODE, "list": LIST},
    "chunk-index": {**KEYS, "chunks": [*CHUNKS, LEAF], "signed": index()},
    "recovery-point": {**KEYS, "recipientId": RECIPIENT_ID, "wrap": WRAP, "root": sha256(LEAF), "signed": point()},
    "pack-set": {"vaultId": VAULT, "ownerPublic": public(OWNER), "full": FULL, "delta": DELTA},
})
