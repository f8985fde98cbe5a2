// What groups of models will take in stacks, before they are trained.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "zoo/spec/zoo_spec.h"

namespace gapbench {

class TrainingDataCache;

struct StackPlan {
  std::string network;
  std::int64_t models = 0;
  std::int64_t members = 0;  ///< models at a time
  std::int64_t waves = 0;    ///< models / members, up
  double steps = 0;        ///< of a member's slot, all waves together, at most: every model trains to its cap
  std::int64_t parts = 1;  ///< that train at the same time, each with `members` at a time
  double step_seconds = 0;  ///< of all members
  bool timed = false;       ///< else in proportion to the arithmetic of the timed ones
  double device_bytes = 0;  ///< at most
  double host_bytes = 0;    ///< at most; on the CPU they include device_bytes
  double seconds() const { return steps * step_seconds * 4 / 3; }  ///< a third more for evaluation
};

// Formula   a step of a stack of the group's size, timed for the first `timed` groups; models of a group follow one another
//           in its slots, so these take the group's steps by its members, or those of the longest model.
// Inputs    groups as stack_groups() gives them; `cuda` where the stacks run
// Error     the machine's other load, models that reach their target before their cap, stacks that are half empty, and what a
//           device gains where it trains several at a time
// Cost      a stack of each timed group is made; a step is repeated for 0.06 s, or done twice where it takes longer
std::vector<StackPlan> plan_stacks(const std::vector<std::vector<ModelSpec>>& groups, TrainingDataCache& data,
                                   const LogIterates& log_iterates, bool cuda, std::size_t timed);

}  // namespace gapbench
