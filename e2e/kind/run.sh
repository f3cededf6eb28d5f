#!/bin/sh
# Makes a kind cluster, installs the chart with the image of this tree, and tells
# the stories of e2e/acceptance there: first with the fake cloud, then with a pool
# of the network that Docker gave to kind. `make e2e-kind` builds what it needs.
# KEEP=1 leaves the cluster up. With the argument check it only looks whether it
# can run.
set -eu

name=berth-e2e
cd "$(dirname "$0")/../.."
kubeconfig=$PWD/bin/kind.kubeconfig

fail() {
	echo "make e2e-kind: $*" >&2
	exit 1
}

# Without these nothing can be tried, and nothing has passed.
command -v docker >/dev/null || fail "Docker is not installed; kind runs its nodes in containers"
docker info >/dev/null 2>&1 || fail "no Docker daemon answers: $(docker info 2>&1 | tail -n 1)"
if [ "${1:-}" = check ]; then
	exit 0
fi
for file in kind helm; do
	test -x "bin/$file" || fail "bin/$file is missing: start this by make"
done
case $(uname -m) in
x86_64) arch=amd64 ;;
aarch64) arch=arm64 ;;
*) fail "there is no image for $(uname -m)" ;;
esac
archive=bin/berth-image-$arch.tar
test -f "$archive" || fail "$archive is missing: start this by make"

kubectl() { docker exec "$name-control-plane" kubectl --kubeconfig /etc/kubernetes/admin.conf "$@"; }
helm() { bin/helm --kubeconfig "$kubeconfig" "$@"; }

end() {
	code=$?
	if [ "$code" -ne 0 ] && [ -f "$kubeconfig" ]; then
		kubectl get pods -A -o wide || true
		kubectl -n berth-system logs --all-containers --prefix --tail 50 -l app.kubernetes.io/name=berth || true
	fi
	if [ "${KEEP:-}" = 1 ]; then
		echo "The cluster stays: KUBECONFIG=$kubeconfig; bin/kind delete cluster --name $name removes it."
	else
		bin/kind delete cluster --name "$name" --kubeconfig "$kubeconfig" || true
		rm -f "$kubeconfig"
	fi
	exit "$code"
}
trap end EXIT
trap 'exit 130' INT TERM

# stories tells those of one test.
stories() {
	(cd e2e && go test ./acceptance -count 1 -v -timeout 20m -run "$1" -cluster "$kubeconfig" -networks "${2:-}")
}

bin/kind create cluster --name "$name" --config e2e/kind/cluster.yaml --kubeconfig "$kubeconfig" --wait 3m ||
	fail "kind can't make a cluster: if it says that an image can't be had, this machine does not reach Docker Hub"
bin/kind load image-archive "$archive" --name "$name"

# The image is there under its tag, and nowhere else.
never="--set image.pullPolicy=Never"

echo "With the fake cloud:"
# shellcheck disable=SC2086 # two words
helm install berth charts/berth -n berth-system --create-namespace --wait --timeout 5m $never \
	--set 'backends={fake}' --set defaultBackend=fake --set speaker.enabled=false
stories 'TestFake$'

echo "With a pool:"
# shellcheck disable=SC2086
helm upgrade berth charts/berth -n berth-system --reset-values --wait --timeout 5m $never

networks=$(docker network inspect kind --format '{{range .IPAM.Config}}{{.Subnet}} {{end}}')
stories 'TestPool$' "$networks"
