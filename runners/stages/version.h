// What this build is: for --version and for the provenance of every result.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace gapbench {

/// "gapbench 0.1.0 (revision abc1234), LibTorch 2.13.0".
std::string version_text();
/// {"gapbench": {"version", "revision"}, "libraries": {...}, "kernels": {"cuda": true|false}}.
nlohmann::json version_json();

}  // namespace gapbench
