/**
 * The slip that lies in a parcel, or is stuck to it: one A5 sheet that says to a person and to a scanner
 * which job it is of, which drives are in it, where it goes, and where it goes back to. Nothing is secret.
 */
import { address, LINE_MM, MARGIN_MM, sheetHtml, sheetSvg, square, text } from './sheet.ts';

export interface Slip {
  readonly vault: string;
  readonly job: string;
  readonly region: string;
  readonly carrier: string;
  readonly tracking: string;
  readonly drives: readonly { readonly id: string; readonly serial?: string }[];
  readonly to: readonly string[];
  /** Empty: lines to write on. */
  readonly returnTo: readonly string[];
}

const SHEET = { width: 148, height: 210 };
const CODE_MM = 60;
const ADDRESS_MM = 42;
const ROW_MM = 4;
/** A job has 64 drives at most: three columns of them fill the sheet. */
const ROWS = 22;
/** Of its height: capitals and digits of a plain typeface. */
const CHARACTER_WIDTH = 0.64;

/** What the square code says: an address that names the parcel, its job and its drives. */
export function slipCode({ vault, job, region, carrier, tracking, drives }: Slip): string {
  const ids = drives.map(({ id }) => id).join(',');
  const about = `job=${job}&vault=${vault}&region=${region}&carrier=${carrier}&drives=${ids}`;
  return `seedship:parcel/${encodeURIComponent(tracking)}?${about}`;
}

/** The sheet as SVG. */
export function slipSvg(slip: Slip): string {
  const { job, vault, region, carrier, tracking, drives, to, returnTo } = slip;
  const middle = SHEET.width / 2 + 4;
  const beside = MARGIN_MM + CODE_MM + 4;
  const bottom = MARGIN_MM + CODE_MM + 6;
  const list = bottom + ADDRESS_MM;
  const columns = Math.max(2, Math.ceil(drives.length / ROWS));
  const size = columns > 2 ? 2 : 3;
  const wide = (SHEET.width - 2 * MARGIN_MM) / columns;
  return sheetSvg(SHEET, `parcel ${tracking}, job ${job}`, [
    square(slipCode(slip), CODE_MM),
    text(beside, MARGIN_MM + 9, `Job ${job}`, 6),
    text(beside, MARGIN_MM + 18, `Parcel ${tracking}`, 4),
    text(beside, MARGIN_MM + 25, `Carrier ${carrier}`, 4),
    text(beside, MARGIN_MM + 32, `Vault ${vault}, region ${region}`, 3.5),
    text(beside, MARGIN_MM + 39, `${drives.length} ${drives.length === 1 ? 'drive' : 'drives'}`, 6),
    text(beside, MARGIN_MM + 46, 'Backup data, sealed. Keep dry, do not drop.', 2.8),
    text(MARGIN_MM, bottom, 'To', 3),
    ...address(MARGIN_MM, bottom + LINE_MM, middle - MARGIN_MM, to),
    text(middle, bottom, 'Return to', 3),
    ...address(middle, bottom + LINE_MM, SHEET.width - MARGIN_MM, returnTo),
    text(MARGIN_MM, list, 'In this parcel', 3),
    ...drives.map(({ id, serial }, at) => {
      const said = serial === undefined ? id : `${id}  ${serial}`;
      const [x, y] = [MARGIN_MM + wide * Math.floor(at / ROWS), list + ROW_MM * (1.5 + (at % ROWS))];
      return text(x, y, said.slice(0, Math.floor(wide / (size * CHARACTER_WIDTH))), size);
    }),
  ]);
}

/** The sheet as a page that prints on one. */
export function slipHtml(slip: Slip): string {
  return sheetHtml(SHEET, `parcel ${slip.tracking}`, slipSvg(slip));
}
