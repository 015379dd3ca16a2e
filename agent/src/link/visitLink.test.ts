import { mkdtemp, rm, stat } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { AgentFrame, ServerFrame } from '#contract/agent-link.ts';
import { maxVisitWaitMs, type VisitReply, type VisitRequest } from '#contract/visit.ts';
import { isServed, readToEnd, VisitLink } from './visitLink.ts';

const at = '2026-11-21T20:00:00.000Z';
const id = (n: number) => `0198a4d1-9a3c-7000-8000-00000000000${n}`;
const heartbeat: AgentFrame = {
  type: 'heartbeat',
  at,
  bootId: 'boot',
  cosignature: null,
  guardArmedUntil: null,
};
const hello: AgentFrame = {
  ...{ type: 'hello', agentVersion: '0.1.0', bootId: 'boot', bootedAt: at, generation: 1 },
  ...{ policyEpoch: 1, lockSerial: 0, treeSize: 0, lastResultSeq: 0, openCommands: [] },
};
const welcome: ServerFrame = { type: 'welcome', serverTime: at, heartbeatS: 5, resultsHeld: 0 };
const alarm: AgentFrame = { type: 'alarm', code: 'evil', detail: '{{ 7 * 7 }} $(id)', at };

let folder: string;
let socketPath: string;
let link: VisitLink;
let heard: ServerFrame[];
let isBusy: boolean;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'atlas-visit-'));
  socketPath = path.join(folder, 'visit.sock');
  heard = [];
  isBusy = false;
  link = new VisitLink(
    {
      credentials: () => ({ url: '', caPem: '', chainPem: '', keyPem: '' }),
      hello: () => hello,
      heartbeat: () => heartbeat,
      isBusy: () => Promise.resolve(isBusy),
      onFrame: (frame) => heard.push(frame),
      onClosed: () => undefined,
      onBadFrame: () => undefined,
    },
    socketPath,
  );
  link.start();
  await vi.waitFor(async () => expect(await isServed(socketPath)).toBe(true));
});

afterEach(async () => {
  link.stop();
  await rm(folder, { recursive: true, force: true });
});

async function visit(request: VisitRequest | object): Promise<VisitReply> {
  const socket = createConnection(socketPath);
  const said = readToEnd(socket);
  socket.end(JSON.stringify(request));
  return JSON.parse(await said) as VisitReply;
}
const frames = (n: number, sent: ServerFrame[] = [], waitMs = 0) =>
  visit({ kind: 'frames', conversationId: id(n), frames: sent, waitMs });

describe('a host that is visited', () => {
  it('opens its door to root only', async () => {
    expect((await stat(socketPath)).mode & 0o777).toBe(0o600);
  });

  it('says hello, hears frames in order, and is up only while somebody comes', async () => {
    expect(await visit({ kind: 'open', conversationId: id(1) })).toEqual({
      kind: 'frames',
      frames: [hello],
      busy: false,
    });
    expect(link.isUp).toBe(false);
    expect(link.send(alarm)).toBe(false);
    isBusy = true;
    expect(await frames(1, [welcome, { type: 'resultsHeld', upTo: 3 }])).toEqual({
      kind: 'frames',
      frames: [heartbeat],
      busy: true,
    });
    expect(heard.map(({ type }) => type)).toEqual(['welcome', 'resultsHeld']);
    expect(link.isUp).toBe(true);
  });

  it('tells what it has at once, whatever it is, and waits when it has nothing', async () => {
    await visit({ kind: 'open', conversationId: id(1) });
    await frames(1, [welcome]);
    const waiting = frames(1, [], maxVisitWaitMs);
    setTimeout(() => link.send(alarm), 100);
    expect(await waiting).toEqual({ kind: 'frames', frames: [heartbeat, alarm], busy: false });
  }, 10_000);

  it('knows one conversation: an older one, or one from before its start, is over', async () => {
    await visit({ kind: 'open', conversationId: id(1) });
    await visit({ kind: 'open', conversationId: id(2) });
    expect(await frames(1)).toMatchObject({ kind: 'refused', code: 'no_conversation' });
    expect(await frames(2)).toMatchObject({ kind: 'frames' });
  });

  it('refuses what the contract does not know', async () => {
    expect(
      await visit({ kind: 'frames', conversationId: id(1), frames: [{ type: 'shell' }], waitMs: 0 }),
    ).toMatchObject({
      kind: 'refused',
      code: 'malformed',
    });
  });
});
