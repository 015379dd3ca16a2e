/// <reference types="svelte" />
/// <reference types="vite/client" />
import type { Permission } from '#contract/access.ts';
import type { RouteName } from '#contract/routes.ts';

declare global {
  /** Written into the bundle by vite.config.ts from the contract's route table. */
  const __ATLAS_ROUTES__: Readonly<
    Record<
      RouteName,
      {
        readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
        readonly path: string;
        readonly permission: Permission | 'public' | 'authenticated';
        readonly ifMatch?: boolean;
        readonly produces?: string;
      }
    >
  >;
}
