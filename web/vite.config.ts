import { svelte } from '@sveltejs/vite-plugin-svelte';
import tailwindcss from '@tailwindcss/vite';
import { defineConfig } from 'vite';
import { routes } from '../contract/routes.ts';
import type { RouteSpec } from '../contract/route.ts';
import { budget } from './plugins/budget.ts';
import { compiledMessages } from './plugins/compiledMessages.ts';
import { contractData } from './plugins/contractData.ts';

/** What the browser needs of a route; the schemas stay on the server, so that no validator is shipped. */
function routeLines(): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(routes as Record<string, RouteSpec>).map(([name, route]) => [
      name,
      {
        method: route.method,
        path: route.path,
        permission: route.permission,
        ...(route.ifMatch === true ? { ifMatch: true } : {}),
        ...(route.produces === undefined ? {} : { produces: route.produces }),
      },
    ]),
  );
}

export default defineConfig({
  root: import.meta.dirname,
  plugins: [
    contractData(),
    compiledMessages(),
    svelte(),
    tailwindcss(),
    budget({ firstLoad: 90_000, chunk: 40_000 }),
  ],
  define: { __ATLAS_ROUTES__: JSON.stringify(routeLines()) },
  optimizeDeps: { exclude: ['intl-messageformat'] },
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    // Every browser in support preloads modules by itself; an injected polyfill would be one more script.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    target: 'es2023',
  },
});
