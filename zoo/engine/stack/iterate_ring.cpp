#include "zoo/engine/stack/iterate_ring.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

namespace gapbench::stack {

IterateRing::IterateRing(const LogIterates& log, const Layout& layout, std::int64_t members,
                         const at::Device& device)
    : log_(log) {
  const auto doubles = at::TensorOptions().dtype(at::kDouble).device(device);
  initial_ = at::zeros({members, log.dimension}, doubles);
  ring_ = at::zeros({members, log.last, log.dimension}, doubles.dtype(at::kFloat));
  // The matrix by rows, padded with zeros to the fullest one: a sum over a row needs no atomic additions, whose order would
  // change from run to run.
  const std::vector<std::int64_t> places = layout.trained_places();
  const auto rows = static_cast<std::size_t>(log.dimension / projection_entries);
  std::vector<std::vector<std::pair<std::int64_t, float>>> entries(rows * projection_entries);
  for (std::size_t e = 0; e < places.size(); ++e) {
    const auto column = projection_column(e, log.dimension);
    for (std::size_t b = 0; b < column.size(); ++b)
      entries[b * rows + column[b].row].emplace_back(places[e], column[b].negative ? -1.0f : 1.0f);
  }
  for (std::size_t b = 0; b < projection_entries; ++b) {
    std::size_t most = 1;
    for (std::size_t r = 0; r < rows; ++r) most = std::max(most, entries[b * rows + r].size());
    const auto width = static_cast<std::int64_t>(most), height = static_cast<std::int64_t>(rows);
    const at::Tensor index = at::zeros({height, width}, at::kLong), sign = at::zeros({height, width});
    for (std::int64_t r = 0; r < height; ++r) {
      std::int64_t at = r * width;
      for (const auto& [place, value] : entries[b * rows + static_cast<std::size_t>(r)]) {
        index.mutable_data_ptr<std::int64_t>()[at] = place;
        sign.mutable_data_ptr<float>()[at++] = value;
      }
    }
    index_[b] = index.to(device);
    sign_[b] = sign.to(device);
  }
}

at::Tensor IterateRing::project(const at::Tensor& trained) const {
  std::vector<at::Tensor> quarters;
  for (std::size_t b = 0; b < projection_entries; ++b)
    quarters.push_back(trained.index_select(1, index_[b].view({-1}))
                           .view({trained.size(0), index_[b].size(0), index_[b].size(1)})
                           .mul_(sign_[b])
                           .sum(2, false, at::kDouble));
  return at::cat(quarters, 1).mul_(0.5);  // 1 / sqrt(projection_entries)
}

void IterateRing::load(std::int64_t slot, const at::Tensor& initial, const Iterates& iterates,
                       std::int64_t steps) {
  const at::NoGradGuard no_grad;
  initial_[slot].copy_(project(initial.to(initial_.device()))[0]);
  const std::int64_t n = iterates.count();
  for (std::int64_t i = 0; i < n; ++i)
    ring_[slot][(steps + 1 - n + i) % log_.last].copy_(
        at::from_blob(const_cast<float*>(iterates.values.data()) + i * log_.dimension, {log_.dimension},
                      at::TensorOptions().dtype(at::kFloat)));
}

void IterateRing::add(const at::Tensor& trained, const at::Tensor& step) {
  const at::Tensor values = project(trained).sub_(initial_).to(at::kFloat).unsqueeze(1);
  ring_.scatter_(1, step.remainder(log_.last).view({-1, 1, 1}).expand(values.sizes()), values);
}

Iterates IterateRing::download(std::int64_t slot, std::int64_t first, std::int64_t last) const {
  const at::NoGradGuard no_grad;
  Iterates result{log_.dimension, {}};
  const at::Tensor rows = ring_[slot].cpu();
  for (std::int64_t step = first; step <= last; ++step) {
    const float* const from = rows.const_data_ptr<float>() + (step % log_.last) * log_.dimension;
    result.values.insert(result.values.end(), from, from + log_.dimension);
  }
  return result;
}

}  // namespace gapbench::stack
