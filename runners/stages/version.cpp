#include "runners/stages/version.h"

namespace gapbench {

// the three GAPBENCH_ macros come from CMake
std::string version_text() {
  return std::string("gapbench ") + GAPBENCH_VERSION + " (revision " + GAPBENCH_REVISION + "), LibTorch " +
         GAPBENCH_TORCH_VERSION;
}

nlohmann::json version_json() {
  return {{"gapbench", {{"version", GAPBENCH_VERSION}, {"revision", GAPBENCH_REVISION}}},
          {"libraries", {{"torch", GAPBENCH_TORCH_VERSION}}}};
}

}  // namespace gapbench
