import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { Environment } from '../server/src/config.ts';
import { keycloakVersion } from '../stack/keycloakBuild.ts';

type Healthcheck = { test: string[]; interval: string; timeout: string; retries: number };
type Service = {
  image?: string;
  build?: string;
  restart?: string;
  environment?: Record<string, string>;
  secrets?: string[];
  volumes?: string[];
  ports?: string[];
  depends_on?: Record<string, { condition: string }>;
  healthcheck?: Healthcheck;
  command?: string[];
};
type Compose = {
  name: string;
  services: Record<string, Service>;
  secrets: Record<string, { file: string }>;
  volumes: Record<string, unknown>;
};

const root = path.resolve(import.meta.dirname, '..');
const compose = parse(readFileSync(path.join(root, 'docker-compose.yml'), 'utf8'), {
  merge: true,
}) as Compose;
const services = Object.entries(compose.services);

// Keys of the Compose specification that this file uses; a misspelt one would be ignored or refused by the engine.
const knownKeys = new Set(
  'image build restart environment secrets volumes ports depends_on healthcheck command entrypoint read_only tmpfs cap_drop security_opt'.split(
    ' ',
  ),
);

describe('docker-compose.yml', () => {
  it('uses only keys that the Compose specification knows', () => {
    expect(
      services
        .flatMap(([name, service]) => Object.keys(service).map((key) => `${name}.${key}`))
        .filter((one) => !knownKeys.has(one.split('.')[1] ?? '')),
    ).toEqual([]);
  });

  it('pins every image by a full version', () => {
    const loose = services.filter(
      ([, service]) => !/:\d+\.\d+(\.\d+)?(-[a-z0-9.]+)?$/.test(service.image ?? ''),
    );
    expect(loose.map(([name]) => name)).toEqual([]);
  });

  it('runs the Keycloak that ./atlas up runs', () => {
    expect(compose.services.keycloak?.image).toMatch(new RegExp(`:${keycloakVersion}$`));
  });

  it('has a health check on everything that stays up', () => {
    const staying = services.filter(([, service]) => service.restart !== 'no');
    expect(staying.map(([name]) => name)).toEqual(['postgres', 'redis', 'keycloak', 'server']);
    for (const [, service] of staying) {
      expect(service.healthcheck?.test[0]).toMatch(/^CMD(-SHELL)?$/);
      expect(service.healthcheck?.retries).toBeGreaterThan(0);
    }
  });

  it('names no service, secret or volume that is not there', () => {
    for (const [, service] of services) {
      for (const name of Object.keys(service.depends_on ?? {})) expect(compose.services).toHaveProperty(name);
      for (const name of service.secrets ?? []) expect(compose.secrets).toHaveProperty([name]);
      for (const volume of service.volumes ?? []) {
        const source = volume.split(':')[0] ?? '';
        if (!source.startsWith('.')) expect(compose.volumes).toHaveProperty([source]);
      }
    }
  });

  it('waits for a health check only where there is one, and for an end only where there is one', () => {
    for (const [, service] of services) {
      for (const [name, { condition }] of Object.entries(service.depends_on ?? {})) {
        const wanted =
          compose.services[name]?.restart === 'no' ? 'service_completed_successfully' : 'service_healthy';
        expect([name, condition]).toEqual([name, wanted]);
      }
    }
  });

  it('gives secrets as files only', () => {
    const named = services.flatMap(([, service]) => Object.entries(service.environment ?? {}));
    const values = named.filter(([name]) => /PASSWORD|SECRET|KEK/.test(name));
    expect(values.length).toBeGreaterThan(4);
    expect(values.filter(([, value]) => !value.startsWith('/run/secrets/'))).toEqual([]);
    expect(named.filter(([, value]) => /:\/\/[^/@]+:[^/@]+@/.test(value))).toEqual([]);
    for (const secret of Object.values(compose.secrets))
      expect(secret.file).toMatch(/^\.\/\.atlas\/secrets\//);
  });

  it('mounts every secret that a service reads', () => {
    for (const [name, service] of services) {
      const files = Object.values(service.environment ?? {}).filter((value) =>
        value.startsWith('/run/secrets/'),
      );
      const missing = files
        .map((file) => path.basename(file))
        .filter((one) => !service.secrets?.includes(one));
      expect([name, missing]).toEqual([name, []]);
    }
  });

  it('gives the server all it requires and nothing that it does not know', () => {
    const given = Object.keys(compose.services.server?.environment ?? {}).sort();
    const required = Environment.required.filter(
      (name) => !given.includes(name) && !('default' in Environment.properties[name]),
    );
    expect(required).toEqual([]);
    expect(given.filter((name) => !(name in Environment.properties))).toEqual([]);
  });
});
