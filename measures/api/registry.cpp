#include "measures/api/registry.h"

#include <algorithm>

#include "measures/api/error.h"
#include "measures/api/suggest.h"

namespace gapbench {

namespace {

constexpr std::string_view list_command = "gapbench list measures";

bool is_kebab_case(std::string_view id) {
  if (id.empty() || id.front() == '-' || id.back() == '-') return false;
  return std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
}

std::vector<std::string_view> ids(const std::vector<Measure>& measures) {
  std::vector<std::string_view> list;
  for (const Measure& m : measures) list.push_back(m.info.id);
  return list;
}

}  // namespace

void Registry::add(const Measure& measure) {
  const std::string id(measure.info.id);
  if (!is_kebab_case(id)) throw InternalError("measure id '" + id + "' is not kebab-case");
  if (measure.compute == nullptr) throw InternalError("measure " + id + " has no compute function");
  for (const Measure& m : measures_)
    if (m.info.id == id) throw InternalError("measure " + id + " is registered twice");
  measures_.push_back(measure);
}

const Measure& Registry::at(std::string_view id) const {
  for (const Measure& m : measures_)
    if (m.info.id == id) return m;
  throw InputError("unknown measure '" + std::string(id) + "'" +
                   suggestion(id, ids(measures_), list_command));
}

std::vector<const Measure*> Registry::select(std::span<const std::string> patterns) const {
  std::vector<const Measure*> selected;
  for (const std::string& pattern : patterns)
    if (std::none_of(measures_.begin(), measures_.end(),
                     [&](const Measure& m) { return glob_match(pattern, m.info.id); }))
      throw InputError("no measure matches '" + pattern + "'" +
                       suggestion(pattern, ids(measures_), list_command));
  for (const Measure& m : measures_)
    if (patterns.empty() ? !m.info.on_request
                         : std::any_of(patterns.begin(), patterns.end(),
                                       [&](const std::string& p) { return glob_match(p, m.info.id); }))
      selected.push_back(&m);
  return selected;
}

}  // namespace gapbench
