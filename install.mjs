#!/usr/bin/env node
/**
 * Makes a fresh clone ready to run, with what Node brings and nothing else: this file runs before
 * any package is there. Each step is skipped when its result is already there.
 *
 *   1 check    Node >= 20.19; python3 with pip, make and g++ where a step below needs them
 *   2 packages `npm ci` (zstd-napi compiles against the headers beside node, where they are)
 *   3 build    TypeScript to dist/
 *   4 servers  Temporal and SeaweedFS, and with --dev Temporal's test server: pinned, hash-checked
 *
 *   node install.mjs           all four          node install.mjs --dev     for the tests as well
 *   node install.mjs --build   step 3 only
 *
 * Two of these at once wait for each other: one lock, a directory that names its holder.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = path.dirname(fileURLToPath(import.meta.url));
const at = (...parts) => path.join(root, ...parts);
const LOCK = at('.installing');
const BUILT = at('dist', '.built');
const PROGRESS_EVERY_MS = 10_000;
const LOCK_POLL_MS = 200;

const say = (line) => process.stderr.write(`${line}\n`);

/** What a person has to do something about; printed without a stack. */
class Missing extends Error {}

async function main(flags) {
  checkNode();
  const buildOnly = flags.includes('--build');
  const unlock = await lock();
  try {
    if (!buildOnly && packagesStale()) await installPackages();
    await build({ strict: true });
  } finally {
    unlock();
  }
  if (!buildOnly) await installServers(flags.includes('--dev'));
}

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  throw new Missing(
    `Node ${process.versions.node} is too old: Seedship needs 20.19 or newer.\n` +
      'Install a newer one from https://nodejs.org or with your package manager, then try again.',
  );
}

/** All that is missing at once, so that nobody has to come back three times. */
function checkTools(tools) {
  const works = (program, ...words) => spawnSync(program, words, { stdio: 'ignore' }).status === 0;
  const missing = tools.filter(({ program, words }) => !works(program, ...words));
  if (missing.length === 0) return;
  throw new Missing(
    ['Something is missing on this machine:']
      .concat(missing.map(({ name, why }) => `  ${name.padEnd(8)} ${why}`))
      .concat('On Debian or Ubuntu, this installs it:')
      .concat(`  apt-get install -y --no-install-recommends ${missing.map(({ apt }) => apt).join(' ')}`)
      .join('\n'),
  );
}

const PYTHON = {
  name: 'python3',
  apt: 'python3',
  program: 'python3',
  words: ['--version'],
  why: 'finds the compiler when the zstd package is built',
};
const PIP = {
  name: 'pip',
  apt: 'python3-pip',
  program: 'python3',
  words: ['-m', 'pip', '--version'],
  why: 'installs the Temporal and S3 servers',
};
const MAKE = {
  name: 'make',
  apt: 'make',
  program: 'make',
  words: ['--version'],
  why: 'builds the zstd package',
};
const COMPILER = {
  name: 'g++',
  apt: 'g++',
  program: process.env.CXX || 'g++',
  words: ['--version'],
  why: 'compiles the zstd package',
};

/** npm writes its hidden lock file last, so an install that was cut short counts as none. */
function packagesStale() {
  return modified(at('node_modules', '.package-lock.json')) < modified(at('package-lock.json'));
}

async function installPackages() {
  checkTools([PYTHON, PIP, MAKE, COMPILER]);
  const headers = path.dirname(path.dirname(process.execPath));
  const env = { ...process.env };
  if (!env.npm_config_nodedir && existsSync(path.join(headers, 'include', 'node', 'node.h')))
    env.npm_config_nodedir = headers;
  // Run from npm, use that very npm; else the one on PATH.
  const npm = env.npm_execpath ? [process.execPath, env.npm_execpath] : ['npm'];
  await run('npm packages (2 minutes or so)', [...npm, 'ci', '--strict-allow-scripts', '--no-audit', '--no-fund'], env);
}

/**
 * Compiles the sources when one of them is newer than the last build.
 * @param strict fail on type errors; without it they are shown, and what was emitted is used
 */
