import { createServer } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { routes } from '#contract/routes.ts';
import type { Config } from './config.ts';
import { createFeatures, type Features } from './main.features.ts';
import { createPlatform, type Platform } from './main.platform.ts';
import { realmName } from './platform/identity/realm.policy.ts';
import { createPeopleServer, type PeopleServerOptions } from './platform/http/server.ts';

const hourMs = 3_600_000;

/** The listener for people, not yet listening. `checkResponses`: refuses to send what the contract does not allow. */
export function createPeople(
  platform: Platform,
  features: Features,
  options: Pick<PeopleServerOptions, 'checkResponses' | 'limits'>,
): Promise<FastifyInstance> {
  const { config, clock, db, log, metrics, redis } = platform;
  return createPeopleServer({
    routes,
    handlers: features.handlers,
    authenticate: features.authenticate,
    clock,
    log,
    redis,
    metrics,
    version: config.version,
    publicUrl: config.publicUrl,
    webDirectory: config.webDirectory,
    identity: { upstreamUrl: config.keycloak.url, realm: realmName },
    ready: db.check,
    database: platform.primary.report,
    extend: features.extend,
    ...options,
  });
}

/** Metrics have a listener of their own on the loopback: they are for the site's monitoring, not for people. */
function serveMetrics(platform: Platform): () => void {
  const { config, metrics, log } = platform;
  if (config.metricsPort === null) return () => undefined;
  const server = createServer((request, response) => {
    if (request.url !== '/metrics') {
      response.writeHead(404).end();
      return;
    }
    metrics.registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': metrics.registry.contentType }).end(text),
      (error: unknown) => {
        log.warn({ err: error }, 'metrics could not be read');
        response.writeHead(500).end();
      },
    );
  });
  server.listen(config.metricsPort, '127.0.0.1');
  return () => server.close();
}

async function schedule(platform: Platform, features: Features): Promise<void> {
  await platform.queues.every('housekeeping', hourMs, async () => {
    for (const task of features.housekeeping) await task();
  });
}

/** Resolves when the process is asked to end. A second signal ends it at once. */
function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal));
  });
}

/** Runs the roles of the configuration until the process is told to stop; what was accepted is finished first. */
export async function serve(config: Config): Promise<void> {
  const platform = await createPlatform(config, [...config.roles].join('+'));
  const { log } = platform;
  const stopped = stopSignal();
  const features = createFeatures(platform);
  const closeMetrics = serveMetrics(platform);
  if (config.roles.has('worker')) {
    platform.sealer.start();
    platform.outbox.start();
  }
  await features.start();
  if (config.roles.has('scheduler')) {
    // Redis may come later than we do: nobody waits for the hourly housekeeping.
    schedule(platform, features).catch((error: unknown) =>
      log.warn({ err: error }, 'housekeeping is not scheduled'),
    );
  }
  const people = config.roles.has('api')
    ? await createPeople(platform, features, { checkResponses: false })
    : null;
  await people?.listen(config.people);
  log.info({ publicUrl: config.publicUrl, roles: [...config.roles] }, 'ATLAS ORCHESTRATOR serves');
  log.info({ signal: await stopped }, 'stopping: what was accepted is finished first');
  await people?.close();
  closeMetrics();
  await features.stop();
  await platform.close();
}
