import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { MockActivityEnvironment } from '@temporalio/testing';
import { noticing } from '../../activities/send-notice.ts';
import type { Notice } from '../../domain/news.ts';
import { loadSettings } from '../../host/settings.ts';
import { noticeValues } from '../../workers/sites.ts';
import { type MailSink, startMailSink, startWebSink, type WebSink } from '../harness/sinks.ts';

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const NOTICE: Notice = {
  vault: 'main',
  subject: 'hq-2026',
  kind: 'attention',
  code: 'DriveMissing',
  text: 'a drive was not in its parcel. look for it',
  at: '2026-11-20T02:00:00.000Z',
  workflowId: 'seed/main/hq-2026',
};

let folder: string;
let web: WebSink;
let mail: MailSink;

beforeEach(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'seedship-notice-'));
  [web, mail] = await Promise.all([startWebSink(), startMailSink()]);
  writeFileSync(path.join(folder, 'hook.secret'), `${SECRET}\n`);
});
afterEach(async () => {
  await Promise.all([web.stop(), mail.stop()]);
  rmSync(folder, { recursive: true });
});

/** As the control worker of a host with these settings does it. */
function steps(toml: string) {
  writeFileSync(path.join(folder, 'seedship.toml'), toml);
  const settings = loadSettings({ environment: { HOME: folder }, directory: folder, systemFile: '/none' });
  return noticing(noticeValues(settings));
}

const hook = (more = '') =>
  `ui-url = "http://ui.example"\n[notify.oncall]\nwebhook = "${web.url}"\nsecret-file = "${folder}/hook.secret"\n${more}`;
const post = (server: MailSink, more = '') =>
  `[notify.ops]\nsmtp = "${server.url}"\nfrom = "seedship@example.org"\nto = ["ops@example.org", "b@example.org"]\n${more}`;

function send(toml: string, channel: string, notice: Notice = NOTICE): Promise<void> {
  return new MockActivityEnvironment().run(steps(toml).sendNotice, { ...notice, channel, id: 'notice/main/n1' });
}

describe('a webhook', () => {
  test('brings what happened, and a signature that openssl makes too', async () => {
    await send(hook(), 'oncall');
    const [{ headers, body } = { headers: {}, body: '' }] = web.hooks;
    expect(JSON.parse(body)).toEqual({
      type: 'seedship.attention',
      timestamp: NOTICE.at,
      data: {
        vault: 'main',
        subject: 'hq-2026',
        code: 'DriveMissing',
        text: NOTICE.text,
        workflowId: 'seed/main/hq-2026',
        page: 'http://ui.example/namespaces/seedship/workflows/seed%2Fmain%2Fhq-2026',
      },
    });
    const hexkey = Buffer.from(SECRET.replace('whsec_', ''), 'base64').toString('hex');
    const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
    const words = ['dgst', '-sha256', '-mac', 'HMAC', '-macopt', `hexkey:${hexkey}`, '-binary'];
    const made = execFileSync('openssl', words, { input: signed }).toString('base64');
    expect(headers['webhook-signature']).toBe(`v1,${made}`);
    expect(Math.abs(Number(headers['webhook-timestamp']) - Date.now() / 1000)).toBeLessThan(60);
  });

  test('keeps its id over attempts, so that a repetition can be dropped', async () => {
    await send(hook(), 'oncall');
    await send(hook(), 'oncall');
    expect(web.hooks.map(({ headers }) => headers['webhook-id'])).toEqual(['notice/main/n1', 'notice/main/n1']);
  });

  test.each([500, 404, 302])('answered with %d is tried again, and goes nowhere else', async (status) => {
    web.answers.push(status);
    const refused = send(hook(), 'oncall');
    await expect(refused).rejects.toMatchObject({ code: 'Unreachable', why: `it answered ${status}` });
    expect(web.hooks).toHaveLength(1);
  });

  test('to nobody is tried again, without naming the address', async () => {
    await web.stop();
    const failure: unknown = await send(hook(), 'oncall').catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'Unreachable', why: 'no answer: ECONNREFUSED' });
    expect(String(failure)).not.toContain('127.0.0.1');
  });

  test('with a secret that is none is not sent unsigned', async () => {
    writeFileSync(path.join(folder, 'hook.secret'), 'hunter2\n');
    const failure: unknown = await send(hook(), 'oncall').catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'Unreachable' });
    expect(JSON.stringify(failure)).not.toContain('hunter2');
    expect(web.hooks).toEqual([]);
  });
});

