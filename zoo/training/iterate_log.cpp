#include "zoo/training/iterate_log.h"

#include <algorithm>
#include <bit>

#include "measures/api/error.h"
#include "measures/numerics/philox.h"
#include "zoo/training/trainer.h"

namespace gapbench {
namespace {

constexpr double entry = 0.5;  // 1 / sqrt(projection_entries)

// For each element of array i in the network's order, its row-major index. Indices travel as floats, which are exact below
// 2^24, so in two halves.
std::vector<std::uint64_t> row_major_index(const TrainableNetwork& network, std::size_t i, std::size_t n) {
  std::vector<float> low(n), high(n);
  for (std::size_t e = 0; e < n; ++e) {
    low[e] = static_cast<float>(e & 0xFFFFFF);
    high[e] = static_cast<float>(e >> 24);
  }
  low = network.from_row_major(i, low);
  high = network.from_row_major(i, high);
  std::vector<std::uint64_t> index(n);
  for (std::size_t e = 0; e < n; ++e)
    index[e] = static_cast<std::uint64_t>(low[e]) + (static_cast<std::uint64_t>(high[e]) << 24);
  return index;
}

}  // namespace

std::array<ProjectionEntry, projection_entries> projection_column(std::uint64_t weight,
                                                                  std::int64_t dimension) {
  constexpr std::uint64_t key = random_key("gapbench", "iterates");
  const auto words =
      philox4x32({static_cast<std::uint32_t>(weight), static_cast<std::uint32_t>(weight >> 32), 0, 0},
                 {static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)});
  const auto rows = static_cast<std::uint64_t>(dimension / projection_entries);
  std::array<ProjectionEntry, projection_entries> column;
  for (std::size_t b = 0; b < column.size(); ++b)
    column[b] = {static_cast<std::uint32_t>(((words[b] >> 1) * rows) >> 31), (words[b] & 1) != 0};
  return column;
}

std::int64_t first_kept_iterate(const LogIterates& log, const HyperParameters& hp, std::int64_t samples,
                                std::int64_t steps) {
  const std::int64_t end = hp.target_cross_entropy == 0 ? last_step(hp, samples) : steps;
  return std::clamp(end - log.last + 1, std::int64_t{1}, steps + 1);
}

bool complete(const Iterates& iterates, const LogIterates& log, const HyperParameters& hp,
              std::int64_t samples, std::int64_t steps) {
  return iterates.dimension == log.dimension &&
         static_cast<std::int64_t>(iterates.values.size()) ==
             (steps + 1 - first_kept_iterate(log, hp, samples, steps)) * log.dimension;
}

IterateLog::IterateLog(const LogIterates& log, const ModelSpec& model, std::int64_t samples,
                       TrainableNetwork& network)
    : log_(log),
      hp_(model.hp),
      samples_(samples),
      network_(network),
      sum_(static_cast<std::size_t>(log.dimension)),
      ring_(static_cast<std::size_t>(log.last * log.dimension)) {
  const std::vector<ArraySpec>& arrays = network.architecture().arrays();
  std::vector<std::vector<float>> initial =
      initial_values(network.architecture(), model.id, model.hp.init_scale);
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    if (!arrays[i].trained) continue;
    const std::vector<std::uint64_t> index = row_major_index(network, i, initial[i].size());
    std::vector<std::uint16_t> table;
    table.reserve(projection_entries * index.size());
    for (const std::uint64_t e : index)
      for (const ProjectionEntry& p : projection_column(before + e, log.dimension))
        table.push_back(static_cast<std::uint16_t>(2 * p.row + (p.negative ? 1 : 0)));
    before += index.size();
    trained_.push_back(i);
    tables_.push_back(std::move(table));
    project(tables_.size() - 1, network.from_row_major(i, initial[i]));
  }
  initial_ = sum_;
}

void IterateLog::project(std::size_t trained, std::span<const float> values) {
  const std::uint16_t* t = tables_[trained].data();
  const std::size_t rows = sum_.size() / projection_entries;
  double* const y = sum_.data();
  for (const float value : values) {
    const auto bits = std::bit_cast<std::uint64_t>(static_cast<double>(value));
    for (std::size_t b = 0; b < projection_entries; ++b, ++t)  // the sign is moved without a branch
      y[b * rows + (*t >> 1)] += std::bit_cast<double>(bits ^ (static_cast<std::uint64_t>(*t & 1) << 63));
  }
}

float* IterateLog::row(std::int64_t step) {
  return ring_.data() + (step % log_.last) * log_.dimension;
}

void IterateLog::restore(const Iterates& iterates, std::int64_t steps) {
  if (!complete(iterates, log_, hp_, samples_, steps))
    throw InternalError("checkpoint without the iterates that are to be kept");
  const float* from = iterates.values.data();
  for (std::int64_t step = steps + 1 - iterates.count(); step <= steps; ++step, from += log_.dimension)
    std::copy_n(from, log_.dimension, row(step));
}

void IterateLog::add(std::int64_t step) {
  if (step < first_kept_iterate(log_, hp_, samples_, step)) return;
  std::fill(sum_.begin(), sum_.end(), 0.0);
  for (std::size_t k = 0; k < trained_.size(); ++k) project(k, network_.array(trained_[k]));
  float* to = row(step);
  for (std::size_t j = 0; j < sum_.size(); ++j) to[j] = static_cast<float>(entry * (sum_[j] - initial_[j]));
}

Iterates IterateLog::iterates(std::int64_t steps) const {
  Iterates result{log_.dimension, {}};
  for (std::int64_t step = first_kept_iterate(log_, hp_, samples_, steps); step <= steps; ++step) {
    const auto at = ring_.begin() + (step % log_.last) * log_.dimension;
    result.values.insert(result.values.end(), at, at + log_.dimension);
  }
  return result;
}

}  // namespace gapbench
