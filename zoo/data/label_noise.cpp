#include "zoo/data/label_noise.h"

#include <string>

#include "measures/api/error.h"
#include "measures/numerics/philox.h"

namespace gapbench {

void add_label_noise(std::vector<std::int64_t>& labels, std::int64_t classes, double fraction,
                     std::string_view kind, std::string_view dataset, std::uint64_t seed) {
  const bool symmetric = kind == "symmetric";
  if (!symmetric && kind != "pair") throw InternalError("no label noise is named " + std::string(kind));
  if (classes < 2) return;
  RandomStream random(random_key(dataset, "label noise"), seed);
  for (std::int64_t& label : labels) {
    // both numbers are always drawn: the draws of a sample do not depend on the fraction
    const bool wrong = random.uniform() < fraction;
    const std::int64_t shift = 1 + std::int64_t{random.below(static_cast<std::uint32_t>(classes - 1))};
    if (wrong) label = (label + (symmetric ? shift : 1)) % classes;
  }
}

}  // namespace gapbench
