/**
 * The seal of a job's report: what the report holds, so that nothing can be cut off its end. Signed by
 * whoever made it (kind 'report', see signature.ts). The signed body:
 *
 *   prelude      6      'SSJR'
 *   job          text8
 *   revisions    u32    of the job's record, all of them
 *   newest       32     digest of the last one
 *   content      32     SHA-256 of the report's JSON, as written, without its seal
 *   page         u8     1 when it is a page, else 0
 *   page digest  32     SHA-256 of the page, as written, without its seal; zeros when it is none
 */
import type { Digest } from '../domain/names.ts';
import { CorruptError, Reader, Writer } from './cursor.ts';
import { DIGEST_BYTES, digestBytes, digestOf, toDigest } from './digest.ts';
import { type Identity, openSigned, type Signer, signBody, type Trust } from './signature.ts';

const NO_PAGE = Buffer.alloc(DIGEST_BYTES);

export interface ReportSeal {
  readonly job: string;
  readonly revisions: number;
  readonly newest: Digest;
  readonly content: Digest;
  readonly page?: Digest;
}

/** SHA-256 of a text, as the seal names it. */
export function digestOfText(text: string): Digest {
  return digestOf(Buffer.from(text));
}

/** Signs what a report holds. */
export function sealReport(seal: ReportSeal, by: { readonly signer: Signer; readonly trust: Trust }): Buffer {
  const { job, revisions, newest, content, page } = seal;
  const writer = new Writer().prelude('SSJR').text8(job).u32(revisions);
  writer.bytes(digestBytes(newest)).bytes(digestBytes(content));
  writer.u8(page === undefined ? 0 : 1).bytes(page === undefined ? NO_PAGE : digestBytes(page));
  return signBody('report', writer.finish(), by);
}

/**
 * Opens a seal.
 * @throws CorruptError when it is damaged; TamperedError when no party of this vault signed it
 */
export function openReportSeal(bytes: Uint8Array, trust: Trust): { seal: ReportSeal; signer: Identity } {
  const { body, signer } = openSigned(bytes, { kind: 'report', trust });
  const reader = new Reader(body, 'report seal');
  reader.prelude('SSJR');
  const seal = {
    job: reader.text8(),
    revisions: reader.u32(),
    newest: toDigest(reader.bytes(DIGEST_BYTES)),
    content: toDigest(reader.bytes(DIGEST_BYTES)),
  };
  const hasPage = reader.u8();
  const page = reader.bytes(DIGEST_BYTES);
  reader.done();
  if (hasPage > 1 || (hasPage === 0 && !page.equals(NO_PAGE))) throw new CorruptError('report seal: unknown kind');
  return { seal: hasPage === 1 ? { ...seal, page: toDigest(page) } : seal, signer };
}
