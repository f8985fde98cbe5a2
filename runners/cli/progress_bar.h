// Progress on stderr: a bar with rate and time left on a terminal, a plain line every few seconds elsewhere.
#pragma once

#include <chrono>
#include <cstdio>
#include <mutex>

#include "runners/stages/progress.h"

namespace gapbench {

class ProgressBar final : public Progress {
 public:
  /// `stream` is borrowed. `terminal`: draw in place; else print plain lines, at most one every `interval_s`
  /// seconds.
  ProgressBar(std::FILE* stream, bool terminal, double interval_s = 5)
      : stream_(stream), terminal_(terminal), interval_s_(interval_s) {}
  void begin(const std::string& phase, const std::string& unit, std::int64_t total,
             std::int64_t done) override;
  void start() override;
  void refresh() override;
  void advance(bool ok) override;
  void note(const std::string& text) override;
  void end() override;

 private:
  using Clock = std::chrono::steady_clock;
  void draw(bool last);
  void draw_when_due();
  std::string line() const;

  std::FILE* stream_;
  bool terminal_;
  double interval_s_;
  std::mutex mutex_;
  std::string phase_, unit_;
  std::int64_t total_ = 0, done_before_ = 0, done_ = 0, running_ = 0, failed_ = 0;
  Clock::time_point start_, drawn_;
  bool active_ = false;
};

/// "850 ms", "12 s", "3 min 20 s", "2 h 5 min".
std::string duration_text(double seconds);

}  // namespace gapbench