describe('a mail', () => {
  test('says in its subject what and of what, and what helps in its text', async () => {
    await send(post(mail), 'ops');
    const [{ from, to, text } = { from: '', to: [], text: '' }] = mail.mails;
    expect([from, to]).toEqual(['seedship@example.org', ['ops@example.org', 'b@example.org']]);
    expect(text).toMatch(/^Subject: \[seedship\] hq-2026: needs a person: a drive was not in its/m);
    expect(text).toMatch(/^Auto-Submitted: auto-generated\r$/m);
    expect(text).toMatch(/^Message-ID: <notice\.main\.n1@seedship\.invalid>\r$/m);
    expect(text).toContain('a drive was not in its parcel. look for it');
    expect(text).toContain('attention DriveMissing');
  });

  test('goes out over an account only with TLS, and never to a server whose certificate nobody vouches for', async () => {
    writeFileSync(path.join(folder, 'mail.secret'), 'open sesame\n');
    const more = `user = "ann"\nsecret-file = "${folder}/mail.secret"\n`;
    await expect(send(post(mail, more), 'ops')).rejects.toMatchObject({ code: 'Unreachable' }); // it offers no TLS
    const strict = await startMailSink({ user: 'ann', password: 'open sesame' });
    try {
      await expect(send(post(strict, more), 'ops')).rejects.toMatchObject({ code: 'Unreachable' });
      expect([...mail.mails, ...strict.mails]).toEqual([]);
      writeFileSync(path.join(folder, 'ca.pem'), strict.authorities);
      const vouched = `${more}ca-file = "${folder}/ca.pem"\n`;
      await send(post(strict, vouched), 'ops');
      expect(strict.mails).toMatchObject([{ user: 'ann', encrypted: true }]);
      writeFileSync(path.join(folder, 'mail.secret'), 'wrong');
      const refused = send(post(strict, vouched), 'ops');
      await expect(refused).rejects.toMatchObject({ code: 'Unreachable', why: 'it answered 535' });
    } finally {
      await strict.stop();
    }
  });

  test('to nobody is tried again', async () => {
    await mail.stop();
    await expect(send(post(mail), 'ops')).rejects.toMatchObject({ code: 'Unreachable', why: 'it answered ESOCKET' });
  });
});

describe('channels', () => {
  test('are told what they asked for, and tests always', async () => {
    const { announce } = steps(`${hook('on = ["attention"]\n')}${post(mail, 'on = ["state", "reminder"]\n')}`);
    const told = (kind: Notice['kind'], only?: string) =>
      new MockActivityEnvironment().run(announce, { notice: { ...NOTICE, kind }, ...(only && { only }) });
    expect(await told('attention')).toEqual(['oncall']);
    expect(await told('state')).toEqual(['ops']);
    expect(await told('test')).toEqual(['oncall', 'ops']);
    expect(await told('test', 'ops')).toEqual(['ops']);
  });

  test('that were taken out of the settings are let go', async () => {
    await expect(send('', 'oncall')).resolves.toBeUndefined();
  });

  test.each([
    ['neither way', '[notify.a]\non = ["state"]'],
    ['both ways', '[notify.a]\nwebhook = "http://x"\nsmtp = "smtp://x"\nsecret-file = "f"'],
    ['a webhook that nobody signs', '[notify.a]\nwebhook = "http://x"'],
    ['a mail to nobody', '[notify.a]\nsmtp = "smtp://x"\nfrom = "a@b"'],
    ['a password in an address', '[notify.a]\nsmtp = "smtp://ann:secret@x"\nfrom = "a@b"\nto = ["a@b"]'],
    ['a user without a secret', '[notify.a]\nsmtp = "smtp://x"\nuser = "ann"\nfrom = "a@b"\nto = ["a@b"]'],
    ['a kind that is none', '[notify.a]\nwebhook = "http://x"\nsecret-file = "f"\non = ["all"]'],
  ])('with %s are refused, without showing secrets', (_, toml) => {
    let said = '';
    try {
      steps(toml);
    } catch (error) {
      const { message, why }: { message?: string; why?: string } = Object(error);
      said = `${message} ${why}`;
    }
    expect(said).toMatch(/notify|^a/);
    expect(said).not.toContain('secret@');
  });
});
