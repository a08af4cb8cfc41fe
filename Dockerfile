# chaos-agents as a container. docs/service.md tells how to build and run it, and what it needs.
#
# BASE_IMAGE: a Debian or the like with Node 20.19 or newer, and npm for the build.
ARG BASE_IMAGE=node:22-bookworm-slim

FROM ${BASE_IMAGE} AS build
WORKDIR /src
COPY package.json package-lock.json tsconfig.json tsconfig.cjs.json ./
COPY scripts/setup.mjs scripts/bundle.mjs scripts/
# An npm configuration (a registry of one's own) comes in as a secret, and stays out of the image.
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc npm ci --no-audit --no-fund
COPY src src
RUN node scripts/setup.mjs && npm prune --omit=dev --no-audit --no-fund

FROM ${BASE_IMAGE}
# tini is process 1: it passes signals on, and buries what workers leave behind. flock (util-linux) is the lock.
RUN command -v tini flock > /dev/null || \
    { apt-get update && apt-get install -y --no-install-recommends tini util-linux && rm -rf /var/lib/apt/lists/*; }
RUN useradd --no-create-home --uid 10001 --home-dir /var/lib/chaos-agents --shell /usr/sbin/nologin chaos && \
    install -d -o chaos -g chaos -m 0700 /var/lib/chaos-agents && install -d /etc/chaos-agents
WORKDIR /app
COPY package.json LICENSE ./
COPY --from=build /src/node_modules node_modules
COPY --from=build /src/dist dist
RUN ln -s /app/dist/main.js /usr/local/bin/chaos

USER 10001:10001
ENV NODE_ENV=production CHAOS_STATE_DIR=/var/lib/chaos-agents
# The journal of what has to be undone: it must outlive the container.
VOLUME /var/lib/chaos-agents
# Everything is undone before it ends: give it longer than settings.stop_deadline (docker stop -t 360).
STOPSIGNAL SIGTERM
# Not healthy: no daemon is up (1), or something is not undone (4).
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s CMD ["chaos", "status"]
ENTRYPOINT ["tini", "--", "chaos"]
CMD ["daemon", "/etc/chaos-agents/chaos.yaml"]
