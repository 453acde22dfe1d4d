#!/usr/bin/env python3
"""Makes a tree that holds everything Linux file systems hold, the same for the same seed.

    make_tree.py DIR --seed N --files N --bytes N [--plain]

Written in another language than the product, with the standard library only: what it makes is
made by nobody who knows how Seedship reads. `--plain` leaves out what needs root or odd mounts.
"""
import argparse
import os
import random
import stat
import sys

WORDS = [b'drive', b'seed', b'vault', b'parcel', b'manifest', b'journal', b'retention', b'lorem', b'ipsum', b'dolor']


def text(rng, size):
    out = bytearray()
    while len(out) < size:
        out += rng.choice(WORDS) + b' %d ' % rng.getrandbits(20)
        if rng.random() < 0.1:
            out += b'\n'
    return bytes(out[:size])


def write(path, data, rng, mode=0o644):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(fd, 'wb') as out:
        out.write(data)
    stamp(path, rng)


def stamp(path, rng):
    seconds = rng.randrange(1_000_000_000, 1_700_000_000)
    at = seconds * 10**9 + rng.randrange(10**9)
    os.utime(path, ns=(at, at), follow_symlinks=False)


def sizes(rng, files, total):
    """Many small and a few big files that amount to `total` bytes, near enough."""
    big = [total // 4, total // 8, total // 16]
    rest = total - sum(big)
    small = [rng.lognormvariate(8, 1.5) for _ in range(max(1, files - len(big)))]
    scale = rest / sum(small)
    return big + [int(size * scale) for size in small]


def bulk(root, rng, files, total):
    folder = root
    for number, size in enumerate(sizes(rng, files, total)):
        if number % 60 == 0:
            folder = os.path.join(root, b'd%03d' % (number // 6000), b'e%05d' % (number // 60))
            os.makedirs(folder, exist_ok=True)
        kind = rng.random()
        if kind < 0.15:
            data = rng.randbytes(size)
        else:
            seed = text(rng, min(size, 1 << 16))
            data = bytearray()
            while len(data) < size:
                data += seed + rng.getrandbits(64).to_bytes(8, 'little')
            data = bytes(data[:size])
        write(os.path.join(folder, b'f%06d' % number), data, rng, rng.choice([0o644, 0o600, 0o755]))


def odd(root, rng, plain):
    at = lambda *names: os.path.join(root, *names)
    os.makedirs(at(b'odd', b'empty dir'))
    write(at(b'odd', b'empty'), b'', rng)
    write(at(b'odd', b'one'), b'1', rng)
    for size in (262143, 262144, 262145, 2097151, 2097152, 2097153, 8388608 + 1):
        write(at(b'odd', b'edge-%d' % size), rng.randbytes(size), rng)
    os.link(at(b'odd', b'one'), at(b'odd', b'one-again'))
    os.makedirs(at(b'odd', b'far'))
    os.link(at(b'odd', b'one'), at(b'odd', b'far', b'one-far'))
    os.symlink(b'one', at(b'odd', b'link'))
    os.symlink(b'/nowhere/at all', at(b'odd', b'dangling'))
    stamp(at(b'odd', b'link'), rng)
    for name in (b'raw-\xff\xfe', b'new\nline', b' space ', b'-dash', b'\xc3\xa9', b'e\xcc\x81', b'"quote\'', b'x' * 255, b'\\back'):
        write(at(b'odd', name), text(rng, 100), rng)
    hole(at(b'odd', b'sparse'), rng)
    os.truncate(os.open(at(b'odd', b'only-hole'), os.O_WRONLY | os.O_CREAT), 5 << 20)
    for name, when in ((b'before-1970', -123456789 * 10**9 + 987654321), (b'tick', 1), (b'minus-tick', -1), (b'far-future', 4102444800 * 10**9 + 1)):
        write(at(b'odd', name), name, rng)
        os.utime(at(b'odd', name), ns=(when, when))
    os.chmod(at(b'odd', b'tick'), 0o4711)
    os.mkfifo(at(b'odd', b'fifo'), 0o640)
    xattrs(at(b'odd', b'one'), rng, plain)
    xattrs(at(b'odd', b'empty dir'), rng, plain)
    deep(root, rng)
    crowd(at(b'odd', b'crowd'), rng)
    if plain or os.geteuid() != 0:
        return
    os.mknod(at(b'odd', b'block'), stat.S_IFBLK | 0o660, os.makedev(7, 123))
    os.mknod(at(b'odd', b'char'), stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.chown(at(b'odd', b'one'), 12345, 54321)
    os.chown(at(b'odd', b'link'), 777, 888, follow_symlinks=False)
    os.chmod(at(b'odd', b'empty dir'), 0o2770)


def hole(path, rng):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    for offset in (0, 3 << 20, (40 << 20) + 4096):
        os.pwrite(fd, rng.randbytes(70000), offset)
    os.ftruncate(fd, 64 << 20)
    os.close(fd)
    stamp(path, rng)


def xattrs(path, rng, plain):
    try:
        os.setxattr(path, b'user.seedship.test', rng.randbytes(40))
        os.setxattr(path, b'user.empty', b'')
        acl = b'\x02\0\0\0' + b''.join(
            tag.to_bytes(2, 'little') + perm.to_bytes(2, 'little') + who.to_bytes(4, 'little')
            for tag, perm, who in ((1, 6, 0xFFFFFFFF), (2, 5, 1234), (4, 4, 0xFFFFFFFF), (16, 5, 0xFFFFFFFF), (32, 4, 0xFFFFFFFF))
        )
        os.setxattr(path, b'system.posix_acl_access', acl)
        if os.path.isdir(path):
            os.setxattr(path, b'system.posix_acl_default', acl)
        if not plain and os.geteuid() == 0:
            os.setxattr(path, b'trusted.seedship', b'root only')
    except OSError as error:
        print(f'xattrs not made: {error.strerror}', file=sys.stderr)


def deep(root, rng):
    """A path longer than PATH_MAX (4096 bytes): only openat reaches its end."""
    here = os.open(os.path.join(root, b'odd'), os.O_RDONLY)
    for level in range(25):
        name = b'deep-%02d-' % level + b'n' * 190
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = below
    fd = os.open(b'at the bottom', os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=here)
    os.write(fd, text(rng, 1000))
    os.close(fd)
    os.close(here)


def crowd(folder, rng):
    os.mkdir(folder)
    for number in range(1500):
        write(os.path.join(folder, b'c%04d' % number), b'%d' % number if number % 3 else b'', rng)


def main():
    args = argparse.ArgumentParser()
    args.add_argument('dir')
    args.add_argument('--seed', type=int, default=1)
    args.add_argument('--files', type=int, default=300)
    args.add_argument('--bytes', type=int, default=20 << 20)
    args.add_argument('--plain', action='store_true')
    opts = args.parse_args()
    rng = random.Random(opts.seed)
    root = os.fsencode(opts.dir)
    os.makedirs(root, exist_ok=True)
    bulk(root, rng, opts.files, opts.bytes)
    odd(root, rng, opts.plain)
    for folder, _, _ in os.walk(root, topdown=False):
        if len(folder) < 3000:
            stamp(folder, rng)


main()
