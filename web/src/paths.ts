import type { HostFilters } from './features/fleet/filters.ts';
import { writeFilters } from './features/fleet/filters.ts';

/** Every address inside the application comes from here; a page that moves changes one line. */
export const paths = {
  home: () => '/',
  accessibility: () => '/accessibilite',
  today: (tenantId: string) => `/t/${tenantId}/today`,
  firstRun: (tenantId: string) => `/t/${tenantId}/start`,
  fleet: (tenantId: string, filters: HostFilters = {}) => {
    const search = writeFilters(filters).toString();
    return `/t/${tenantId}/hosts${search === '' ? '' : `?${search}`}`;
  },
  host: (tenantId: string, hostId: string) => `/t/${tenantId}/hosts/${hostId}`,
  plans: (tenantId: string) => `/t/${tenantId}/plans`,
  newPlan: (tenantId: string, hostIds: readonly string[] = []) =>
    `/t/${tenantId}/plans/new${hostIds.length === 0 ? '' : `?hosts=${hostIds.join(',')}`}`,
  plan: (tenantId: string, planId: string) => `/t/${tenantId}/plans/${planId}`,
  exceptions: (tenantId: string) => `/t/${tenantId}/exceptions`,
  releases: (tenantId: string) => `/t/${tenantId}/releases`,
  release: (tenantId: string, releaseId: string) => `/t/${tenantId}/releases/${releaseId}`,
  runs: (tenantId: string) => `/t/${tenantId}/runs`,
  run: (tenantId: string, runId: string, hostRunId?: string) =>
    `/t/${tenantId}/runs/${runId}${hostRunId === undefined ? '' : `?host=${hostRunId}`}`,
  calendar: (tenantId: string) => `/t/${tenantId}/calendar`,
  audit: (tenantId: string) => `/t/${tenantId}/audit`,
  settings: (tenantId: string, part: SettingsPart = 'people') => `/t/${tenantId}/settings/${part}`,
} as const;

export const settingsParts = [
  'people',
  'sites',
  'enrolment',
  'agents',
  'ssh',
  'groups',
  'policies',
  'windows',
  'notices',
  'approvers',
  'document',
  'keys',
  'preferences',
] as const;
export type SettingsPart = (typeof settingsParts)[number];
