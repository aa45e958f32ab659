# The operator's image: built JavaScript, production packages and Node; nothing of it is writable and no shell is
# needed at run time. Build: docker build --tag rollcall:0.1.0 .

FROM node:24-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
# No package that is used here needs its install script, so none is run.
RUN npm ci --ignore-scripts
COPY hack/build.ts hack/
COPY src src
RUN node hack/build.ts

FROM node:24-bookworm-slim AS packages
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts

FROM node:24-bookworm-slim
LABEL org.opencontainers.image.title=rollcall \
      org.opencontainers.image.description="Keeps a live register of ready pods in a NATS JetStream key-value bucket" \
      org.opencontainers.image.licenses=Apache-2.0
# The latter, and the flags below: as in bin/rollcall. How large the heap may be depends on the container's limit.
ENV NODE_ENV=production MALLOC_ARENA_MAX=2
WORKDIR /app
COPY LICENSE package.json ./
COPY bin bin
COPY --from=packages /build/node_modules node_modules
COPY --from=build /build/dist dist
# A number, so that runAsNonRoot can be checked without the image's user table.
USER 65532:65532
EXPOSE 8080 8081
ENTRYPOINT ["node", "--max-semi-space-size=4", "--heap-growing-percent=25", "--enable-source-maps", "/app/dist/main.js"]
CMD ["operator"]
