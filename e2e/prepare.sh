#!/bin/sh
# Checks for what building and testing Berth needs, gets what it may, and says
# how to get the rest. Run in the repository's top folder, with the argument
# "race" where the race detector is going to be used.
set -eu

fail() {
	printf '%s\n' "$@" >&2
	exit 1
}

command -v go >/dev/null ||
	fail "Go $(sed -n 's/^go //p' go.mod) or newer is missing. Get it from https://go.dev/dl/ and put its bin folder in PATH."

# An older Go gets the right one by itself, unless it was told not to.
reason=$(go list -m 2>&1 >/dev/null) ||
	fail "$reason" "Get a newer Go from https://go.dev/dl/, or let this one do it: export GOTOOLCHAIN=auto"

[ "${1-}" = race ] || exit 0

compiles_c() {
	printf '#include <stdlib.h>\nint main(void) { return 0; }\n' |
		${CC:-$(go env CC)} -x c -o /dev/null - 2>/dev/null
}

compiles_c && exit 0
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
	echo "The race detector needs a C compiler: installing gcc."
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gcc libc6-dev >/dev/null
	compiles_c && exit 0
fi
fail "The race detector needs a C compiler, and none works here. On Debian and Ubuntu:" \
	"  sudo apt-get install -y gcc libc6-dev"
