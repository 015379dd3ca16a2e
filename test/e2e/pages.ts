import { emptyTenantId } from '../harness/mock-api/answers.ts';
import { hosts, idOf, tenantId } from '../harness/mock-api/fleetData.ts';

/** One picture to take: a page in one of its states. */
export interface Shot {
  readonly name: string;
  readonly path: string;
  /** What to do before the picture, by role and name of things on the page. */
  readonly act?:
    | 'preview'
    | 'palette'
    | 'shortcuts'
    | 'select'
    | 'verify'
    | 'entry'
    | 'enrol'
    | 'newPolicy'
    | 'newWindow'
    | 'newFreeze'
    | 'newGroup'
    | 'newException'
    | 'newSsh'
    | 'unfoldLane'
    | 'openBar'
    | 'expand';
}

const t = `/t/${tenantId}`;
const settings = [
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
];

/** Every page and main state of the interface, over the simulated client. */
export const shots: readonly Shot[] = [
  { name: 'today', path: `${t}/today` },
  { name: 'today-empty', path: `/t/${emptyTenantId}/today` },
  { name: 'first-run', path: `/t/${emptyTenantId}/start` },
  { name: 'fleet', path: `${t}/hosts` },
  { name: 'fleet-filtered', path: `${t}/hosts?status=unknown`, act: 'select' },
  { name: 'fleet-none', path: `${t}/hosts?q=introuvable` },
  { name: 'fleet-empty', path: `/t/${emptyTenantId}/hosts` },
  { name: 'host', path: `${t}/hosts/${hosts[7]?.id ?? ''}` },
  { name: 'host-ssh', path: `${t}/hosts/${hosts.find(({ reach }) => reach === 'ssh')?.id ?? ''}` },
  { name: 'host-missing', path: `${t}/hosts/${idOf('nobody')}` },
  { name: 'plans', path: `${t}/plans` },
  {
    name: 'plan-builder',
    path: `${t}/plans/new?hosts=${hosts
      .slice(1, 5)
      .map((host) => host.id)
      .join(',')}`,
    act: 'preview',
  },
  { name: 'plan', path: `${t}/plans/${idOf('plan', 44)}`, act: 'expand' },
  { name: 'exceptions', path: `${t}/exceptions` },
  { name: 'exceptions-empty', path: `/t/${emptyTenantId}/exceptions` },
  { name: 'exception-editor', path: `${t}/exceptions`, act: 'newException' },
  { name: 'releases', path: `${t}/releases` },
  { name: 'signing', path: `${t}/releases/${idOf('release', 44)}` },
  { name: 'signing-tampered', path: `${t}/releases/${idOf('release', 46)}` },
  { name: 'runs', path: `${t}/runs` },
  { name: 'run', path: `${t}/runs/${idOf('run', 42)}` },
  { name: 'run-scheduled', path: `${t}/runs/${idOf('run', 43)}` },
  { name: 'run-missed', path: `${t}/runs/${idOf('run', 40)}` },
  { name: 'run-emergency', path: `${t}/runs/${idOf('run', 41)}` },
  { name: 'run-host', path: `${t}/runs/${idOf('run', 42)}?host=${idOf('hostRun', 1)}` },
  { name: 'calendar', path: `${t}/calendar` },
  { name: 'calendar-week', path: `${t}/calendar?view=week` },
  { name: 'calendar-timeline', path: `${t}/calendar?view=timeline`, act: 'unfoldLane' },
  { name: 'calendar-timeline-month', path: `${t}/calendar?view=timeline&zoom=month&by=site&hours=utc` },
  { name: 'calendar-drawer', path: `${t}/calendar?view=timeline&zoom=day`, act: 'openBar' },
  { name: 'audit', path: `${t}/audit`, act: 'verify' },
  { name: 'audit-entry', path: `${t}/audit`, act: 'entry' },
  ...settings.map((part) => ({ name: `settings-${part}`, path: `${t}/settings/${part}` })),
  { name: 'enrolment-token', path: `${t}/settings/enrolment`, act: 'enrol' },
  { name: 'ssh-editor', path: `${t}/settings/ssh`, act: 'newSsh' },
  { name: 'group-editor', path: `${t}/settings/groups`, act: 'newGroup' },
  { name: 'policy-editor', path: `${t}/settings/policies`, act: 'newPolicy' },
  { name: 'window-editor', path: `${t}/settings/windows`, act: 'newWindow' },
  { name: 'freeze-editor', path: `${t}/settings/windows`, act: 'newFreeze' },
  { name: 'palette', path: `${t}/today`, act: 'palette' },
  { name: 'shortcuts', path: `${t}/today`, act: 'shortcuts' },
  { name: 'accessibility', path: '/accessibilite' },
  { name: 'not-found', path: '/nulle-part' },
];
