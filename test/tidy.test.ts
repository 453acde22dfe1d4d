/**
 * The laws of the layout (doc/design.md, "Layout"), as a test: what each stratum may import and
 * touch, how long things may grow, and what every file owes its reader.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';

const MAY_IMPORT: Record<string, string[]> = {
  domain: [],
  format: ['domain'],
  store: ['format', 'domain'],
  pipeline: ['store', 'format', 'domain'],
  host: ['domain'],
  activities: ['pipeline', 'store', 'format', 'domain'],
  workflows: ['domain', 'activities type'], // 'type': erased imports only
  workers: ['activities', 'host', 'domain'],
  client: ['workers', 'workflows/definitions.ts', 'workflows type', 'host', 'store', 'format', 'domain'],
};

/** What only some files may touch: a pattern over import specifiers or text, and where it is at home. */
const AT_HOME: [string, RegExp, RegExp][] = [
  ['files', /from 'node:fs(\/promises)?'/, /^(store|host)\//],
  ['the AWS SDK', /['"]@aws-sdk\//, /^store\//],
  ['child processes', /from 'node:child_process'/, /^(store\/block-device|pipeline\/child|host\/[a-z-]+)\.ts$/],
  ['the environment', /process\.env\b/, /^host\/settings\.ts$/],
  ['cryptography', /from '(node:crypto|age-encryption)'/, /^format\//],
  ['schemas', /from 'zod(\/[a-z0-9-]+)?'/, /^(host\/settings|client\/output-schemas|store\/block-device)\.ts$/],
  ['libc', /from 'koffi'/, /^store\/system-calls\.ts$/],
  ['the clock and chance', /\b(Date\.now\(|new Date\(\)|Math\.random\()/, /^(?!domain\/|format\/)/],
];

/** Programs that measure us from outside, like any other; they are no stratum, and nothing imports them. */
const BENCH_MAY_IMPORT = ['bench', 'domain', 'host'];

const BANNED =
  /^(utils?|helpers?|common|shared|types|interfaces|constants|misc|manager|service|handler|base|core|lib|index)\.ts$/;
const LINES_MAX = 400;
const FUNCTION_LINES_MAX = 60;
const WIDTH_MAX = 120;

const strata = Object.keys(MAY_IMPORT);
const files = strata.flatMap((stratum) => readdirSync(stratum).map((name) => `${stratum}/${name}`));
const sources = files.filter((file) => file.endsWith('.ts'));
const benches = readdirSync('bench').flatMap((name) => (name.endsWith('.ts') ? [`bench/${name}`] : []));
const textOf = new Map([...sources, ...benches].map((file) => [file, readFileSync(file, 'utf8')]));
const text = (file: string): string => textOf.get(file) ?? '';

interface Import {
  readonly target: string;
  readonly erased: boolean;
}

function importsOf(file: string): Import[] {
  const statement = /^(?:import|export)\s+(type\s+)?[^;'"]*?from\s+'(\.[^']+)'|\bimport\('(\.[^']+)'\)/gm;
  return [...text(file).matchAll(statement)].map(([, type, fixed = '', lazy = '']) => ({
    target: path.posix.normalize(path.posix.join(path.posix.dirname(file), fixed || lazy)),
    erased: type !== undefined,
  }));
}

describe('layout', () => {
  test.each(sources)('%s imports only what lies below it', (file) => {
    const stratum = path.posix.dirname(file);
    const allowed = [stratum, ...(MAY_IMPORT[stratum] ?? [])];
    const wrong = importsOf(file).filter(({ target, erased }) => {
      const room = target.split('/')[0] ?? '';
      return !(allowed.includes(room) || allowed.includes(target) || (erased && allowed.includes(`${room} type`)));
    });
    expect(wrong).toEqual([]);
  });

  test.each(benches)('%s imports only what a bench may', (file) => {
    const rooms = importsOf(file).map(({ target }) => target.split('/')[0] ?? '');
    expect(rooms.filter((room) => !BENCH_MAY_IMPORT.includes(room))).toEqual([]);
  });

  test.each(AT_HOME)('%s is touched only where it is at home', (_, pattern, home) => {
    expect(sources.filter((file) => pattern.test(text(file)) && !home.test(file))).toEqual([]);
  });

  test('strata have no sub-folders, no doubled and no meaningless names', () => {
    const names = sources.map((file) => path.posix.basename(file));
    expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([]);
    expect(names.filter((name) => BANNED.test(name))).toEqual([]);
    for (const stratum of strata)
      expect(readdirSync(stratum, { withFileTypes: true }).filter((entry) => entry.isDirectory())).toEqual([]);
  });

  test('no imports form a circle at run time', () => {
    const state = new Map<string, 'open' | 'done'>();
    const circles: string[] = [];
    const visit = (file: string, trail: string[]): void => {
      if (state.get(file) === 'done') return;
      if (state.get(file) === 'open') {
        circles.push([...trail, file].join(' → '));
        return;
      }
      state.set(file, 'open');
      for (const { target, erased } of importsOf(file)) if (!erased) visit(target, [...trail, file]);
      state.set(file, 'done');
    };
    for (const file of [...sources, ...benches]) visit(file, []);
    expect(circles).toEqual([]);
  });
});

describe('shape', () => {
  test.each([...sources, ...benches])('%s is no longer, wider or louder than it may be', (file) => {
    const lines = text(file).split('\n');
    expect(lines.length).toBeLessThanOrEqual(LINES_MAX);
    expect(lines.flatMap((line, at) => (line.length > WIDTH_MAX ? [at + 1] : []))).toEqual([]);
    expect(longFunctions(lines)).toEqual([]);
    expect(text(file)).not.toMatch(/\b(TODO|FIXME|XXX)\b/);
    expect(text(file)).not.toMatch(/^export (default|\*)/m);
    expect(text(file)).not.toMatch(/\bas any\b|: any\b|<any>|@ts-(ignore|nocheck)|^enum /m);
  });

  test.each(sources.filter((file) => /^(format|workflows)\//.test(file)))(
    '%s opens with what one cannot guess',
    (file) => expect(text(file)).toMatch(/^(#!.*\n)?(\/\*\*|\/\/)/),
  );

  test.each(sources.filter((file) => /^(domain|format|store|pipeline)\//.test(file)))(
    '%s says of every exported function what it does',
    (file) => {
      const bare = [...text(file).matchAll(/(^|\n)([^\n]*)\nexport (?:async )?function\*? (\w+)/g)]
        .filter(([, , before = '']) => !before.trimEnd().endsWith('*/'))
        .map(([, , , name]) => name);
      expect(bare).toEqual([]);
    },
  );

  test.each(sources.filter((file) => file.startsWith('format/')))('%s has a test beside its name', (file) =>
    expect(existsSync(`test/${file.replace(/\.ts$/, '.test.ts')}`)).toBe(true),
  );
});

/** Declarations from their first line to the closing brace of the same indent. */
function longFunctions(lines: string[]): string[] {
  const long: string[] = [];
  lines.forEach((line, at) => {
    const start =
      /^( *)(?:export )?(?:async )?(?:function\*? (\w+)|(?:private |static |override |async |get |set )*#?(\w+)\(.*\{$)/.exec(
        line,
      );
    const name = start?.[2] ?? start?.[3];
    if (!start || !name || ['if', 'for', 'while', 'switch', 'catch'].includes(name)) return;
    const end = lines.findIndex((other, later) => later > at && other.startsWith(`${start[1]}}`));
    if (end - at + 1 > FUNCTION_LINES_MAX) long.push(`${name}: ${end - at + 1} lines`);
  });
  return long;
}

describe('the repository', () => {
  const prose = ['README.md', 'CHANGELOG.md', 'package.json', '.ci/run', 'install.mjs']
    .concat(['doc', 'docker', 'bench', 'doc/reader'].flatMap((folder) => listed(folder)))
    .filter((file) => existsSync(file));

  test.each([...sources, ...prose])('%s names no machine and no registry', (file) => {
    const all = readFileSync(file, 'utf8');
    expect(all).not.toMatch(/(?<![\w$}])\/(work|root)\/(main|shared|board|\.)/);
    expect(all).not.toMatch(/registry\.npmjs|pypi\.org|proxy\.golang|crates\.io|deb\.debian/);
  });
});

function listed(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(md|ts|mjs|json|yaml|sh)$|^Dockerfile$/.test(entry.name))
    .map((entry) => `${folder}/${entry.name}`);
}
