import { describe, expect, test } from '@jest/globals';
import { compilePatterns } from '../../pipeline/path-pattern.ts';

const matches = (glob: string, path: string | Buffer, isDirectory = false): boolean =>
  compilePatterns([glob]).matches(Buffer.from(path), isDirectory);

describe('path pattern', () => {
  test.each([
    ['*.tmp', '/home/x/a.tmp'],
    ['node_modules', '/srv/app/node_modules'],
    ['/var/cache', '/var/cache'],
    ['/var/*/x', '/var/a/x'],
    ['/var/**', '/var/a/b/c'],
    ['/a/**/z', '/a/z'],
    ['/a/**/z', '/a/b/c/z'],
    ['cache/*.db', '/home/cache/x.db'],
    ['file?', '/fileä'],
    ['[a-c]x', '/bx'],
    ['[!a-c]x', '/dx'],
    ['a\\*b', '/a*b'],
    ['a.b+(c)', '/a.b+(c)'],
  ])('%s matches %s', (glob, path) => expect(matches(glob, path)).toBe(true));

  test.each([
    ['*.tmp', '/home/x.tmp/a'],
    ['/var/cache', '/mnt/var/cache'],
    ['/var/*/x', '/var/a/b/x'],
    ['cache/*.db', '/home/mycache/x.db'],
    ['file?', '/file'],
    ['a?b', '/a/b'],
    ['[!a-c]x', '/ax'],
    ['a.b', '/axb'],
  ])('%s does not match %s', (glob, path) => expect(matches(glob, path)).toBe(false));

  test('one that ends in a slash matches directories only', () => {
    expect(matches('cache/', '/a/cache', true)).toBe(true);
    expect(matches('cache/', '/a/cache', false)).toBe(false);
  });

  test('names that are no UTF-8 match as bytes', () => {
    expect(matches('*.bin', Buffer.from([0x2f, 0xff, 0xfe, 0x2e, 0x62, 0x69, 0x6e]))).toBe(true);
    expect(matches('?', Buffer.from([0x2f, 0xff]))).toBe(true);
    expect(matches('a*', Buffer.from([0x2f, 0x61, 0x0a]))).toBe(true);
  });

  test('no pattern matches nothing', () => {
    expect(compilePatterns([]).matches(Buffer.from('/a'), true)).toBe(false);
  });
});
