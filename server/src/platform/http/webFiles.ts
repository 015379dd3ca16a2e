import { existsSync } from 'node:fs';
import path from 'node:path';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { AppError } from '../errors.ts';

interface WebFilesOptions {
  /** Folder of the built single-page application; without it only the API is served. */
  readonly directory: string;
  readonly allowedMethods: (path: string) => string[] | null;
}

/** A path that names a page of the application: no file extension, none of the server's own prefixes. */
function isPage(path: string): boolean {
  return !/^\/(api|idp|ws|assets)(\/|$)/.test(path) && !/\.[A-Za-z0-9]+$/.test(path);
}

/** Serves the application: hashed assets for ever, index.html never from a cache; every page path gets index.html. */
export async function installWebFiles(app: FastifyInstance, options: WebFilesOptions): Promise<void> {
  const hasIndex = existsSync(path.join(options.directory, 'index.html'));
  if (hasIndex) {
    await app.register(fastifyStatic, {
      root: options.directory,
      index: false,
      wildcard: true,
      dotfiles: 'deny',
      cacheControl: false,
      setHeaders: (reply, file) => {
        const immutable = file.includes(`${path.sep}assets${path.sep}`);
        reply.header('cache-control', immutable ? 'public, max-age=31536000, immutable' : 'no-store');
      },
    });
    const index = (_request: FastifyRequest, reply: FastifyReply): FastifyReply =>
      reply.sendFile('index.html');
    app.get('/', index);
  }
  app.setNotFoundHandler((request, reply) => {
    const asked = request.url.split('?', 1)[0] ?? '/';
    const methods = options.allowedMethods(asked);
    if (methods !== null) {
      reply.header('allow', methods.join(', '));
      throw new AppError('method_not_allowed');
    }
    if (hasIndex && request.method === 'GET' && isPage(asked)) return reply.code(200).sendFile('index.html');
    throw new AppError('not_found');
  });
}
