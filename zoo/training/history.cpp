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
    case StopReason::diverged:
      return "diverged";
    case StopReason::interrupted:
      return "interrupted";
  }
  return "interrupted";
}

json to_json(const EpochRecord& r) {
  return {{"epoch", r.epoch},
          {"steps", r.steps},
          {"batch_loss", r.batch_loss},
          {"train_cross_entropy", r.train.cross_entropy},
          {"train_error", r.train.error},
          {"test_cross_entropy", r.test.cross_entropy},
          {"test_error", r.test.error}};
}

EpochRecord epoch_record_from_json(const json& j) {
  const auto number = [&j](const char* key) {  // JSON has no NaN: null stands for "not finite"
    return j.at(key).is_null() ? std::numeric_limits<double>::quiet_NaN() : j.at(key).get<double>();
  };
  EpochRecord r;
  r.epoch = j.at("epoch");
  r.steps = j.at("steps");
  r.batch_loss = number("batch_loss");
  r.train = {number("train_cross_entropy"), number("train_error")};
  r.test = {number("test_cross_entropy"), number("test_error")};
  return r;
}

}  // namespace gapbench
