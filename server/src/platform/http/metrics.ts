import { Histogram, Registry, collectDefaultMetrics, Gauge } from '@prometheus-io/client';
import type { FastifyInstance } from 'fastify';

export interface Metrics {
  readonly registry: Registry;
  /** Shows a number that is read when Prometheus asks. */
  readonly gauge: (name: string, help: string, read: () => number) => void;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return {
    registry,
    gauge: (name, help, read) => {
      new Gauge({
        name,
        help,
        registers: [registry],
        collect() {
          this.set(read());
        },
      });
    },
  };
}

/** Times every answer by route name and status: never by URL, which holds identifiers. */
export function measureRequests(app: FastifyInstance, metrics: Metrics): void {
  const seconds = new Histogram({
    name: 'atlas_http_request_seconds',
    help: 'Time to answer a request',
    labelNames: ['route', 'status'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers: [metrics.registry],
  });
  app.addHook('onResponse', (request, reply, done) => {
    const { routeName } = request.routeOptions.config as { routeName?: string };
    seconds.observe(
      { route: routeName ?? 'other', status: String(reply.statusCode) },
      reply.elapsedTime / 1000,
    );
    done();
  });
}
