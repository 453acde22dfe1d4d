/**
 * A job's report as one page: no script, no address outside it, so that it can be mailed, filed and
 * printed. What it was made of stands in it as JSON, and `job report --verify` reads that.
 */
import { driveLabel } from '../domain/names.ts';
import { formatSize } from '../domain/units.ts';
import type { DriveReport, JobReport } from './job-report.ts';

const OPEN = '<script type="application/json" id="seedship-report">';
const CLOSE = '</script>';

const STYLE = `
  :root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
  body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
  h1 { font-size: 1.5rem; margin-bottom: .25rem } h2 { font-size: 1.1rem; margin-top: 2rem }
  table { border-collapse: collapse; width: 100% }
  th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8886 }
  td { overflow-wrap: anywhere } time, code { font: 13px/1.5 ui-monospace, monospace; white-space: nowrap }
  .bad { color: #c22; font-weight: 600 } .dim { opacity: .7 }
  @media print { body { margin: 0 } tr { break-inside: avoid } }`;

/** The page, with the seal that the report has, empty or not. */
export function reportPage(report: JobReport): string {
  const { job, vault, stage, importJob, point, made, by, version, lines, drives, parcels } = report;
  const body = [
    `<h1>Job ${text(job)}</h1>`,
    `<p>vault ${text(vault.name)} · stage <b>${text(stage)}</b> · import job ${text(importJob)}`,
    ` · point ${text(point)}</p>`,
    `<p class="dim">Made ${when(made)} by ${text(by)} with Seedship ${text(version)}.`,
    `To check it: <code>seedship job report ${text(job)} --verify FILE</code></p>`,
    ...cleanedPart(report),
    '<h2>Drives</h2>',
    table(
      ['Drive', 'Id', 'State', 'Host', 'Objects', 'Size', 'Code', 'Object codes'],
      drives.map((drive) => [
        text(drive.label),
        `<code>${text(drive.drive)}</code>`,
        text(drive.state),
        text(drive.host),
        String(drive.objects),
        text(formatSize(drive.bytes)),
        drive.code === 'Completed' || drive.code === '-'
          ? text(drive.code)
          : `<span class="bad">${text(drive.code)}</span>`,
        text(codesText(drive)),
      ]),
    ),
    ...drives.flatMap(refusedPart),
    '<h2>Parcels</h2>',
    table(
      ['Tracking number', 'Carrier', 'State', 'Drives', 'Shipped'],
      parcels.map(({ tracking, carrier, state, drives: inside, shippedAt }) => [
        `<code>${text(tracking)}</code>`,
        text(carrier),
        text(state),
        text(inside.map(driveLabel).join(', ')),
        when(shippedAt),
      ]),
    ),
    '<h2>Timeline</h2>',
    table(
      ['Time (UTC)', 'What', 'Code', 'Who', 'Signed by', 'Revision'],
      lines.map(({ at, what, code = '', who, where, revision }) => [
        when(at),
        text(what),
        text(code),
        text(who),
        text(where),
        String(revision),
      ]),
    ),
  ];
  const head = `<meta charset="utf-8"><title>Seedship job ${text(job)}</title><style>${STYLE}\n</style>`;
  const data = `${OPEN}${dataOf(report)}${CLOSE}`;
  return ['<!doctype html>', `<html lang="en"><head>${head}</head><body>`, ...body, data, '</body></html>', ''].join(
    '\n',
  );
}

/** The report in a page. `undefined` when there is none. */
export function reportIn(page: string): string | undefined {
  const from = page.indexOf(OPEN);
  const to = page.indexOf(CLOSE, from);
  return from < 0 || to < 0 ? undefined : page.slice(from + OPEN.length, to);
}

/** The page as it was before it was sealed. */
export function blankSeal(page: string, seal: string): string {
  return page.replace(`"seal":"${seal}"`, '"seal":""');
}

/** No `<` inside: nothing in it ends the element. */
function dataOf(report: JobReport): string {
  return JSON.stringify(report).replaceAll('<', '\\u003c');
}

function cleanedPart({ cleaned }: JobReport): string[] {
  if (!cleaned) return [];
  const { at, objects, bytes, removed, proof } = cleaned;
  return [
    `<p>Cleaned up ${when(at)}: ${objects} objects (${text(formatSize(bytes))}) were read back from the vault`,
    `and right, then ${removed} removed from landing and staging. Proof <code>${text(proof.receipt)}</code></p>`,
  ];
}

function codesText({ codes }: DriveReport): string {
  return Object.entries(codes)
    .map(([code, count]) => `${code} ${count}`)
    .join(', ');
}

function refusedPart({ label, refused }: DriveReport): string[] {
  if (refused.length === 0) return [];
  const rows = refused.map(({ number, object, code }) => [String(number), text(code), `<code>${text(object)}</code>`]);
  return [`<h2>Refused on ${text(label)}</h2>`, table(['Number', 'Code', 'Object'], rows)];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '<p class="dim">none</p>';
  const line = (cells: readonly string[], tag: 'th' | 'td'): string =>
    `<tr>${cells.map((cell) => `<${tag}>${cell}</${tag}>`).join('')}</tr>`;
  const body = rows.map((row) => line(row, 'td')).join('\n');
  return `<table><thead>${line(head, 'th')}</thead><tbody>\n${body}\n</tbody></table>`;
}

function when(iso: string): string {
  return `<time>${text(iso.slice(0, 19).replace('T', ' '))}</time>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function text(plain: string): string {
  return plain.replaceAll(/[&<>"']/g, (letter) => ENTITIES[letter] ?? letter);
}
