#!/usr/bin/env python3
"""Prints every value of every table of a SQLite database, whole: in the file, long ones lie in pieces.

    sqlite_values.py DATABASE
"""
import sqlite3
import sys

database = sqlite3.connect(f'file:{sys.argv[1]}?mode=ro', uri=True)
database.text_factory = bytes
out = sys.stdout.buffer
for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
    try:
        rows = database.execute(f'SELECT * FROM "{table.decode()}"')
    except sqlite3.OperationalError as error:  # an index of a kind that this build does not know
        print(f'{table.decode()}: {error}', file=sys.stderr)
        continue
    for row in rows:
        for value in row:
            if value is not None:
                out.write(value if isinstance(value, bytes) else str(value).encode())
                out.write(b'\0')
