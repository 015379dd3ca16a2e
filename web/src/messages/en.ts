import { access } from './en/access.ts';
import { audit } from './en/audit.ts';
import { builds } from './en/builds.ts';
import { errors } from './en/errors.ts';
import { exceptions } from './en/exceptions.ts';
import { feeds } from './en/feeds.ts';
import { fleet } from './en/fleet.ts';
import { followUps } from './en/followups.ts';
import { frame } from './en/frame.ts';
import { groups } from './en/groups.ts';
import { metrics } from './en/metrics.ts';
import { notices } from './en/notices.ts';
import { plans } from './en/plans.ts';
import { reach } from './en/reach.ts';
import { releases } from './en/releases.ts';
import { runs } from './en/runs.ts';
import { settings } from './en/settings.ts';
import { timeline } from './en/timeline.ts';
import { today } from './en/today.ts';
import { windows } from './en/windows.ts';
import type { MessageKey } from './fr.ts';

/** Every text in English; a missing key does not compile. */
export const en: Readonly<Record<MessageKey, string>> = {
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
};