export async function build({ strict }) {
  if (!buildStale()) return;
  const begun = new Date();
  const tsc = at('node_modules', 'typescript', 'bin', 'tsc');
  if (!existsSync(tsc)) throw new Missing('The packages are not installed: run `node install.mjs` first.');
  try {
    await run('build', [process.execPath, tsc, '-p', 'tsconfig.build.json'], process.env);
  } catch (error) {
    if (strict) throw error;
    say(error.message);
  }
  mkdirSync(at('dist'), { recursive: true });
  writeFileSync(BUILT, `${begun.toISOString()}\n`);
}

function buildStale() {
  const { include } = JSON.parse(readFileSync(at('tsconfig.build.json'), 'utf8'));
  const built = modified(BUILT);
  const sources = include.filter((folder) => existsSync(at(folder)));
  return sources.some((folder) => readdirSync(at(folder)).some((name) => modified(at(folder, name)) > built));
}

/** From here on our own code is there to help: it knows where servers are found, and which are ours. */
async function installServers(dev) {
  const programs = await import(pathToFileURL(at('dist', 'host', 'server-programs.js')).href);
  const search = { ...programs.serverSearch(process.env), install: false };
  const wanted = dev ? programs.SERVER_NAMES : programs.SERVER_NAMES.filter((name) => name !== 'temporal-test-server');
  const missing = [];
  for (const name of wanted) if (!(await programs.findServer(name, search))) missing.push(name);
  if (missing.length === 0) return;
  checkTools([PIP]);
  for (const name of missing) await shown(name, () => programs.findServer(name, { ...search, install: true }));
}

/** Runs a command quietly; what it said is shown when it fails. */
function run(title, [program, ...words], env) {
  return shown(title, async () => {
    const child = spawn(program, words, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const said = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => said.push(bytes));
    const ended = await new Promise((resolve, reject) => {
      child.on('error', (error) => reject(new Missing(`${title}: cannot run ${program}: ${error.code}`)));
      child.on('close', (code, signal) => resolve(code ?? signal));
    });
    if (ended !== 0) throw new Missing(`${title} failed (${ended}):\n${Buffer.concat(said)}`);
  });
}

/** Says that work begins, that it is alive every ten seconds, and that it is done. */
async function shown(title, work) {
  const begun = performance.now();
  const mark = (text) => say(`seedship: ${title} ${text} ${Math.round((performance.now() - begun) / 1000)} s`);
  say(`seedship: ${title} …`);
  const ticking = setInterval(mark, PROGRESS_EVERY_MS, '…');
  try {
    await work();
  } finally {
    clearInterval(ticking);
  }
  mark('done');
}

/**
 * Waits until no living process holds the lock, then takes it. The directory is moved into place with
 * its holder's name in it, which fails while it holds another name and works while it is empty.
 * @returns how to let go of it
 */
export async function lock() {
  const mine = `${LOCK}.${process.pid}`;
  const unlock = () => {
    rmSync(path.join(LOCK, String(process.pid)), { force: true });
    rmSync(mine, { recursive: true, force: true });
  };
  mkdirSync(mine, { recursive: true });
  writeFileSync(path.join(mine, String(process.pid)), '');
  for (let waited = false; !moved(mine, LOCK); waited = true) {
    const holder = readdirSync(LOCK)[0];
    if (holder !== undefined && !alive(Number(holder))) rmSync(path.join(LOCK, holder), { force: true });
    else if (!waited) say(`seedship: waiting for another install, process ${holder} (or remove ${LOCK})`);
    await new Promise((resolve) => setTimeout(resolve, LOCK_POLL_MS));
  }
  process.once('exit', unlock);
  return () => {
    process.off('exit', unlock);
    unlock();
  };
}

function moved(from, to) {
  try {
    renameSync(from, to);
    return true;
  } catch (error) {
    if (error.code === 'ENOTEMPTY' || error.code === 'EEXIST') return false;
    throw error;
  }
}

function alive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code !== 'ESRCH';
  }
}

function modified(file) {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

if (process.argv[1] !== undefined && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130));
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    // A Failure of our own code says what, why and what next.
    say(
      error instanceof Missing
        ? error.message
        : error.next
          ? `${error.message}: ${error.why}\nnext: ${error.next}`
          : error.stack,
    );
    process.exit(1);
  }
}
