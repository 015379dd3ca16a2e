import 'reflect-metadata';
import { createPrivateKey, webcrypto } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import * as x509 from '@peculiar/x509';
import { SMTPServer } from 'smtp-server';

const ec = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

/** A mail as the relay took it. */
export interface TakenMail {
  readonly to: string;
  readonly raw: string;
  readonly subject: string;
  /** Decoded parts by media type. */
  readonly parts: ReadonlyMap<string, string>;
}

/** What the relay does with a mail: takes it, answers with this code, or hangs up before it answers. */
type Behaviour = 'take' | 'hang_up' | 'take_and_hang_up' | number;

function decode(body: string, encoding: string): string {
  if (encoding === 'base64') return Buffer.from(body, 'base64').toString('utf8');
  if (encoding !== 'quoted-printable') return body;
  const bytes = body
    .replaceAll(/=\r?\n/g, '')
    .replaceAll(/=([0-9A-F]{2})/g, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

function split(entity: string): { head: string; body: string } {
  const at = entity.indexOf('\r\n\r\n');
  return { head: entity.slice(0, at).replaceAll(/\r\n[ \t]+/g, ' '), body: entity.slice(at + 4) };
}

function readParts(entity: string, parts: Map<string, string>): Map<string, string> {
  const { head, body } = split(entity);
  const type = /^content-type: *([^;\s]+)/im.exec(head)?.[1]?.toLowerCase() ?? 'text/plain';
  const boundary = /boundary="?([^";\r\n]+)"?/i.exec(head)?.[1];
  if (boundary !== undefined)
    for (const part of body.split(`--${boundary}`).slice(1, -1)) readParts(part.slice(2), parts);
  else parts.set(type, decode(body, /^content-transfer-encoding: *(\S+)/im.exec(head)?.[1] ?? '').trim());
  return parts;
}

function readWords(text: string): string {
  return text
    .replaceAll(/\?= +=\?/g, '?==?')
    .replaceAll(/=\?utf-8\?([BQ])\?([^?]*)\?=/gi, (_all, kind: string, word: string) =>
      kind.toUpperCase() === 'B'
        ? decode(word, 'base64')
        : decode(word.replaceAll('_', ' '), 'quoted-printable'),
    );
}

async function selfSigned(): Promise<{ cert: string; key: string }> {
  const keys = await webcrypto.subtle.generateKey(ec, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    ...{ name: 'CN=relay', keys, signingAlgorithm: ec, notAfter: new Date(Date.now() + 86_400_000) },
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }]),
    ],
  });
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  return { cert: certificate.toString('pem'), key: key.export({ format: 'pem', type: 'pkcs8' }).toString() };
}

/** A real SMTP server on loopback, with a certificate of its own; it does what a test tells it. */
export class MailRelay {
  readonly #server: SMTPServer;
  readonly account = { user: 'atlas', password: 'right-password' };
  readonly ca: string;
  readonly taken: TakenMail[] = [];
  /** Conversations that reached the text of a mail. */
  attempts = 0;
  behaviour: (to: string) => Behaviour = () => 'take';

  private constructor(tls: { cert: string; key: string }, { secure }: { secure: boolean }) {
    this.ca = tls.cert;
    this.#server = new SMTPServer({
      ...{ ...tls, secure, logger: false, disableReverseLookup: true, closeTimeout: 500 },
      onAuth: ({ username, password }, _session, done) =>
        username === this.account.user && password === this.account.password
          ? done(null, { user: username })
          : done(Object.assign(new Error('wrong account'), { responseCode: 535 })),
      onData: (stream, session, done) => {
        const chunks: Buffer[] = [];
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('end', () => {
          this.attempts += 1;
          const to = session.envelope.rcptTo[0]?.address ?? '';
          const behaviour = this.behaviour(to);
          if (behaviour === 'take' || behaviour === 'take_and_hang_up')
            this.#take(to, Buffer.concat(chunks).toString('latin1'));
          if (typeof behaviour === 'number')
            done(Object.assign(new Error('not now'), { responseCode: behaviour }));
          else if (behaviour === 'take') done();
          else for (const connection of this.#server.connections) connection._socket.destroy();
        });
      },
    });
    this.#server.on('error', () => undefined);
  }

  static async start(options = { secure: false }): Promise<MailRelay> {
    const relay = new MailRelay(await selfSigned(), options);
    await new Promise<void>((resolve) => relay.#server.listen(0, '127.0.0.1', () => resolve()));
    return relay;
  }

  get port(): number {
    return (this.#server.server.address() as AddressInfo).port;
  }

  #take(to: string, raw: string): void {
    const text = Buffer.from(raw, 'latin1').toString('utf8');
    const subject = readWords(/^subject: *(.*)$/im.exec(split(text).head)?.[1] ?? '').trim();
    this.taken.push({ to, raw: text, subject, parts: readParts(text, new Map()) });
  }

  async stop(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
