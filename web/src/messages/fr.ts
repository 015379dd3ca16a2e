import { access } from './fr/access.ts';
import { audit } from './fr/audit.ts';
import { builds } from './fr/builds.ts';
import { errors } from './fr/errors.ts';
import { exceptions } from './fr/exceptions.ts';
import { feeds } from './fr/feeds.ts';
import { fleet } from './fr/fleet.ts';
import { followUps } from './fr/followups.ts';
import { frame } from './fr/frame.ts';
import { groups } from './fr/groups.ts';
import { metrics } from './fr/metrics.ts';
import { notices } from './fr/notices.ts';
import { plans } from './fr/plans.ts';
import { reach } from './fr/reach.ts';
import { releases } from './fr/releases.ts';
import { runs } from './fr/runs.ts';
import { settings } from './fr/settings.ts';
import { timeline } from './fr/timeline.ts';
import { today } from './fr/today.ts';
import { windows } from './fr/windows.ts';

/** Every text in French, the source. Keys are sorted by part of the product. */
export const fr = {
  ...access,
  ...audit,
  ...builds,
  ...errors,
  ...exceptions,
  ...feeds,
  ...fleet,
  ...followUps,
  ...frame,
  ...groups,
  ...metrics,
  ...notices,
  ...plans,
  ...reach,
  ...releases,
  ...runs,
  ...settings,
  ...timeline,
  ...today,
  ...windows,
} as const;
export type MessageKey = keyof typeof fr;
