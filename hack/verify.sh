#!/usr/bin/env bash
# Everything that can be known without running the tests: types, lint, format, unused code, scripts, generated files.
# Runs all of it, says what failed, and exits 1 if anything did.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
PATH="$PWD/node_modules/.bin:$PATH"
failed=0

check() {
  local what=$1 output
  shift
  if output=$("$@" 2>&1); then
    printf '  ok      %s\n' "$what"
  else
    printf '  FAILED  %s\n%s\n' "$what" "$output"
    failed=1
  fi
}

check 'types (tsc)' tsc -p .
check 'lint (oxlint)' oxlint --type-aware --deny-warnings
check 'format (biome)' biome check --enforce-assist=true .
check 'unused code (knip)' knip
check 'CRD and reference' node hack/generate.ts --check
check 'configuration reference' node hack/generate-config-docs.ts --check
check 'install.yaml' node hack/render-manifests.ts --check
if command -v shellcheck >/dev/null 2>&1; then
  # shellcheck disable=SC2046 # file names of this repository have no spaces
  check 'shell scripts (shellcheck)' shellcheck $(git ls-files '*.sh' 'bin/*' .ci/run)
else
  printf '  skipped shell scripts: shellcheck is not installed\n'
fi
exit "$failed"
