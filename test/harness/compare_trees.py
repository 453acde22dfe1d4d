#!/usr/bin/env python3
"""Compares two trees to the last nanosecond, hole and extended attribute; prints each difference.

    compare_trees.py LEFT RIGHT [--no-owner] [--no-holes]

Walks by directory descriptors, so paths may be longer than PATH_MAX. Exit 0 when equal, 1 when
not. Standard library only, and none of Seedship's code: a judge has no stake. What is compared:
names, types, mode, owner, mtime (ns), size, bytes, data ranges, xattrs with ACLs, link targets,
device numbers, hard-link groups.
"""
import argparse
import errno
import os
import stat
import sys

PIECE = 1 << 20
differences = 0


def differ(path, what, left='', right=''):
    global differences
    differences += 1
    if differences <= 200:
        print(f'{os.fsencode(path)!r}: {what} {left!r} {right!r}'.rstrip())


def xattrs(fd_path):
    try:
        names = os.listxattr(fd_path, follow_symlinks=False)
    except OSError:
        return {}
    return {name: os.getxattr(fd_path, name, follow_symlinks=False) for name in sorted(names)}


def ranges(fd, size):
    """Data ranges in whole 4 KiB blocks: file systems may round."""
    out, at = [], 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                break
            raise
        end = os.lseek(fd, start, os.SEEK_HOLE)
        out.append((start // 4096, -(-end // 4096)))
        at = end
    return out


def bytes_equal(left, right, size):
    """What is a hole in both is passed over: a terabyte of nothing would take an hour."""
    held = sorted(ranges(left, size) + ranges(right, size))
    at = 0
    for start, end in held:
        at = max(at, start * 4096)
        while at < min(end * 4096, size):
            count = min(PIECE, end * 4096 - at)
            a, b = os.pread(left, count, at), os.pread(right, count, at)
            if a != b or not a:
                return False
            at += len(a)
    return True


class Comparison:
    def __init__(self, opts):
        self.opts = opts
        self.links = [{}, {}]
        self.entries = 0

    def folder(self, left, right, path):
        names = [sorted(map(os.fsencode, os.listdir(fd))) for fd in (left, right)]
        for name in sorted(set(names[0]) ^ set(names[1])):
            differ(os.path.join(path, name), 'is only in the ' + ('left' if name in names[0] else 'right'))
        for name in sorted(set(names[0]) & set(names[1])):
            self.entry(left, right, name, os.path.join(path, name))

    def entry(self, left, right, name, path):
        self.entries += 1
        a, b = (os.stat(name, dir_fd=fd, follow_symlinks=False) for fd in (left, right))
        if stat.S_IFMT(a.st_mode) != stat.S_IFMT(b.st_mode):
            differ(path, 'type', oct(a.st_mode), oct(b.st_mode))
            return
        self.attributes(a, b, path)
        self.hard_links(a, b, path)
        extended = [xattrs(b'/proc/self/fd/%d/%s' % (fd, name)) for fd in (left, right)]
        if extended[0] != extended[1]:
            differ(path, 'xattrs', extended[0], extended[1])
        if stat.S_ISLNK(a.st_mode):
            targets = [os.readlink(name, dir_fd=fd) for fd in (left, right)]
            if targets[0] != targets[1]:
                differ(path, 'target', *targets)
        elif stat.S_ISDIR(a.st_mode):
            with Opened(name, left, right, os.O_DIRECTORY) as (x, y):
                self.folder(x, y, path)
        elif stat.S_ISREG(a.st_mode):
            with Opened(name, left, right, 0) as (x, y):
                self.content(x, y, a, b, path)

    def attributes(self, a, b, path):
        for field in ('st_mode', 'st_mtime_ns', 'st_rdev') + (() if self.opts.no_owner else ('st_uid', 'st_gid')):
            if getattr(a, field) != getattr(b, field):
                differ(path, field, getattr(a, field), getattr(b, field))

    def hard_links(self, a, b, path):
        if stat.S_ISDIR(a.st_mode) or max(a.st_nlink, b.st_nlink) < 2:
            return
        first = [seen.setdefault((s.st_dev, s.st_ino), path) for seen, s in zip(self.links, (a, b))]
        if first[0] != first[1]:
            differ(path, 'is linked to', *first)

    def content(self, left, right, a, b, path):
        if a.st_size != b.st_size:
            differ(path, 'size', a.st_size, b.st_size)
        elif not bytes_equal(left, right, a.st_size):
            differ(path, 'bytes')
        elif not self.opts.no_holes and ranges(left, a.st_size) != ranges(right, b.st_size):
            differ(path, 'holes', ranges(left, a.st_size), ranges(right, b.st_size))


class Opened:
    def __init__(self, name, left, right, flags):
        self.fds = [os.open(name, os.O_RDONLY | os.O_NOFOLLOW | flags, dir_fd=fd) for fd in (left, right)]

    def __enter__(self):
        return self.fds

    def __exit__(self, *_):
        for fd in self.fds:
            os.close(fd)


def main():
    args = argparse.ArgumentParser()
    args.add_argument('left')
    args.add_argument('right')
    args.add_argument('--no-owner', action='store_true')
    args.add_argument('--no-holes', action='store_true')
    opts = args.parse_args()
    sys.setrecursionlimit(10000)
    comparison = Comparison(opts)
    tops = [os.open(os.fsencode(top), os.O_RDONLY | os.O_DIRECTORY) for top in (opts.left, opts.right)]
    comparison.folder(*tops, b'')
    a, b = (os.fstat(fd) for fd in tops)
    comparison.attributes(a, b, b'.')
    print(f'{comparison.entries} entries, {differences} differences')
    sys.exit(1 if differences else 0)


main()
