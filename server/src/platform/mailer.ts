import { Readable } from 'node:stream';
import { createTransport } from 'nodemailer';

/** Access to the mail relay, as the configuration gives it. */
interface Relay {
  readonly host: string;
  readonly port: number;
  readonly tls: 'starttls' | 'tls' | 'none';
  readonly ca: string | null;
  readonly account: { readonly user: string; readonly password: string } | null;
  readonly from: string;
}

export interface Mail {
  readonly to: string;
  /** The same at every attempt, so that mail programs know a second copy as such. */
  readonly id: string;
  readonly subject: string;
  readonly text: string;
  readonly calendar: { readonly method: 'PUBLISH' | 'CANCEL'; readonly content: string };
}

/**
 * What became of one attempt. `refused` is for good, `later` may go well another time.
 * `answerLost`: all was said and no answer came, so that the mail may be on its way.
 */
export type MailOutcome =
  | { readonly kind: 'sent'; readonly reply: string }
  | { readonly kind: 'refused'; readonly reply: string }
  | { readonly kind: 'later'; readonly reply: string; readonly answerLost: boolean };

export interface Mailer {
  /** The sender of all mails. */
  readonly from: string;
  /** One SMTP conversation (RFC 5321) for one recipient. Never throws for what a relay does. */
  readonly send: (mail: Mail) => Promise<MailOutcome>;
}

interface Failure {
  readonly code?: string;
  readonly responseCode?: number;
  readonly response?: string;
  readonly message: string;
}

const connectMs = 10_000;
/** Longest silence of the relay in a conversation; a lease of a mail is longer than that. */
const silenceMs = 60_000;
const maxReply = 500;

function say(text: string): string {
  const line = text.replaceAll(/[\u0000-\u001f\u007f\u200e\u200f\u202a-\u202e\u2066-\u2069]+/g, ' ').trim();
  return line === '' ? '—' : line.slice(0, maxReply);
}

/** A refusal of the account is the site's configuration, which people mend: it is tried again. */
function judge({ code, responseCode = 0, response, message }: Failure, allSaid: boolean): MailOutcome {
  const reply = say(response ?? message);
  if (responseCode >= 500 && code !== 'EAUTH') return { kind: 'refused', reply };
  return { kind: 'later', reply, answerLost: allSaid && responseCode === 0 };
}

/** A mailer that speaks to one relay; a connection for each mail, since there are few. */
export function createMailer(relay: Relay): Mailer {
  const { host, port, tls, ca, account, from } = relay;
  const composer = createTransport({ streamTransport: true, buffer: true });
  const smtp = createTransport({
    ...{ host, port, secure: tls === 'tls', requireTLS: tls === 'starttls', ignoreTLS: tls === 'none' },
    ...(account === null ? {} : { auth: { user: account.user, pass: account.password } }),
    tls: { minVersion: 'TLSv1.2', ...(ca === null ? {} : { ca }) },
    ...{ connectionTimeout: connectMs, greetingTimeout: connectMs, socketTimeout: silenceMs },
    ...{ disableFileAccess: true, disableUrlAccess: true },
  });
  const send = async ({ to, id, subject, text, calendar }: Mail): Promise<MailOutcome> => {
    const { message } = await composer.sendMail({
      ...{ from: { name: 'ATLAS ORCHESTRATOR', address: from }, to, subject, text },
      messageId: `<${id}@${from.slice(from.indexOf('@') + 1)}>`,
      // RFC 3834: no machine answers this.
      headers: { 'Auto-Submitted': 'auto-generated' },
      icalEvent: { method: calendar.method, content: calendar.content, filename: 'maintenance.ics' },
    });
    const raw = Readable.from([message]);
    let allSaid = false;
    // Only after the relay has asked for the text is it read.
    raw.once('end', () => {
      allSaid = true;
    });
    try {
      const { response } = await smtp.sendMail({ envelope: { from, to: [to] }, raw });
      return { kind: 'sent', reply: say(response) };
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      return judge(error, allSaid);
    }
  };
  return { from, send };
}
