/** Pictures of stuck jobs, as doc/stuck-jobs.md shows them: taken anew when that is asked for. */
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { greyPicture } from './grey-png.ts';
import type { WebUi } from './web-ui.ts';

const DOC = 'doc/stuck-jobs.md';
const FOLDER = 'doc/stuck-jobs';
export const PICTURE_BYTES_MAX = 60_000;

/** A section of the document, by its number. */
export function sectionOf(number: number): string {
  const sections = readFileSync(DOC, 'utf8').split(/^## /m);
  const found = sections.find((section) => section.startsWith(`${number}. `));
  if (found === undefined) throw new Error(`${DOC} has no section ${number}`);
  return found;
}

/** What the section begins with, as it is on the page of any such job: names and numbers are this job's own. */
export function saidIn(number: number): RegExp {
  const [, quoted = ''] = /`((?:[^`\n]*\[[A-Z][A-Za-z]+\]|Paused)[^`\n]*)`/.exec(sectionOf(number)) ?? [];
  const [, code = quoted, message = ''] = /\[([A-Za-z]+)\](?:: (.*))?$/.exec(quoted) ?? [];
  if (code === '') throw new Error(`${DOC}: section ${number} does not say what is on the screen`);
  const words = message.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll(/\beu-west\\\.bench|\d+/g, '\\S+');
  return new RegExp(`${code}[^]*${words}`);
}

function pictureOf(number: number): string {
  return path.join(FOLDER, `${number}.png`);
}

/** Takes the picture of a section as the page is drawn now, where SEEDSHIP_PICTURES asks for it. */
export async function picture(ui: WebUi, number: number): Promise<void> {
  if (!process.env.SEEDSHIP_PICTURES) return;
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(pictureOf(number), greyPicture(await ui.picture()));
}

/** What is wrong with a section's picture; nothing when it is there, shown, and small. */
export function pictureFaults(number: number): string[] {
  const file = pictureOf(number);
  if (!existsSync(file)) return [`${file} is not there`];
  return [
    ...(statSync(file).size > PICTURE_BYTES_MAX ? [`${file} has more than ${PICTURE_BYTES_MAX} bytes`] : []),
    ...(sectionOf(number).includes(`](stuck-jobs/${number}.png)`) ? [] : [`section ${number} does not show ${file}`]),
  ];
}
