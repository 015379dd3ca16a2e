import { access } from './fr/access.ts';
import { errors } from './fr/errors.ts';
import { fleet } from './fr/fleet.ts';
import { frame } from './fr/frame.ts';
import { runs } from './fr/runs.ts';

/** Every text in French, the source. Keys are sorted by part of the product. */
export const fr = { ...access, ...errors, ...fleet, ...frame, ...runs } as const;
export type MessageKey = keyof typeof fr;
