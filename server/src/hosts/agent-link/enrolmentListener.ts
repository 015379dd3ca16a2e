import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { Compile } from 'typebox/compile';
import { EnrolRequest, type EnrolResponse } from '#contract/agent-link.ts';
import { errorCodes, type ErrorCode } from '#contract/errors.ts';
import type { Clock } from '../../platform/clock.ts';
import { AppError, invariant } from '../../platform/errors.ts';
import { newId } from '../../platform/ids.ts';
import type { Logger } from '../../platform/log.ts';
import { createAdmission, createKeyedAdmission } from './admission.ts';

export interface EnrolmentListenerOptions {
  readonly host: string;
  readonly port: number;
  readonly tls: () => Promise<{ readonly keyPem: string; readonly chainPem: string }>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Enrols a host; throws AppError, whose code is all that the caller learns. */
  readonly enrol: (request: EnrolRequest, ip: string) => Promise<EnrolResponse>;
  /** Attempts that one address may make at once; one more every two seconds. */
  readonly burstPerAddress?: number;
}

/** The door for hosts that have no certificate yet: one path, one method, small bodies, few attempts. */
export interface EnrolmentListener {
  readonly start: () => Promise<void>;
  readonly stop: () => Promise<void>;
  readonly port: () => number;
  readonly reloadTls: () => Promise<void>;
}

const maxBodyBytes = 32_768;
const schema = Compile(EnrolRequest);

async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBodyBytes) throw new AppError('payload_too_large');
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
  } catch (error) {
    throw new AppError('malformed_body', { cause: error });
  }
}

function answer(response: ServerResponse, status: number, body: object): void {
  const bytes = Buffer.from(JSON.stringify(body));
  const type = status < 400 ? 'application/json' : 'application/problem+json';
  response.writeHead(status, { 'content-type': type, 'content-length': bytes.length, connection: 'close' });
  response.end(bytes);
}

function refuse(response: ServerResponse, code: ErrorCode, detail?: string): void {
  const { status, retryable } = errorCodes[code];
  if (status === 429 || status === 503) response.setHeader('retry-after', '5');
  answer(response, status, {
    type: `urn:atlas:error:${code}`,
    title: code,
    status,
    code,
    ...(detail === undefined ? {} : { detail }),
    requestId: newId(),
    retryable,
  });
}

type Serve = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** What the listener does with one request. */
function createServe(options: EnrolmentListenerOptions): Serve {
  const { clock, log } = options;
  const everybody = createAdmission({ perSecond: 20, burst: 100, now: clock.now });
  const each = createKeyedAdmission({ perSecond: 0.5, burst: options.burstPerAddress ?? 20, now: clock.now });

  async function enrol(request: IncomingMessage): Promise<EnrolResponse> {
    const ip = request.socket.remoteAddress ?? '';
    if (!each(ip) || !everybody.take()) throw new AppError('rate_limited');
    if (request.headers['content-type'] !== 'application/json') throw new AppError('unsupported_media_type');
    const body = await readBody(request);
    if (!schema.Check(body)) {
      const [first] = schema.Errors(body);
      throw new AppError('invalid_request', {
        detail: `${first?.instancePath ?? '/'}: ${first?.keyword ?? ''}`,
      });
    }
    return options.enrol(body, ip);
  }

  return async (request, response) => {
    if (request.url !== '/enrol') {
      refuse(response, 'not_found');
    } else if (request.method !== 'POST') {
      refuse(response, 'method_not_allowed');
    } else {
      try {
        answer(response, 201, await enrol(request));
      } catch (error) {
        if (!(error instanceof AppError)) log.error({ err: error }, 'an enrolment failed');
        if (error instanceof AppError) refuse(response, error.code, error.detail);
        else refuse(response, 'internal');
      }
    }
  };
}

export function createEnrolmentListener(options: EnrolmentListenerOptions): EnrolmentListener {
  const serve = createServe(options);
  let server: Server | undefined;

  const context = async () => {
    const { keyPem, chainPem } = await options.tls();
    return { key: keyPem, cert: chainPem, minVersion: 'TLSv1.3' as const };
  };

  return {
    start: async () => {
      const limits = {
        handshakeTimeout: 5_000,
        headersTimeout: 5_000,
        requestTimeout: 10_000,
        maxHeaderSize: 4096,
      };
      const made = createServer(
        { ...(await context()), ...limits },
        (request, response) => void serve(request, response),
      );
      made.maxConnections = 200;
      await new Promise<void>((resolve, reject) => {
        made.once('error', reject);
        made.listen(options.port, options.host, resolve);
      });
      server = made;
    },
    stop: async () => {
      const closing = server;
      if (closing === undefined) return;
      await new Promise<void>((resolve) => {
        closing.close(() => resolve());
        closing.closeAllConnections();
      });
    },
    port: () => {
      const address = server?.address();
      invariant(typeof address === 'object' && address !== null, 'the enrolment listener is not started');
      return address.port;
    },
    reloadTls: async () => {
      server?.setSecureContext(await context());
    },
  };
}
