// Owns calendar addresses: of a site, and of a person for what concerns that person.
// Promises that only hashes of them are kept, that they read and do nothing else, and that they end with the membership.
// Never shows reasons, hosts or other people, and nothing that the person's roles would not show.
import type { FeedsDeps } from './feeds.deps.ts';
import { feedsRoutes } from './feeds.routes.ts';
import { FeedsService } from './feeds.service.ts';

export function createFeedsModule(deps: FeedsDeps) {
  return { routes: feedsRoutes(new FeedsService(deps)) };
}
