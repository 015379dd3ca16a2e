import { pino, type Logger } from 'pino';

export type { Logger };

const secretKeys = [
  'authorization',
  'cookie',
  'password',
  'secret',
  'clientSecret',
  'token',
  'ticket',
  'accessToken',
  'refreshToken',
  'idToken',
  'logout_token',
  'firstPassword',
  'privateKey',
  'kek',
  'totpSecret',
];

/** A logger of JSON lines on the standard output, which the service manager collects. Secrets are removed by name, at two depths. */
export function createLogger(options: { level: string; role: string }): Logger {
  return pino({
    level: options.level,
    base: { role: options.role },
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: {
      paths: secretKeys.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]),
      censor: '[removed]',
    },
  });
}
