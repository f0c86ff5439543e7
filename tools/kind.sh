#!/bin/sh
# `make kind`: a cluster where there is none, the image, its loading, the release, and its test.
#
# The image is tagged by what is in it, so that what has changed is rolled and what has not is not.
set -eu
cd "$(dirname "$0")/.."
cluster=${CLUSTER:-inventory}
for program in docker kind kubectl helm; do
  if ! command -v "$program" > /dev/null; then
    echo "make kind: $program is not installed" >&2
    exit 1
  fi
done
if ! kind get clusters | grep -qx "$cluster"; then
  kind create cluster --name "$cluster" --config deploy/kind.yaml --wait 120s
fi
make image BUILDER=docker
tag=dev-$(docker image inspect --format '{{.Id}}' inventory:dev | sed 's/^sha256://' | cut -c 1-12)
docker tag inventory:dev "inventory:$tag"
kind load docker-image --name "$cluster" "inventory:$tag"
context=kind-$cluster
helm upgrade --install inventory deploy/helm/inventory --kube-context "$context" \
  --namespace inventory --create-namespace --wait --timeout 5m \
  --values deploy/helm/inventory/values-kind.yaml --set "image.tag=$tag" || {
  echo "make kind: not every pod is well: kubectl --context $context --namespace inventory get pods." >&2
  echo "An upgrade that mends members takes --set upgrade.requireHealthy=false; to begin anew," >&2
  echo "kind delete cluster --name $cluster" >&2
  exit 1
}
helm test inventory --kube-context "$context" --namespace inventory --logs
echo "Clients know one address: 127.0.0.1:50051. To be rid of it: kind delete cluster --name $cluster"
