import type { Permission } from '#contract/access.ts';
import type { SettingsPart } from '../../paths.ts';

/** What one must be allowed to see each part; null for everybody. */
export const partPermission: Readonly<Record<SettingsPart, Permission | null>> = {
  people: 'members.read',
  sites: 'fleet.read',
  enrolment: 'agents.read',
  agents: 'agents.read',
  ssh: 'agents.read',
  groups: 'fleet.read',
  policies: 'policies.read',
  windows: 'windows.read',
  notices: 'members.read',
  approvers: 'trust.read',
  document: 'trust.read',
  keys: 'apiKeys.manage',
  preferences: null,
};
