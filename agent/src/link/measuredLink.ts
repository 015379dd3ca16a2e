import { createMeasurer } from '../../providers/linux/procMeasures.ts';
import { Sampler } from '../facts/sampler.ts';
import { log } from '../log.ts';
import type { CreateLink } from '../runner/agentParts.ts';
import type { HostLink, LinkHandlers } from './hostLink.ts';

/** A link on which measures of the host travel too, beside the agent's work and without its knowledge. */
export function createMeasuredLink(handlers: LinkHandlers, create: CreateLink): HostLink {
  const sampler = new Sampler({
    read: createMeasurer(),
    send: (frame) => link.send(frame),
    onFault: (error) => log('measures.failed', { error: String(error) }),
    random: Math.random,
  });
  const link = create({
    ...handlers,
    onFrame: (frame) => {
      if (frame.type === 'measure') sampler.measure(frame.everyS);
      handlers.onFrame(frame);
    },
  });
  return {
    start: () => link.start(),
    stop: () => {
      sampler.stop();
      link.stop();
    },
    reconnect: () => link.reconnect(),
    send: (frame) => link.send(frame),
    get isUp() {
      return link.isUp;
    },
    get lastHeardMs() {
      return link.lastHeardMs;
    },
  };
}
