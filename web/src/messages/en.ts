import { access } from './en/access.ts';
import { errors } from './en/errors.ts';
import { fleet } from './en/fleet.ts';
import { frame } from './en/frame.ts';
import { runs } from './en/runs.ts';
import type { MessageKey } from './fr.ts';

/** Every text in English; a missing key does not compile. */
export const en: Readonly<Record<MessageKey, string>> = { ...access, ...errors, ...fleet, ...frame, ...runs };
