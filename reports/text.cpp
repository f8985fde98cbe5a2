#include "reports/text.h"

#include <fmt/format.h>

namespace gapbench::reports {

std::string fixed(const Document& value, int decimals) {
  if (value.is_null()) return "";
  std::string text = fmt::format("{:.{}f}", value.get<double>(), decimals);
  if (text.find_first_not_of("-0.") == std::string::npos && text[0] == '-') text.erase(0, 1);
  return text;
}

std::string p_text(const Document& value) {
  if (value.is_null()) return "";
  const double p = value;
  return p >= 0.001 || p == 0 ? fixed(value, 3) : fmt::format("{:.1e}", p);
}

std::string interval_text(const Document& interval) {
  if (interval.is_null()) return "";
  return "[" + fixed(interval["low"], 3) + ", " + fixed(interval["high"], 3) + "]";
}

std::string level_text(const Document& level) {
  return level.is_string() ? level.get<std::string>() : level.is_null() ? "none" : level.dump();
}

}  // namespace gapbench::reports
