#!/usr/bin/env python3
"""Makes what is hard to keep in memory. Standard library only.

    make_extremes.py DIR files N     N files of 64 to 512 bytes, 500 a directory
    make_extremes.py DIR wide N      one directory of N files of 16 bytes
    make_extremes.py DIR sparse N    one file of N GiB: 4 KiB of data in each GiB
    make_extremes.py DIR big N       one file of N GiB: 1 MiB of data in each 512 MiB, a long stretch at its end
"""
import os
import random
import sys

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def write(at, data):
    fd = os.open(at, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    os.write(fd, data)
    os.close(fd)


def files(folder, count, rng):
    noise = rng.randbytes(1 * MIB)
    for number in range(count):
        below = os.path.join(folder, f'{number // 250_000:03d}', f'{number // 500 % 500:03d}')
        if number % 500 == 0:
            os.makedirs(below)
        start = rng.randrange(MIB - 512)
        write(f'{below}/{number:08d}', b'%d ' % number + noise[start : start + rng.randrange(64, 500)])


def wide(folder, count, rng):
    os.makedirs(folder)
    for number in range(count):
        write(f'{folder}/{number:08d}-{rng.getrandbits(64):016x}', b'%015d\n' % number)


def holes(folder, gibs, rng, step, data):
    os.makedirs(folder)
    with open(os.path.join(folder, 'disk.img'), 'xb') as out:
        for at in range(0, gibs * GIB, step):
            out.seek(at + rng.randrange(0, step - data, 4 * KIB))
            out.write(rng.randbytes(data))
        out.truncate(gibs * GIB)
    return out.name


def main():
    folder, kind, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    rng = random.Random(kind)
    if kind == 'files':
        files(folder, count, rng)
    elif kind == 'wide':
        wide(folder, count, rng)
    elif kind == 'sparse':
        holes(folder, count, rng, GIB, 4 * KIB)
    else:
        with open(holes(folder, count, rng, 512 * MIB, 1 * MIB), 'r+b') as out:
            out.seek(count * GIB - 600 * MIB)
            for _ in range(600):
                out.write(rng.randbytes(MIB))


main()
