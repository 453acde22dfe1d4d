/**
 * The page that travels with a drive, to be printed: one SVG of the size of an A6 sheet, and the same as a
 * page of HTML. Its square code says job and drive to a scanner at the desk; nothing on it is secret.
 */
import { address, LINE_MM, MARGIN_MM, sheetHtml, sheetSvg, square, text } from './sheet.ts';

export interface Label {
  readonly vault: string;
  readonly job: string;
  readonly region: string;
  readonly drive: string;
  /** `SEEDSHIP-7F3A` */
  readonly name: string;
  readonly to: readonly string[];
  /** Empty: lines to write on. */
  readonly returnTo: readonly string[];
}

const SHEET = { width: 148, height: 105 };
const CODE_MM = 40;

/** What the square code says: an address that names the drive, and whose journey it is on. */
export function labelCode({ vault, job, region, drive }: Label): string {
  return `seedship:drive/${drive}?job=${job}&vault=${vault}&region=${region}`;
}

/** The sheet as SVG. */
export function labelSvg(label: Label): string {
  const { name, drive, job, vault, to, returnTo } = label;
  const bottom = MARGIN_MM + CODE_MM + 4;
  const middle = SHEET.width / 2 + 4;
  const beside = MARGIN_MM + CODE_MM + 6;
  return sheetSvg(SHEET, `${name}, job ${job}`, [
    square(labelCode(label), CODE_MM),
    text(beside, MARGIN_MM + 9, name, 9),
    text(beside, MARGIN_MM + 18, `Drive ${drive}`, 5),
    text(beside, MARGIN_MM + 26, `Job ${job}`, 5),
    text(beside, MARGIN_MM + 32, `Vault ${vault}`, 4),
    text(beside, MARGIN_MM + 38, 'Backup data, sealed. Keep dry, do not drop.', 3),
    text(MARGIN_MM, bottom, 'To', 3),
    ...address(MARGIN_MM, bottom + LINE_MM, middle - MARGIN_MM, to),
    text(middle, bottom, 'Return to', 3),
    ...address(middle, bottom + LINE_MM, SHEET.width - MARGIN_MM, returnTo),
  ]);
}

/** The sheet as a page that prints on one. */
export function labelHtml(label: Label): string {
  return sheetHtml(SHEET, label.name, labelSvg(label));
}
