// Tasks on a few threads. std only.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace gapbench {

/// Runs task(index, thread) for every index in [0, count) on at most `threads` threads, the caller's among them. Which
/// thread takes which index is left to chance: a task's result must not depend on it. Tasks do not throw.
template <class Task>
void parallel_for(std::int64_t count, int threads, const Task& task) {
  std::atomic<std::int64_t> next{0};
  const auto work = [&](int t) {
    for (std::int64_t i = next++; i < count; i = next++) task(i, t);
  };
  std::vector<std::thread> pool;
  const int used = static_cast<int>(std::min<std::int64_t>(std::max(threads, 1), count));
  for (int t = 1; t < used; ++t) pool.emplace_back(work, t);
  if (count > 0) work(0);
  for (std::thread& t : pool) t.join();
}

}  // namespace gapbench
