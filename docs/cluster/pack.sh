#!/usr/bin/env bash
# Pack this package and all it needs for Spark: docs/cluster/pack.sh environment.tar.gz [python3.11]
# On the system that the cluster runs (EMR: Amazon Linux 2023), with the Python that its machines have.
set -euo pipefail
target=$(realpath "$1")
python=${2:-python3.11}
checkout=$(cd "$(dirname "$0")/../.." && pwd)
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
"$python" -m venv "$home/environment"
# Spark itself is the cluster's.
"$home/environment/bin/pip" install --quiet --constraint "$checkout/constraints.txt" "${checkout}[scan]" pyarrow venv-pack
"$home/environment/bin/venv-pack" --prefix "$home/environment" --output "$target" --force
echo "packed: $target"
