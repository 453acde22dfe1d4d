#!/usr/bin/env python3
"""Makes the folder that bench/backup backs up: the same on the same machine for the same seed.

    make_corpus.py DIR --bytes N [--seed N]
    make_corpus.py DIR --files N [--seed N]      small/ alone, of so many files

    system/     a copy of /usr, as far as the budget goes: headers, shared data, libraries, programs
    small/      20,000 files of 1 to 8 KiB, of words
    database/   a SQLite file with rows, and pages updated out of order
    media/      files that do not compress; they fill what the others leave of N
    sparse/     one file with more holes than data

A folder below 2 GiB has fewer of all. Bytes are counted as data, not as holes. Standard library only. What was made is told in corpus.json
beside DIR, which bench/backup reads to see whether DIR can be used again.
"""
import argparse
import json
import os
import random
import shutil
import sqlite3
import stat

MIB = 1 << 20
SYSTEM_PARTS = ['include', 'share', 'lib', 'bin', 'libexec', 'sbin']  # the many small ones first
SMALL_FILES = 20_000
DATABASE_ROWS = 400_000
MEDIA_BYTES = 64 * MIB
WHOLE_BYTES = 2048 * MIB


def system(folder, budget):
    """Regular files and links; what cannot be read is left out, hard links become files."""
    left = budget
    for part in SYSTEM_PARTS:
        for here, folders, names in os.walk(os.path.join('/usr', part)):
            folders.sort()
            below = os.path.join(folder, os.path.relpath(here, '/usr'))
            os.makedirs(below, exist_ok=True)
            for name in sorted(names):
                at, to = os.path.join(here, name), os.path.join(below, name)
                found = os.lstat(at)
                if stat.S_ISLNK(found.st_mode):
                    os.symlink(os.readlink(at), to)
                elif stat.S_ISREG(found.st_mode) and os.access(at, os.R_OK):
                    shutil.copy2(at, to)
                    left -= found.st_size
                if left <= 0:
                    return budget - left
    return budget - left


def vocabulary(rng):
    return [bytes(rng.choices(b'abcdefghijklmnopqrstuvwxyz', k=rng.randrange(2, 11))) for _ in range(6000)]


def text(rng, words, size):
    return b' '.join(rng.choices(words, k=size // 4))[:size]


def small(folder, rng, words, files):
    total = 0
    for number in range(files):
        below = os.path.join(folder, f'{number // 250:03d}')
        if number % 250 == 0:
            os.makedirs(below)
        data = text(rng, words, rng.randrange(1024, 8192))
        with open(os.path.join(below, f'{number:06d}.txt'), 'wb') as out:
            out.write(data)
        total += len(data)
    return total


def database(file, rng, words, rows):
    """Rows as an application leaves them: text, numbers, some of it noise; then updates all over."""
    os.makedirs(os.path.dirname(file))
    base = sqlite3.connect(file)
    base.executescript('pragma journal_mode = off; pragma synchronous = off; pragma page_size = 4096')
    base.execute('create table entries (id integer primary key, name text, body text, noise blob, at integer)')
    bodies = [text(rng, words, rng.randrange(400, 1600)).decode() for _ in range(20_000)]
    row = lambda number: (number, f'entry {number}', bodies[rng.randrange(20_000)], rng.randbytes(64), rng.getrandbits(31))
    base.executemany('insert into entries values (?, ?, ?, ?, ?)', (row(number) for number in range(rows)))
    base.execute('create index by_time on entries (at)')
    for _ in range(rows // 20):
        base.execute('update entries set at = ?, noise = ? where id = ?', (rng.getrandbits(31), rng.randbytes(64), rng.randrange(rows)))
    base.commit()
    base.close()
    return os.path.getsize(file)


def media(folder, rng, budget):
    os.makedirs(folder)
    total = number = 0
    while total < budget:
        with open(os.path.join(folder, f'{number:03d}.raw'), 'wb') as out:
            for _ in range(MEDIA_BYTES // MIB):
                out.write(rng.randbytes(MIB))
        number += 1
        total += MEDIA_BYTES
    return total


def sparse(file, rng):
    os.makedirs(os.path.dirname(file))
    with open(file, 'wb') as out:
        for number in range(64):
            out.seek(number * 16 * MIB + rng.randrange(0, 15 * MIB, 4096))
            out.write(rng.randbytes(256 * 1024))
        out.truncate(1024 * MIB)
    return 64 * 256 * 1024


def mixed(at, rng, words, asked):
    share = min(1, asked / WHOLE_BYTES)
    media_least = max(MEDIA_BYTES, int(4 * MEDIA_BYTES * share))
    made = {'small': small(at('small'), rng, words, int(SMALL_FILES * share))}
    made['database'] = database(at('database', 'app.sqlite'), rng, words, int(DATABASE_ROWS * share))
    made['sparse'] = sparse(at('sparse', 'disk.img'), rng)
    made['system'] = system(at('system'), min(asked // 2, asked - sum(made.values()) - media_least))
    made['media'] = media(at('media'), rng, max(media_least, asked - sum(made.values())))
    return made


def main():
    args = argparse.ArgumentParser()
    args.add_argument('dir')
    args.add_argument('--bytes', type=int)
    args.add_argument('--files', type=int)
    args.add_argument('--seed', type=int, default=1)
    opts = args.parse_args()
    shutil.rmtree(opts.dir, ignore_errors=True)
    os.makedirs(opts.dir)
    rng = random.Random(opts.seed)
    words = vocabulary(rng)
    at = lambda *names: os.path.join(opts.dir, *names)
    made = mixed(at, rng, words, opts.bytes) if opts.files is None else {'small': small(at('small'), rng, words, opts.files)}
    entries = sum(len(folders) + len(names) for _, folders, names in os.walk(opts.dir))
    told = {'seed': opts.seed, 'asked': opts.bytes, 'files': opts.files, 'bytes': sum(made.values()), 'entries': entries, 'parts': made}
    with open(os.path.join(os.path.dirname(os.path.abspath(opts.dir)), 'corpus.json'), 'w') as out:
        json.dump(told, out)
    print(json.dumps(told))


main()
