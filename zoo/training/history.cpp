#include "zoo/training/history.h"

#include <limits>

namespace gapbench {

using nlohmann::json;

std::string_view to_string(StopReason reason) {
  switch (reason) {
    case StopReason::target:
      return "target";
    case StopReason::epoch_cap:
      return "epoch-cap";
    case StopReason::step_cap:
      return "step-cap";
    case StopReason::diverged:
      return "diverged";
    case StopReason::interrupted:
      return "interrupted";
  }
  return "interrupted";
}

json to_json(const EpochRecord& r) {
  json j = {{"epoch", r.epoch}, {"steps", r.steps}, {"batch_loss", r.batch_loss}};
  for (const auto& [split, metrics] : {std::pair{"train", &r.train}, std::pair{"test", &r.test}}) {
    j[std::string(split) + "_cross_entropy"] = r.evaluated ? json(metrics->cross_entropy) : json(nullptr);
    j[std::string(split) + "_error"] = r.evaluated ? json(metrics->error) : json(nullptr);
  }
  j["test_half_errors"] = r.evaluated ? json(r.test.half_errors) : json(nullptr);
  j["gradient_noise"] = r.gradient_noise ? json(*r.gradient_noise) : json(nullptr);
  return j;
}

EpochRecord epoch_record_from_json(const json& j) {
  const auto number = [&j](const char* key) {  // JSON has no NaN: null stands for "not finite"
    return j.at(key).is_null() ? std::numeric_limits<double>::quiet_NaN() : j.at(key).get<double>();
  };
  EpochRecord r;
  r.epoch = j.at("epoch");
  r.steps = j.at("steps");
  r.batch_loss = number("batch_loss");
  r.evaluated = !j.at("train_error").is_null();  // of a loss that is not finite, the error is still a number
  r.train = {number("train_cross_entropy"), number("train_error"), {}};
  r.test = {number("test_cross_entropy"), number("test_error"), {}};
  const json halves = j.value("test_half_errors", json(nullptr));  // an earlier version did not count them
  for (std::size_t i = 0; i < 2; ++i)
    r.test.half_errors[i] = halves.is_array() && halves[i].is_number()
                                ? halves[i].get<double>()
                                : std::numeric_limits<double>::quiet_NaN();
  if (!j.at("gradient_noise").is_null()) r.gradient_noise = number("gradient_noise");
  return r;
}

std::optional<std::int64_t> steps_to(const std::vector<EpochRecord>& history, double target) {
  for (const EpochRecord& r : history)
    if (r.evaluated && r.train.cross_entropy <= target) return r.steps;
  return std::nullopt;
}

}  // namespace gapbench
