# The ATLAS server with the built web application; used by docker-compose.yml.
FROM node:26.10.0-trixie-slim AS build
WORKDIR /atlas
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY . .
RUN node node_modules/vite/bin/vite.js build web --outDir /atlas/web-built --emptyOutDir && npm prune --omit=dev --ignore-scripts

FROM node:26.10.0-trixie-slim
ENV NODE_ENV=production
WORKDIR /atlas
COPY --from=build --chown=root:root /atlas /atlas
RUN mkdir /var/lib/atlas && chown node:node /var/lib/atlas
USER node
CMD ["node", "server/src/main.ts", "serve"]
