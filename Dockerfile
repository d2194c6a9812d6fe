# The runtime of Skill Runner: Node, Python, and what agents' tools need. The agent CLIs are not in it: they lie in the
# volume at /opt/cache, so that they can be upgraded without a rebuild (docs/containerization.md).
ARG NODE_IMAGE=docker.io/library/node:24-bookworm-slim
ARG UV_IMAGE=ghcr.io/astral-sh/uv:0.9.11

FROM ${UV_IMAGE} AS uv

FROM ${NODE_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --no-fund --no-audit
COPY scripts/build.mjs scripts/
COPY functions functions
COPY lib lib
COPY runtime runtime
RUN node scripts/build.mjs

FROM ${NODE_IMAGE}
# bubblewrap: the sandbox around every agent, and codex's own. ripgrep: opencode would download it. tini: ends what agents leave behind as PID 1 must.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        bubblewrap ca-certificates curl git procps python3 python3-venv ripgrep tini \
    && rm -rf /var/lib/apt/lists/*
COPY --from=uv /uv /uvx /usr/local/bin/

WORKDIR /app
# Where settings, logins and CLIs lie. The volume comes last in PATH: what agents can write to must not stand for node. What runs gets three seconds at the end: docker stop kills after ten.
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    PORT=8000 \
    SKILL_RUNNER_SHUTDOWN_GRACE_SECONDS=3 \
    SKILL_RUNNER_DATA_DIR=/data \
    SKILL_RUNNER_SKILLS_DIR=/app/skills \
    SKILL_RUNNER_AGENT_CONFIG_DIR=/opt/config \
    CLAUDE_CONFIG_DIR=/opt/config/claude \
    UV_CACHE_DIR=/opt/cache/uv_cache \
    UV_PROJECT_ENVIRONMENT=/opt/cache/uv_venv \
    NPM_CONFIG_PREFIX=/opt/cache/npm \
    NPM_CONFIG_CACHE=/opt/cache/npm_cache \
    NPM_CONFIG_UPDATE_NOTIFIER=false \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/cache/npm/bin
# Also for a user of the operator's choice (user: in the compose file), who owns none of them.
RUN mkdir -p /data /opt/cache /opt/config \
    && chmod 1777 /data /opt/cache /opt/config
COPY scripts/container-profile.sh /etc/profile.d/skill-runner.sh

# Not bundled: files that the docs page serves.
COPY --from=build /build/node_modules/swagger-ui-dist node_modules/swagger-ui-dist
COPY scripts/entrypoint.sh scripts/run-built.sh scripts/agent_manager.sh scripts/upgrade_agents.sh scripts/container-profile.sh scripts/skill-runner.sh scripts/api-key.mjs scripts/
RUN ln -s /app/scripts/skill-runner.sh /usr/local/bin/skill-runner
COPY skills skills
COPY --from=build /build/dist dist

ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Skill Runner" \
      org.opencontainers.image.description="Agent CLIs as dependable HTTP functions" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
    CMD curl --noproxy '*' -fsS "http://127.0.0.1:${PORT:-8000}/healthz" || exit 1
ENTRYPOINT ["/usr/bin/tini", "--", "/app/scripts/entrypoint.sh"]
