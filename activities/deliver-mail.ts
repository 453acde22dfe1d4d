/**
 * A notice by e-mail, over SMTP. The Message-ID is the same over all attempts, so that a mailbox that
 * got one twice shows it once. A password is never said to a server without TLS.
 */
import { Failure } from '../domain/failure.ts';
import type { MailChannel, Notice } from '../domain/news.ts';
import { SECOND } from '../domain/units.ts';

const GIVEN_UP_MS = 30 * SECOND;
const SUBJECT_MAX = 120;

export interface Delivery {
  readonly id: string;
  readonly notice: Notice;
  /** The page of the Web UI, where its address is known. */
  readonly page: string | undefined;
}

/** @throws Failure `Unreachable` with what the server said, as a number */
export async function deliverMail(channel: MailChannel, delivery: Delivery, password?: string): Promise<void> {
  const { createTransport } = await import('nodemailer');
  const { hostname: host, port, protocol } = new URL(channel.smtp);
  const secure = protocol === 'smtps:';
  const transport = createTransport({
    host,
    port: Number(port) || (secure ? 465 : 587),
    secure,
    requireTLS: channel.user !== undefined && !secure,
    ...(channel.user === undefined ? {} : { auth: { user: channel.user, pass: password ?? '' } }),
    ...(channel.authorities === undefined ? {} : { tls: { ca: channel.authorities } }),
    connectionTimeout: GIVEN_UP_MS,
    greetingTimeout: GIVEN_UP_MS,
    socketTimeout: GIVEN_UP_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  try {
    await transport.sendMail({
      from: channel.from,
      to: [...channel.to],
      messageId: `<${delivery.id.replaceAll(/[^A-Za-z0-9.-]/g, '.')}@seedship.invalid>`,
      subject: subjectOf(delivery.notice),
      text: bodyOf(delivery),
      headers: { 'Auto-Submitted': 'auto-generated', 'X-Seedship-Kind': delivery.notice.kind },
    });
  } catch (error) {
    throw new Failure('Unreachable', `channel ${channel.name}: the mail server did not take it`, { why: said(error) });
  } finally {
    transport.close();
  }
}

function subjectOf({ subject, kind, text }: Notice): string {
  const lead = kind === 'attention' ? 'needs a person: ' : '';
  return `[seedship] ${subject}: ${lead}${text}`.slice(0, SUBJECT_MAX);
}

function bodyOf({ notice: { vault, subject, kind, code, text, at }, page }: Delivery): string {
  const lines = [
    `${text}`,
    '',
    `about  ${subject}, vault ${vault}`,
    `kind   ${code === undefined ? kind : `${kind} ${code}`}`,
    `time   ${at}`,
    ...(page === undefined ? [] : [`page   ${page}`]),
  ];
  return `${lines.join('\n')}\n`;
}

/** A number or a name of the protocol; never its text, which may quote an address. */
function said(error: unknown): string {
  const { responseCode, code }: { responseCode?: unknown; code?: unknown } = Object(error);
  return `it answered ${typeof responseCode === 'number' ? responseCode : String(code ?? 'nothing')}`;
}
