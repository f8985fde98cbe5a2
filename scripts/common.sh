# Sourced by scripts/demo and scripts/test: the steps they share.
gapbench_build() {  # gapbench_build PRESET[:TARGET] [cmake arguments...]: configures and builds, quiet unless it fails
  local preset=${1%%:*} target=all log
  [ "$preset" = "$1" ] || target=${1#*:}
  shift
  local cmake=cmake
  [ -x "${GAPBENCH_VENV:-.venv}/bin/cmake" ] && cmake=${GAPBENCH_VENV:-.venv}/bin/cmake
  log=$(mktemp)
  if [ -t 2 ]; then echo "building (preset $preset) ..." >&2; fi
  if ! { "$cmake" --preset "$preset" -DGAPBENCH_PYTHON="$(cd "${GAPBENCH_VENV:-.venv}/bin" && pwd)/python" "$@" &&
         "$cmake" --build --preset "$preset" --target "$target"; } >"$log" 2>&1; then
    grep -E 'error|Error|FAILED|fatal' "$log" | head -n 20 >&2
    echo "gapbench: the build failed; the whole log is in $log" >&2
    return 2
  fi
  rm -f "$log"
}
