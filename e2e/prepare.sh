#!/bin/sh
# Checks for what building and testing Berth needs, gets what it may, and says
# how to get the rest. Run in the repository's top folder, with arguments for
# what is going to be used besides Go: "race" (the race detector), "lab" (network
# namespaces with kube-proxy), "bench" (keepalived), "frr" and "bird" (routers).
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

has() {
	case $1 in
	cc) compiles_c ;;
	# Daemons of FRR are not in PATH.
	zebra | bgpd | bfdd) test -x "/usr/lib/frr/$1" ;;
	*) command -v "$1" >/dev/null || test -x "/usr/sbin/$1" ;;
	esac
}

compiles_c() {
	printf '#include <stdlib.h>\nint main(void) { return 0; }\n' |
		${CC:-$(go env CC)} -x c -o /dev/null - 2>/dev/null
}

# install gets packages without starting the services that come with some:
# tests run these programs in network namespaces of their own.
install() {
	policy=/usr/sbin/policy-rc.d
	if [ ! -e $policy ]; then
		trap 'rm -f $policy' EXIT
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod +x $policy
	fi
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
	for service in keepalived frr bird; do
		case " $* " in *" $service "* | *" ${service}2 "*)
			# Nor at the next start of the machine.
			if [ -d /run/systemd/system ]; then systemctl --quiet disable --now $service; fi ;;
		esac
	done
}

# get makes sure of programs, by packages: get WHAT-NEEDS-THEM "PROGRAMS" PACKAGES
get() {
	what=$1 programs=$2
	shift 2
	missing=
	for program in $programs; do
		has "$program" || missing="$missing $program"
	done
	[ -n "$missing" ] || return 0
	if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
		echo "$what: installing $*."
		install "$@"
		missing=
		for program in $programs; do
			has "$program" || missing="$missing $program"
		done
		[ -n "$missing" ] || return 0
	fi
	return 1
}

# get_for_lab is for what tests can do without, but not in CI: they skip, and
# say so.
get_for_lab() {
	get "$@" && return 0
	what=$1
	shift 2
	echo "$what:$missing not found; what needs that is skipped. On Debian and Ubuntu: sudo apt-get install -y $*" >&2
	[ "${CI-}" != true ]
}

for need; do
	case $need in
	race)
		get "The race detector needs a C compiler" cc gcc libc6-dev ||
			fail "The race detector needs a C compiler, and none works here. On Debian and Ubuntu:" \
				"  sudo apt-get install -y gcc libc6-dev" ;;
	lab) get_for_lab "The lab of network namespaces" "ip nft" iproute2 nftables ;;
	bench) get_for_lab "The comparison with VRRP" keepalived keepalived ;;
	frr) get_for_lab "The routers of FRR" "zebra bgpd bfdd vtysh" frr ;;
	bird) get_for_lab "The routers of BIRD" bird bird2 ;;
	*) fail "e2e/prepare.sh: $need is none of race, lab, bench, frr, bird" ;;
	esac
done
