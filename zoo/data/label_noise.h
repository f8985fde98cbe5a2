// Wrong labels on purpose.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace gapbench {

// Label noise of a training set.
//
// Formula   sample i is wrong where u_i < fraction, u_i ~ U(0, 1); "symmetric": its label becomes one of the other classes,
//           uniformly; "pair": the next class, (y + 1) mod classes.
// Inputs    labels in [0, classes); u_i and the new class are functions of (data set, seed, i), so that models of one seed
//           share their wrong labels and a larger fraction contains a smaller one's.
// Returns   the labels in place. Throws InternalError on an unknown kind.
// Source    the two standard models, as in Patrini et al. 2017 and Han et al. 2018.
// Error     none.
// Cost      O(samples).
void add_label_noise(std::vector<std::int64_t>& labels, std::int64_t classes, double fraction,
                     std::string_view kind, std::string_view dataset, std::uint64_t seed);

}  // namespace gapbench
