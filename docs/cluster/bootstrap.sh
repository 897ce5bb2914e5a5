#!/usr/bin/env bash
# EMR runs this on every machine before Spark starts: bootstrap.sh s3://BUCKET/lgg
# The packed environment links to /usr/bin/python3.11. The data lies on each machine's own disk, and is decoded there once.
set -euo pipefail
data=$1
command -v python3.11 >/dev/null || sudo dnf install --assumeyes --quiet python3.11
sudo mkdir -p /mnt/brain_tumor/lgg /mnt/brain_tumor/cache /mnt/brain_tumor/runs
sudo chmod -R 1777 /mnt/brain_tumor
aws s3 sync --only-show-errors "$data" /mnt/brain_tumor/lgg
