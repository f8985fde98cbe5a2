#!/usr/bin/env bash
# approve.sh BUILD_FOLDER: writes the golden files anew from what the renderers give now. Read the diff before committing it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
for pair in md:md csv:csv table:txt; do
  "$1/bin/render_sample" "$here/data/ranking.json" "${pair%:*}" > "$here/golden/ranking.${pair#*:}"
done
git -C "$here" diff --stat -- golden
