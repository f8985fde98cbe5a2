// Where a stage says how far it is. The command line draws it on stderr; tests count it; a null progress is
// silence.
#pragma once

#include <cstdint>
#include <string>

namespace gapbench {

/// Thread-safe. One phase at a time: begin, any number of the others, end.
class Progress {
 public:
  virtual ~Progress() = default;
  /// `unit` is the plural of what is counted, for example "models". `done` items were finished by an earlier
  /// run.
  virtual void begin(const std::string& phase, const std::string& unit, std::int64_t total,
                     std::int64_t done) = 0;
  /// One more item is under way.
  virtual void start() = 0;
  /// Something moved within an item.
  virtual void refresh() = 0;
  /// One more item is finished, or broke.
  virtual void advance(bool ok = true) = 0;
  /// A sentence worth a line of its own.
  virtual void note(const std::string& text) = 0;
  virtual void end() = 0;
};

}  // namespace gapbench
