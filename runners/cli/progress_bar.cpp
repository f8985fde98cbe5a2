#include "runners/cli/progress_bar.h"

#include <fmt/format.h>

#include <cmath>

namespace gapbench {

std::string duration_text(double seconds) {
  if (seconds < 1) return fmt::format("{:.0f} ms", seconds * 1000);
  const auto s = static_cast<std::int64_t>(std::llround(seconds));
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {} s", s / 60, s % 60);
  return fmt::format("{} h {} min", s / 3600, s % 3600 / 60);
}

void ProgressBar::begin(const std::string& phase, const std::string& unit, std::int64_t total,
                        std::int64_t done) {
  const std::lock_guard lock(mutex_);
  phase_ = phase;
  unit_ = unit;
  total_ = total;
  done_ = done_before_ = done;
  failed_ = running_ = 0;
  start_ = drawn_ = Clock::now();
  active_ = true;
  if (done > 0)
    fmt::print(stream_, "{}: {} of {} {} are there from an earlier run\n", phase_, done, total, unit_);
  if (terminal_) draw(false);
}

void ProgressBar::advance(bool ok) {
  const std::lock_guard lock(mutex_);
  ++done_;
  failed_ += !ok;
  if (running_ > 0) --running_;
  draw_when_due();
}

void ProgressBar::start() {
  const std::lock_guard lock(mutex_);
  ++running_;
  draw_when_due();
}

void ProgressBar::refresh() {
  const std::lock_guard lock(mutex_);
  draw_when_due();
}

void ProgressBar::draw_when_due() {
  const double interval = terminal_ ? 0.1 : interval_s_;
  if (std::chrono::duration<double>(Clock::now() - drawn_).count() >= interval) draw(false);
}

void ProgressBar::note(const std::string& text) {
  const std::lock_guard lock(mutex_);
  if (terminal_ && active_) fmt::print(stream_, "\r\x1b[K");
  fmt::print(stream_, "{}\n", text);
  if (terminal_ && active_) draw(false);
}

void ProgressBar::end() {
  const std::lock_guard lock(mutex_);
  if (done_ > done_before_) draw(true);
  active_ = false;
}

std::string ProgressBar::line() const {
  const double elapsed = std::chrono::duration<double>(Clock::now() - start_).count();
  const auto fresh = static_cast<double>(done_ - done_before_);
  std::string text = fmt::format("{}/{} {}", done_, total_, unit_);
  if (fresh > 0 && elapsed > 0) {
    const double rate = fresh / elapsed;
    text += fmt::format(", {:.0f}/h", rate * 3600);
    text += done_ < total_ ? ", " + duration_text(static_cast<double>(total_ - done_) / rate) + " left"
                           : ", " + duration_text(elapsed);
  }
  if (running_ > 0) text += fmt::format(", {} running", running_);
  if (failed_ > 0) text += fmt::format(", {} failed", failed_);
  return text;
}

void ProgressBar::draw(bool last) {
  drawn_ = Clock::now();
  if (!terminal_) {
    fmt::print(stream_, "{}: {}\n", phase_, line());
  } else {
    constexpr int width = 30;
    const int filled = total_ > 0 ? static_cast<int>(width * done_ / total_) : width;
    std::string bar;
    for (int i = 0; i < width; ++i) bar += i < filled ? "█" : "░";
    fmt::print(stream_, "\r\x1b[K{:<8} {} {}{}", phase_, bar, line(), last ? "\n" : "");
  }
  std::fflush(stream_);
}

}  // namespace gapbench
