import { Type, type Static } from 'typebox';
import { RoleName } from '#contract/access.ts';
import { defineRoute } from '#contract/route.ts';
import { Count, Instant, Line, OneOf, OrNull, Strict, Uuid } from '#contract/schema.ts';
import { tenantParams } from '#contract/tenants.ts';

/** How long before its beginning people are told of planned maintenance, days. */
export const noticeDays = 7;

const Address = Type.String({ maxLength: 254, pattern: '^[^@\\s<>,;"]{1,64}@[^@\\s<>,;"]{1,189}$' });
const Locale = OneOf(['fr', 'en']);

/** Who is told of coming maintenance by mail: members by role, and addresses of people who are no members. */
export const NoticeSettingsBody = Strict({
  roles: Type.Array(RoleName, { maxItems: 5, uniqueItems: true }),
  addresses: Type.Array(
    Strict({
      address: Address,
      locale: Locale,
      /** Null: told of every site. */
      siteId: OrNull(Uuid),
    }),
    { maxItems: 200 },
  ),
});

export const NoticeSettings = Strict({
  ...NoticeSettingsBody.properties,
  /** False when the server has no mail relay: nobody can be told. */
  mailOn: Type.Boolean(),
  version: Type.Integer(),
});

export const noticeKinds = ['planned', 'emergency', 'cancelled', 'postponed', 'missed'] as const;

/** `mail_off`: the server had no relay when it was due. `superseded`: taken back before anybody was told. */
export const noticeStates = [
  'waiting',
  'sending',
  'sent',
  'partly_sent',
  'failed',
  'nobody',
  'mail_off',
  'superseded',
] as const;

export const noticeMailStates = ['waiting', 'sending', 'sent', 'failed', 'withdrawn'] as const;

/** One notice about one released run, and what became of each mail. */
export const Notice = Strict({
  id: Uuid,
  runId: Uuid,
  kind: OneOf(noticeKinds),
  state: OneOf(noticeStates),
  dueAt: Instant,
  createdAt: Instant,
  endedAt: OrNull(Instant),
  /** Whole days between the notice and the beginning of the maintenance. */
  daysAhead: Count,
  /** Members who should be told and have no address. */
  withoutAddress: Count,
  mails: Type.Array(
    Strict({
      id: Uuid,
      /** Name of the member; null for an address of the list. */
      personName: OrNull(Line(200)),
      address: Type.String(),
      locale: Locale,
      state: OneOf(noticeMailStates),
      attempts: Count,
      nextAttemptAt: OrNull(Instant),
      endedAt: OrNull(Instant),
      /** What the relay answered last, or why there was no answer. */
      reply: OrNull(Line(500)),
      /** An answer of the relay was lost, so that the mail was sent again: it may have come twice. */
      maybeTwice: Type.Boolean(),
    }),
  ),
});

export const noticeRoutes = {
  getNoticeSettings: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/notice-settings',
    permission: 'members.read',
    audit: null,
    summary: 'Who is told of coming maintenance',
    params: tenantParams,
    response: NoticeSettings,
  }),
  updateNoticeSettings: defineRoute({
    method: 'PUT',
    path: '/api/v1/tenants/:tenantId/notice-settings',
    permission: 'windows.manage',
    audit: 'notice_settings.updated',
    ifMatch: true,
    summary: 'Say who is told of coming maintenance; notices that are on their way keep their people',
    params: tenantParams,
    body: NoticeSettingsBody,
    response: NoticeSettings,
  }),
  listPlanNotices: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/plans/:planId/notices',
    permission: 'releases.read',
    audit: null,
    summary: 'Notices about a plan, oldest first: who was told, when, and who was not',
    params: Strict({ tenantId: Uuid, planId: Uuid }),
    response: Strict({ items: Type.Array(Notice), mailOn: Type.Boolean() }),
  }),
};

export type NoticeSettingsBody = Static<typeof NoticeSettingsBody>;
export type NoticeSettings = Static<typeof NoticeSettings>;
export type Notice = Static<typeof Notice>;
