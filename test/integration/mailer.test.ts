import { afterEach, describe, expect, it } from 'vitest';
import { createMailer, type Mail } from '../../server/src/platform/mailer.ts';
import { MailRelay } from '../harness/mail-relay.ts';

let relay: MailRelay;
afterEach(() => relay.stop());

const mail: Mail = {
  to: 'zoe@clinique.test',
  id: 'f00d',
  subject: 'Maintenance prévue — été',
  text: 'Début : demain à 20 h.\nFin : après-demain.',
  calendar: { method: 'PUBLISH', content: 'BEGIN:VCALENDAR\r\nMETHOD:PUBLISH\r\nEND:VCALENDAR' },
};

function mailerTo(bend: Partial<Parameters<typeof createMailer>[0]> = {}) {
  return createMailer({
    ...{ host: '127.0.0.1', port: relay.port, tls: 'starttls', ca: relay.ca },
    ...{ account: relay.account, from: 'atlas@clinique.test' },
    ...bend,
  });
}

describe('a conversation with a mail relay', () => {
  it('is encrypted, authenticated, and delivers text and calendar whole', async () => {
    relay = await MailRelay.start();
    expect(await mailerTo().send(mail)).toMatchObject({
      kind: 'sent',
      reply: expect.stringContaining('250'),
    });
    const [taken] = relay.taken;
    expect(taken?.subject).toBe(mail.subject);
    expect(taken?.parts.get('text/plain')?.replaceAll('\r\n', '\n')).toBe(mail.text);
    expect(taken?.parts.get('text/calendar')).toContain('METHOD:PUBLISH');
    expect(taken?.raw).toMatch(/^Message-ID: <f00d@clinique\.test>/im);
    expect(taken?.raw).toMatch(/^Auto-Submitted: auto-generated/im);
  });

  it('works with encryption from the first byte too', async () => {
    relay = await MailRelay.start({ secure: true });
    expect((await mailerTo({ tls: 'tls' }).send(mail)).kind).toBe('sent');
  });

  it('does not begin with a relay that nobody vouches for', async () => {
    relay = await MailRelay.start();
    const outcome = await mailerTo({ ca: null }).send(mail);
    expect(outcome).toMatchObject({ kind: 'later', answerLost: false });
    expect(outcome.reply).toMatch(/self.signed/i);
    expect(relay.attempts).toBe(0);
  });

  it('is tried again when the account is refused, since the site can mend that', async () => {
    relay = await MailRelay.start();
    const outcome = await mailerTo({ account: { user: 'atlas', password: 'wrong' } }).send(mail);
    expect(outcome).toMatchObject({ kind: 'later', answerLost: false });
    expect(outcome.reply).toContain('535');
  });

  it('tells a refusal for now from one for good', async () => {
    relay = await MailRelay.start();
    relay.behaviour = () => 451;
    expect(await mailerTo().send(mail)).toMatchObject({ kind: 'later', answerLost: false });
    relay.behaviour = () => 550;
    expect(await mailerTo().send(mail)).toMatchObject({
      kind: 'refused',
      reply: expect.stringContaining('550'),
    });
  });

  it('says so when all was said and the answer was lost', async () => {
    relay = await MailRelay.start();
    relay.behaviour = () => 'take_and_hang_up';
    expect(await mailerTo().send(mail)).toMatchObject({ kind: 'later', answerLost: true });
    expect(relay.taken).toHaveLength(1);
  });

  it('is tried later when nobody listens', async () => {
    relay = await MailRelay.start();
    const mailer = mailerTo();
    await relay.stop();
    expect(await mailer.send(mail)).toMatchObject({ kind: 'later', answerLost: false });
    relay = await MailRelay.start();
  });
});
