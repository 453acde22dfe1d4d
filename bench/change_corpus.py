#!/usr/bin/env python3
"""Changes a folder of make_corpus.py as a day of use does: about one per cent of it, the same for the same round.

    change_corpus.py DIR --round N

    database/   one row in a hundred updated in one stretch, 60 all over it, 3,000 new ones
    small/      one file in a hundred written anew, as many new ones as a tenth of these, as many removed
    system/     one regular file in a hundred has bytes put into its middle

What is changed is told as JSON. Standard library only.
"""
import argparse
import json
import os
import random
import sqlite3
import stat

NEW_ROWS = 3000
SCATTERED_ROWS = 60


def regular(folder):
    for here, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            at = os.path.join(here, name)
            if stat.S_ISREG(os.lstat(at).st_mode):
                yield at


def words(rng, size):
    return b' '.join(bytes(rng.choices(b'abcdefghijklmnopqrstuvwxyz', k=rng.randrange(2, 11))) for _ in range(size // 6))[:size]


def database(file, rng):
    if not os.path.exists(file):
        return 0
    base = sqlite3.connect(file)
    base.executescript('pragma journal_mode = off; pragma synchronous = off')
    (rows,) = base.execute('select max(id) from entries').fetchone()
    start = rng.randrange(rows - rows // 100)
    for number in [*range(start, start + rows // 100), *(rng.randrange(rows) for _ in range(SCATTERED_ROWS))]:
        base.execute('update entries set at = ?, noise = ? where id = ?', (rng.getrandbits(31), rng.randbytes(64), number))
    row = lambda number: (number, f'entry {number}', words(rng, 600).decode(), rng.randbytes(64), rng.getrandbits(31))
    base.executemany('insert into entries values (?, ?, ?, ?, ?)', (row(number) for number in range(rows + 1, rows + 1 + NEW_ROWS)))
    base.commit()
    base.close()
    return rows // 100 + SCATTERED_ROWS + NEW_ROWS


def small(folder, rng, day):
    files = list(regular(folder))
    chosen = rng.sample(files, len(files) // 100)
    for at in chosen:
        with open(at, 'wb') as out:
            out.write(words(rng, rng.randrange(1024, 8192)))
    few = len(chosen) // 10
    for at in chosen[:few]:
        os.remove(at)
    for number in range(few):
        with open(os.path.join(folder, '000', f'new-{day}-{number}.txt'), 'wb') as out:
            out.write(words(rng, rng.randrange(1024, 8192)))
    return len(chosen) + few


def system(folder, rng):
    files = [at for at in regular(folder) if os.access(at, os.W_OK)]
    chosen = rng.sample(files, len(files) // 100)
    for at in chosen:
        with open(at, 'rb') as was:
            data = was.read()
        with open(at, 'wb') as out:
            out.write(data[: len(data) // 2] + words(rng, 100) + data[len(data) // 2 :])
    return len(chosen)


def main():
    args = argparse.ArgumentParser()
    args.add_argument('dir')
    args.add_argument('--round', type=int, required=True)
    opts = args.parse_args()
    rng = random.Random(f'day {opts.round}')
    at = lambda *names: os.path.join(opts.dir, *names)
    print(json.dumps({
        'rows': database(at('database', 'app.sqlite'), rng),
        'small': small(at('small'), rng, opts.round),
        'system': system(at('system'), rng),
    }))


main()
